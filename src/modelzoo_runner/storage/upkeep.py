"""Looking after the cache: what is in it, whether it is still right, and making room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner.errors import FetchError, did_you_mean, nearest
from modelzoo_runner.storage import buckets, built, cache, firstseen, trees
from modelzoo_runner.storage.cache import CacheEntry
from modelzoo_runner.storage.settings import Progress, cache_folder

_LISTED = 5
"""How many locations an error lists."""


@dataclass(frozen=True, kw_only=True)
class CacheCheck:
    """One file of the cache after all of it was read. `problem` is None when it is as it came."""

    entry: CacheEntry
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What was removed from the cache: locations, and files and bytes on the disk."""

    locations: tuple[str, ...]
    files: int
    bytes: int


def cache_entries(folder: Path | str | None = None) -> tuple[CacheEntry, ...]:
    """The files in the cache, by location."""
    return cache.entries(cache_folder(folder))


def built_files(folder: Path | str | None = None) -> tuple[Path, ...]:
    """The files in the cache that were made here, and can be again: graphs of random weights."""
    return built.files(cache_folder(folder))


def verify_cache(
    folder: Path | str | None = None, *, progress: Progress | None = None
) -> tuple[CacheCheck, ...]:
    """Every file in the cache, read to its end and compared with what it was when it came."""
    checks = []
    found = cache_entries(folder)
    total = sum(entry.size for entry in found)
    done = 0
    for entry in found:
        checks.append(CacheCheck(entry=entry, problem=cache.damage(entry, thorough=True)))
        done += entry.size
        if progress is not None:
            progress(entry.location, done, total)
    return tuple(checks)


def clear_cache(
    folder: Path | str | None = None,
    *,
    locations: Sequence[str] | None = None,
    hashes: bool = False,
) -> Cleared:
    """Remove what is in the cache, graphs that were built here too, or the files of some locations.

    A location that ends in `/` stands for all
    that begin with it. With `hashes`, what the files were the first time is forgotten too, and
    whatever comes next is taken as it is.

    Raises:
        FetchError: a location has nothing in the cache; or files can't be removed.
    """
    root = cache_folder(folder)
    seen = {entry.location for entry in cache.entries(root)}
    if hashes:
        seen.update(firstseen.locations(root))
    chosen = sorted(seen if locations is None else _chosen(locations, seen, root))
    # All of them: a file whose record was lost has no location any more.
    every = (root / "files").glob("*") if locations is None else ()
    folders = {*every, *(cache.folder_of(root, location) for location in chosen)}
    try:
        freed = [cache.remove(each) for each in folders]
        if locations is None:
            freed += [path.stat().st_size for path in built_files(root)]
            built.clear(root)
        for location in chosen if hashes else ():
            firstseen.forget(root, location)
        trees.remove_broken(root)
        if locations is None:
            buckets.forget_listings(root)
    except OSError as error:
        raise FetchError(f"{root}: the cache can't be cleared: {error}.") from None
    return Cleared(locations=tuple(chosen), files=sum(size > 0 for size in freed), bytes=sum(freed))


def _chosen(locations: Sequence[str], known: set[str], root: Path) -> Iterator[str]:
    for location in locations:
        found = {
            each
            for each in known
            if each == location
            or each.partition("#")[0] == location
            or (location.endswith("/") and each.startswith(location))
        }
        if not found:
            raise FetchError(
                f"{location}: nothing of it is in the cache {root}{_what_is(location, known)}"
            )
        yield from found


def _what_is(location: str, known: set[str]) -> str:
    """What there is instead, as the end of a sentence."""
    if not known:
        return ", which is empty."
    if len(known) <= _LISTED or nearest(location, known):
        return f". {did_you_mean(location, sorted(known), otherwise='There are')}"
    return ". `modelzoo-runner cache list` lists what is."
