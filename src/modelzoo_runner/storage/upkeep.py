"""Looking after the cache: what is in it, whether it is still right, and making room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner.errors import FetchError, did_you_mean
from modelzoo_runner.storage import buckets, built, cache, firstseen, trees
from modelzoo_runner.storage.cache import CacheEntry
from modelzoo_runner.storage.settings import Progress, cache_folder


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
    """What was removed from the cache: locations, and bytes on the disk."""

    locations: tuple[str, ...]
    bytes: int


def cache_entries(folder: Path | str | None = None) -> tuple[CacheEntry, ...]:
    """The files in the cache, by location."""
    return cache.entries(cache_folder(folder))


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
    """Remove what is in the cache, or only the files of some locations.

    All of it includes the graphs that were built here. A location that ends in `/` stands for all
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
        freed = sum(cache.remove(each) for each in folders)
        for location in chosen if hashes else ():
            firstseen.forget(root, location)
        trees.remove_broken(root)
        if locations is None:
            buckets.forget_listings(root)
            freed += built.clear(root)
    except OSError as error:
        raise FetchError(f"{root}: the cache can't be cleared: {error}.") from None
    return Cleared(locations=tuple(chosen), bytes=freed)


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
                f"{location}: nothing of it is in the cache {root}. "
                f"{did_you_mean(location, sorted(known), otherwise='There are')}"
            )
        yield from found
