"""Fetch a gs:// location: a file, or a folder with the tree that is in the bucket.

    <cache>/listings/<key>.json            the objects of a location, when it was last listed
    <cache>/folders/<key>/<name>/...       links into <cache>/files

Each object is in the cache once, under its own location; a folder holds links to them. It is made
for one set of objects at one generation each, and appears whole. The bucket isn't listed again as
long as all its objects are in the cache.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from pathlib import Path

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import cache, disk, gcs
from modelzoo_runner.storage.access import Access
from modelzoo_runner.storage.cache import Expected
from modelzoo_runner.storage.fetch_cached import Source, fetch_cached
from modelzoo_runner.storage.gcs import Listing, StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.settings import Settings
from modelzoo_runner.values import atomic
from modelzoo_runner.values.progress import Progress

_LISTINGS = "listings"
_AT_ONCE = 8

Enough = Callable[[Path], bool]


def local(
    place: BucketPlace, expected: Expected, settings: Settings, enough: Enough | None = None
) -> Path:
    """The file or the folder of a gs:// location.

    With `enough`, the files of a folder are fetched one by one, in the order of their names, until
    it says that this was the last one needed; the folder then holds those.

    Raises:
        FetchError: nothing is there, it may not be read, or it can't be fetched.
        RequestError: a hash or a size is given for what turns out to be a folder.
    """
    one = not place.is_folder and not place.is_pattern
    if one and (file := cache.find(settings.cache, place.url, expected)) is not None:
        return file
    noted = _noted(settings.cache, place)
    if noted is not None and (paths := _from_cache(noted, settings, enough)) is not None:
        return linked_folder(settings.cache, noted, paths)
    if settings.offline:
        raise FetchError(_missing(place, noted, settings))
    access = Access(settings)
    listing = gcs.resolve(place, access)
    if listing.base is None:
        return _object(listing.objects[0], expected, settings, access)
    if expected != Expected():
        raise RequestError(f"{place.url}: sha256 and size are of one file, and this is a folder.")
    try:
        _note(settings.cache, place, listing)
        paths = _fetched(place, listing, settings, access, enough)
        return linked_folder(settings.cache, listing, paths)
    except OSError as error:
        raise disk.explain(error, settings.cache, place.url) from None


def forget_listings(folder: Path) -> None:
    """Forget what locations stood for: the buckets are asked again."""
    for path in (folder / _LISTINGS).glob("*.json"):
        path.unlink(missing_ok=True)


def _object(stored: StoredObject, expected: Expected, settings: Settings, access: Access) -> Path:
    if expected.size not in (None, stored.size):
        raise HashMismatch(
            f"{stored.url}: the object is {stored.size:,} bytes and should be "
            f"{expected.size:,}; it is not the file this location is known for."
        )
    source = Source(
        location=stored.url,
        name=stored.name.rpartition("/")[2],
        write=lambda part: gcs.download(stored, part, access),
    )
    wanted = replace(expected, size=stored.size, version=stored.generation)
    return fetch_cached(source, wanted, settings)


def _fetched(
    place: BucketPlace,
    listing: Listing,
    settings: Settings,
    access: Access,
    enough: Enough | None,
) -> list[Path]:
    """The objects as files, in the order of the listing."""
    group = _GroupProgress(place.url, listing, settings.progress)

    def fetch(stored: StoredObject) -> Path:
        try:
            group.report(stored, 0)
            path = _object(stored, Expected(), group.settings_for(stored, settings), access)
            group.report(stored, stored.size)
        except BaseException as error:
            group.stop(error)
            raise
        return path

    if enough is not None:
        paths = []
        for stored in listing.objects:
            paths.append(fetch(stored))
            if enough(paths[-1]):
                break
        return paths
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
        under_way = [pool.submit(fetch, stored) for stored in listing.objects]
        try:
            wait(under_way)
        except BaseException as error:
            group.stop(error)
            raise
    if group.error is not None:
        raise group.error
    return [each.result() for each in under_way]


class _GroupProgress:
    """The progress of many files as that of one, and the end of all when one ends badly."""

    def __init__(self, name: str, listing: Listing, progress: Progress | None) -> None:
        self.error: BaseException | None = None
        self._name = name
        self._progress = progress
        self._total = sum(each.size for each in listing.objects)
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def stop(self, error: BaseException) -> None:
        with self._lock:
            self.error = self.error or error

    def report(self, stored: StoredObject, done: int) -> None:
        with self._lock:
            if self.error is not None:
                # Out of the thread that fetches; what came of the file stays for the next time.
                raise CancelledError
            self._done[stored.name] = done
            if self._progress is not None and done > 0:
                self._progress(self._name, sum(self._done.values()), self._total)

    def settings_for(self, stored: StoredObject, settings: Settings) -> Settings:
        return replace(settings, progress=lambda _, done, __: self.report(stored, done))


def _from_cache(listing: Listing, settings: Settings, enough: Enough | None) -> list[Path] | None:
    """The files of a listing if all that are needed are in the cache, else None."""
    paths = []
    for stored in listing.objects:
        expected = Expected(size=stored.size, version=stored.generation)
        path = cache.find(settings.cache, stored.url, expected)
        if path is None:
            return None
        paths.append(path)
        if enough is not None and enough(path):
            break
    return paths


def _missing(place: BucketPlace, noted: Listing | None, settings: Settings) -> str:
    if noted is None:
        what = "it is not in the cache"
    else:
        absent = [
            each.name
            for each in noted.objects
            if cache.find(settings.cache, each.url, Expected(version=each.generation)) is None
        ]
        what = f"{len(absent)} of its {len(noted.objects)} objects are not in the cache"
        what += f" ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''})"
    return (
        f"{place.url}: {what} {settings.cache}, and offline nothing is fetched. Fetch it once "
        "without offline=True and MODELZOO_RUNNER_OFFLINE, or give the path of a folder."
    )


def _listing_path(folder: Path, place: BucketPlace) -> Path:
    return folder / _LISTINGS / f"{cache.key(place.url)}.json"


def _note(folder: Path, place: BucketPlace, listing: Listing) -> None:
    path = _listing_path(folder, place)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"location": place.url} | asdict(listing)
    atomic.write_text(path, json.dumps(record, indent=1) + "\n")


def _noted(folder: Path, place: BucketPlace) -> Listing | None:
    try:
        record = json.loads(_listing_path(folder, place).read_text(encoding="utf-8"))
        objects = tuple(StoredObject(**each) for each in record["objects"])
        return Listing(base=record["base"], objects=objects)
    except (OSError, ValueError, TypeError, KeyError):
        return None


_FOLDERS = "folders"


def linked_folder(root: Path, listing: Listing, paths: Sequence[Path]) -> Path:
    """The folder with `paths`, which are the first objects of `listing` as files."""
    base = listing.base or ""
    chosen = listing.objects[: len(paths)]
    links = {each.name.removeprefix(base): path for each, path in zip(chosen, paths, strict=True)}
    versions = "\n".join(f"{each.url}#{each.generation}" for each in chosen)
    home = root / _FOLDERS / cache.key(f"{base}\n{versions}")
    name = base.rstrip("/").rpartition("/")[2] or chosen[0].bucket
    if not _has_all(home / name, links):
        _make_links(home, name, links)
    return home / name


def remove_broken_folders(root: Path) -> None:
    """Remove the folders that link to a file that is no longer there."""
    for home in (root / _FOLDERS).glob("*"):
        if any(link.is_symlink() and not link.exists() for link in home.rglob("*")):
            shutil.rmtree(home)


def _has_all(tree: Path, links: dict[str, Path]) -> bool:
    return all((tree / name).exists() for name in links)


def _make_links(home: Path, name: str, links: dict[str, Path]) -> None:
    """Make the links beside their place, then put all of them there at once."""
    making = home.with_name(f"{home.name}.{uuid.uuid4().hex}")
    for relative, path in links.items():
        link = making / name / relative
        link.parent.mkdir(parents=True, exist_ok=True)
        # Relative, so that a cache can be moved, or mounted elsewhere in a container.
        link.symlink_to(os.path.relpath(path, link.parent))
    try:
        making.rename(home)
    except OSError:
        # Another process was faster, or a link was lost from an older one.
        if not _has_all(home / name, links):
            shutil.rmtree(home)
            making.rename(home)
    finally:
        shutil.rmtree(making, ignore_errors=True)
