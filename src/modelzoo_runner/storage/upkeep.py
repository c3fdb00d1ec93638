"""Look after the cache: list, verify and clear it; and check the locations that presets name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from modelzoo_runner.errors import (
    FetchError,
    MissingDependency,
    RequestError,
    did_you_mean,
    nearest,
)
from modelzoo_runner.storage import (
    built,
    cache,
    folders,
    listing,
    locations,
    pinned_hashes,
    transfer,
    web,
)
from modelzoo_runner.storage.cache import CacheEntry
from modelzoo_runner.storage.locations import BucketPlace, WebFile
from modelzoo_runner.storage.settings import Options, Settings, cache_folder, resolve_settings
from modelzoo_runner.values import bars
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.preset import Preset, RemoteFile
from modelzoo_runner.values.progress import Told

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


@bars.shown
def verify_cache(
    folder: Path | str | None = None, *, progress: Told = None
) -> tuple[CacheCheck, ...]:
    """Every file in the cache, read to its end and compared with what it was when it came."""
    context = Context(progress=progress)
    checks = []
    found = cache_entries(folder)
    total = sum(entry.size for entry in found)
    done = 0
    for entry in found:
        checks.append(CacheCheck(entry=entry, problem=cache.problem(entry, thorough=True)))
        done += entry.size
        context.tell(entry.location, done, total)
    return tuple(checks)


def clear_cache(
    folder: Path | str | None = None,
    *,
    locations: Sequence[str] | None = None,
    hashes: bool = False,
) -> Cleared:
    """Remove what is in the cache, graphs that were built here too, or the files of some locations.

    A location that ends in `/` stands for all that begin with it. With `hashes`, the pinned hashes
    are removed too, and the next download is accepted whatever its hash.

    Raises:
        FetchError: a location has nothing in the cache; or files can't be removed.
    """
    root = cache_folder(folder)
    seen = {entry.location for entry in cache.entries(root)}
    if hashes:
        seen.update(pinned_hashes.locations(root))
    chosen = sorted(seen if locations is None else _chosen(locations, seen, root))
    # All of them: a file whose record was lost has no location any more.
    every = (root / "files").glob("*") if locations is None else ()
    homes = {*every, *(cache.folder_of(root, location) for location in chosen)}
    try:
        freed = [cache.remove(each) for each in homes]
        if locations is None:
            freed += [path.stat().st_size for path in built_files(root)]
            built.clear(root)
        for location in chosen if hashes else ():
            pinned_hashes.unpin(root, location)
        folders.tidy(root, listings=locations is None)
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


_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class LocationStatus:
    """Whether the file of one location of a preset is available.

    `precision` is the graph's, with "preprocess_graph" after it where it is that graph's file.
    `status` is the http status, None without a response. `size` and `expected_size` are in bytes.
    `problem` says in words what is wrong, None if nothing is.
    """

    model: str
    precision: str
    url: str
    status: int | None
    size: int | None
    expected_size: int | None
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether the file can be had there."""
        return self.problem is None


def verify_locations(
    presets: Iterable[Preset], **options: Unpack[Options]
) -> tuple[LocationStatus, ...]:
    """What the server of each location of each preset says: its status and the size of its file.

    Raises:
        RequestError: offline, where nobody can be asked.
    """
    settings = resolve_settings(**options)
    if settings.offline:
        raise RequestError(
            "offline: the locations can't be asked; call without offline=True and with "
            "MODELZOO_RUNNER_OFFLINE unset."
        )
    files = [each for preset in presets for each in _files(preset)]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="verify") as pool:
        under_way = [pool.submit(_status, *each, settings) for each in files]
        return tuple(each.result() for each in under_way)


def _files(preset: Preset) -> Iterator[tuple[str, str, RemoteFile]]:
    for precision, graph in preset.graph.items():
        for file in graph.files:
            yield preset.name, precision, file
        for file in graph.preprocess_graph.files if graph.preprocess_graph else ():
            yield preset.name, f"{precision} preprocess_graph", file


def _status(model: str, precision: str, file: RemoteFile, settings: Settings) -> LocationStatus:
    status, size, problem = None, None, None
    try:
        status, size, problem = _asked(file, settings)
    except (FetchError, MissingDependency, RequestError) as error:
        problem = str(error)
    if problem is None and file.size is not None and size is not None and size != file.size:
        problem = f"its file is {size:,} bytes and should be {file.size:,}"
    return LocationStatus(
        model=model,
        precision=precision,
        url=file.url,
        status=status,
        size=size,
        expected_size=file.size,
        problem=problem,
    )


def _asked(file: RemoteFile, settings: Settings) -> tuple[int | None, int | None, str | None]:
    """Status, size and problem of one location."""
    place = locations.parse(file.url)
    if isinstance(place, WebFile):
        return web.head(locations.with_endpoint(place.url, settings.endpoint), settings)
    if isinstance(place, BucketPlace):
        found = listing.resolve(place, transfer.open_store(place, settings))
        return 200, sum(each.size for each in found.objects), None
    size = place.stat().st_size if place.is_file() else None
    return None, size, None if size is not None else "no such file"
