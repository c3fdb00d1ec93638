"""Fetch a location in a store: a file, or a folder with the tree that is there.

    <cache>/listings/<key>.json            the objects of a location, when it was last listed
    <cache>/folders/<key>/<name>/...       links into <cache>/files

Each object is in the cache once, under its own location; a folder holds links to them. It is made
for one set of objects at one version each, and appears whole. The store isn't listed again as long
as all the objects are in the cache.
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
from modelzoo_runner.storage import cache, disk, listing, transfer
from modelzoo_runner.storage.cache import Expected
from modelzoo_runner.storage.fetch_cached import Source, fetch_cached
from modelzoo_runner.storage.listing import Listing, Store, StoredObject
from modelzoo_runner.storage.locations import BucketPlace, unsafe_reason
from modelzoo_runner.storage.settings import Settings
from modelzoo_runner.values import atomic

_LISTINGS = "listings"
_FOLDERS = "folders"
_AT_ONCE = 8

Enough = Callable[[Path], bool]


def local(
    place: BucketPlace, expected: Expected, settings: Settings, enough: Enough | None = None
) -> Path:
    """The file or the folder at a location in a store.

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
        return _linked_folder(settings.cache, noted, paths)
    if settings.offline:
        raise FetchError(_missing(place, noted, settings))
    store = transfer.open_store(place, settings)
    found = listing.resolve(place, store)
    if found.base is None:
        return _object(found.objects[0], expected, settings, store)
    if expected != Expected():
        raise RequestError(f"{place.url}: sha256 and size are of one file, and this is a folder.")
    try:
        _note(settings.cache, place, found)
        paths = _fetched(place, found, settings, store, enough)
        return _linked_folder(settings.cache, found, paths)
    except OSError as error:
        raise disk.explain(error, settings.cache, place.url) from None


def listed(place: BucketPlace, settings: Settings) -> Listing:
    """The objects at a location; offline, or if all are in the cache, as they were listed last.

    Raises:
        FetchError: nothing is there, it may not be read, or offline nothing is known of it.
    """
    noted = _noted(settings.cache, place)
    if noted is not None and (settings.offline or _from_cache(noted, settings, None)):
        return noted
    if settings.offline:
        raise FetchError(_missing(place, noted, settings))
    found = listing.resolve(place, transfer.open_store(place, settings))
    try:
        if found.base is not None:
            _note(settings.cache, place, found)
    except OSError as error:
        raise disk.explain(error, settings.cache, place.url) from None
    return found


def fetch(place: BucketPlace, found: Listing, settings: Settings) -> None:
    """Have the objects of a listing in the cache.

    Raises:
        FetchError: one can't be fetched.
    """
    if _from_cache(found, settings, None) is None:
        _fetched(place, found, settings, transfer.open_store(place, settings), None)


def tidy(root: Path, *, listings: bool) -> None:
    """Remove the folders that link to a file that is no longer there.

    With `listings`, forget what locations stood for, too: the stores are asked again.
    """
    for home in (root / _FOLDERS).glob("*"):
        if any(link.is_symlink() and not link.exists() for link in home.rglob("*")):
            shutil.rmtree(home)
    for path in (root / _LISTINGS).glob("*.json") if listings else ():
        path.unlink(missing_ok=True)


def file_name(stored: StoredObject) -> str:
    """The name of an object's file."""
    return stored.name.rpartition("/")[2]


def _object(stored: StoredObject, expected: Expected, settings: Settings, store: Store) -> Path:
    if expected.size not in (None, stored.size):
        raise HashMismatch(
            f"{stored.url}: the object is {stored.size:,} bytes and should be "
            f"{expected.size:,}; it is not the file this location is known for."
        )
    source = Source(
        location=stored.url,
        name=file_name(stored),
        write=lambda part: transfer.download(stored, part, store),
    )
    wanted = replace(expected, size=stored.size, version=stored.generation)
    return fetch_cached(source, wanted, settings)


def _fetched(
    place: BucketPlace, found: Listing, settings: Settings, store: Store, enough: Enough | None
) -> list[Path]:
    """The objects as files, in the order of the listing; the first error ends all."""
    total = sum(each.size for each in found.objects)
    done: dict[str, int] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()

    def report(stored: StoredObject, count: int) -> None:
        """The progress of many files as that of one."""
        with lock:
            if errors:
                # Out of the thread that fetches; what came of the file stays for the next time.
                raise CancelledError
            done[stored.name] = count
            if settings.progress is not None and count > 0:
                settings.progress(place.url, sum(done.values()), total)

    def fetch(stored: StoredObject) -> Path:
        own = replace(settings, progress=lambda _, count, __: report(stored, count))
        try:
            report(stored, 0)
            path = _object(stored, Expected(), own, store)
            report(stored, stored.size)
        except BaseException as error:
            errors.append(error)
            raise
        return path

    if enough is not None:
        paths = []
        for stored in found.objects:
            paths.append(fetch(stored))
            if enough(paths[-1]):
                break
        return paths
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
        under_way = [pool.submit(fetch, stored) for stored in found.objects]
        try:
            wait(under_way)
        except BaseException as error:
            errors.append(error)
            raise
    if errors:
        raise errors[0]
    return [each.result() for each in under_way]


def _from_cache(found: Listing, settings: Settings, enough: Enough | None) -> list[Path] | None:
    """The files of a listing if all that are needed are in the cache, else None."""
    paths = []
    for stored in found.objects:
        path = _in_cache(stored, settings)
        if path is None:
            return None
        paths.append(path)
        if enough is not None and enough(path):
            break
    return paths


def _in_cache(stored: StoredObject, settings: Settings) -> Path | None:
    expected = Expected(size=stored.size, version=stored.generation)
    return cache.find(settings.cache, stored.url, expected)


def _missing(place: BucketPlace, noted: Listing | None, settings: Settings) -> str:
    if noted is None:
        what = "it is not in the cache"
    else:
        absent = [each.name for each in noted.objects if _in_cache(each, settings) is None]
        what = f"{len(absent)} of its {len(noted.objects)} objects are not in the cache"
        what += f" ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''})"
    return (
        f"{place.url}: {what} {settings.cache}, and offline nothing is fetched. Fetch it once "
        "without offline=True and MODELZOO_RUNNER_OFFLINE, or give the path of a folder."
    )


def _listing_path(root: Path, place: BucketPlace) -> Path:
    return root / _LISTINGS / f"{cache.key(place.url)}.json"


def _note(root: Path, place: BucketPlace, found: Listing) -> None:
    path = _listing_path(root, place)
    disk.make_private(path.parent)
    record = {"location": place.url} | asdict(found)
    atomic.write_text(path, json.dumps(record, indent=1) + "\n")


def _noted(root: Path, place: BucketPlace) -> Listing | None:
    try:
        record = json.loads(_listing_path(root, place).read_text(encoding="utf-8"))
        objects = tuple(StoredObject(**each) for each in record["objects"])
        base = record["base"]
        is_right = objects and all(_is_of(place, base, each) for each in objects)
        if is_right and record["location"] == place.url:
            return Listing(base=base, objects=objects)
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_of(place: BucketPlace, base: str | None, stored: StoredObject) -> bool:
    """Whether an object that was noted can be one of that place, below the folder `base`."""
    is_there = (stored.scheme, stored.bucket) == (place.scheme, place.bucket)
    texts = (stored.generation or "", stored.crc32c or "")
    is_plain = all(isinstance(each, str) for each in texts) and type(stored.size) is int
    name = stored.name
    return is_there and is_plain and unsafe_reason(name) is None and name.startswith(base or "")


def _linked_folder(root: Path, found: Listing, paths: Sequence[Path]) -> Path:
    """The folder with `paths`, which are the first objects of a listing as files."""
    base = found.base or ""
    chosen = found.objects[: len(paths)]
    links = {each.name.removeprefix(base): path for each, path in zip(chosen, paths, strict=True)}
    versions = "\n".join(f"{each.url}#{each.generation}" for each in chosen)
    home = root / _FOLDERS / cache.key(f"{base}\n{versions}")
    tree = home / (base.rstrip("/").rpartition("/")[2] or chosen[0].bucket)
    if not _has_all(tree, links):
        _make_links(home, tree.name, links)
    return tree


def _has_all(tree: Path, links: dict[str, Path]) -> bool:
    return all((tree / name).exists() for name in links)


def _make_links(home: Path, name: str, links: dict[str, Path]) -> None:
    """Make the links beside their place, then put all of them there at once."""
    making = home.with_name(f"{home.name}.{uuid.uuid4().hex}")
    for relative, path in links.items():
        link = making / name / relative
        disk.make_private(link.parent)
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
