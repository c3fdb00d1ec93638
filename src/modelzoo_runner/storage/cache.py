"""The cache: one folder a location, a record beside each file, and nothing trusted without it.

    <cache>/files/<key>/content/<name>     the file; <key> is the hash of its location
    <cache>/files/<key>/record.json        what it is: written after the file, removed before it
    <cache>/files/<key>/*.part             files on their way (see `partial`)

A file counts as there when its record is, and its inode, size and times are as recorded: setting
the modification time back changes ctime. When only those differ, or the record is another user's,
the file is read and hashed again. Links, and records that don't name a plain file, are never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import stat
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from modelzoo_runner.storage import disk, partials
from modelzoo_runner.storage.locations import unsafe_reason
from modelzoo_runner.storage.partials import Partial
from modelzoo_runner.values import atomic, words
from modelzoo_runner.values.files import sha256_of

log = logging.getLogger("modelzoo_runner")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is known about a file before it comes. `version` is its ETag or generation."""

    sha256: str | None = None
    size: int | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One file in the cache: where it is from, where it is, and what it was when it came."""

    location: str
    path: Path
    size: int
    sha256: str
    version: str | None
    identity: tuple[int, ...]
    fetched_at: str

    def __post_init__(self) -> None:
        texts = (self.location, self.sha256, self.fetched_at)
        numbers = (self.size, *self.identity)
        if (
            not all(isinstance(each, str) for each in texts)
            or not all(type(each) is int for each in numbers)
            or not isinstance(self.version, str | None)
        ):
            raise TypeError("a record with values of other types")


def key(location: str) -> str:
    """The name of a location's folder. 128 bits of a hash: two locations never share one."""
    return hashlib.sha256(location.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def folder_of(cache: Path, location: str) -> Path:
    """The folder of one location in the cache."""
    return cache / "files" / key(location)


def path_of(cache: Path, location: str, name: str) -> Path:
    """Where the file of a location is, once it is there."""
    return folder_of(cache, location) / "content" / name


def find(cache: Path, location: str, expected: Expected) -> Path | None:
    """The file of that location if it is there, whole, untouched and the one expected.

    Nothing has to be written for it, so a cache that somebody else filled can be read-only.
    """
    entry = _recorded(folder_of(cache, location))
    if entry is None or entry.location != location:
        return None
    wanted = (expected.sha256, expected.size, expected.version)
    there = (entry.sha256, entry.size, entry.version)
    if any(want not in (None, have) for want, have in zip(wanted, there, strict=True)):
        log.info("%s: another version than the one in the cache is wanted now", location)
        return None
    identity = None
    with contextlib.suppress(OSError):
        identity = _identity(entry.path)  # before it is read: it may change meanwhile
    found = problem(entry, thorough=False)
    if found is not None:
        log.warning("%s: the cached file %s is not used: %s", location, entry.path, found)
        return None
    if identity is not None and identity != entry.identity:
        # It was read and is right, only touched; next time it need not be read again.
        with contextlib.suppress(OSError):
            _record(replace(entry, identity=identity))
    return entry.path


def store(cache: Path, location: str, name: str, part: Partial) -> Path:
    """Put a file that came whole into the cache, and record it."""
    folder = folder_of(cache, location)
    path = path_of(cache, location, name)
    if path.parent.is_symlink():
        path.parent.unlink()  # it would lead the file elsewhere
    disk.make_private(path.parent)
    (folder / _RECORD).unlink(missing_ok=True)
    part.publish(path)
    entry = CacheEntry(
        location=location,
        path=path,
        size=part.done,
        sha256=part.sha256,
        version=part.version,
        identity=_identity(path),
        fetched_at=words.now(),
    )
    try:
        _record(entry)
    except OSError:
        path.unlink()
        raise
    return path


def entries(cache: Path) -> tuple[CacheEntry, ...]:
    """The files in the cache, by location."""
    recorded = (_recorded(folder) for folder in (cache / "files").glob("*"))
    return tuple(sorted((each for each in recorded if each), key=lambda each: each.location))


def problem(entry: CacheEntry, *, thorough: bool) -> str | None:
    """What is wrong with a file in the cache, or None.

    It is read and hashed when `thorough`, or when its inode or one of its times isn't as recorded.
    """
    try:
        status = entry.path.lstat()
        if not stat.S_ISREG(status.st_mode) or entry.path.parent.is_symlink():
            return "it is a link, or no file"
        if status.st_uid not in (os.geteuid(), entry.path.parents[2].stat().st_uid):
            return f"it belongs to another user (id {status.st_uid})"
        if status.st_size != entry.size:
            return f"it has {status.st_size:,} bytes and had {entry.size:,} when it came"
        if not thorough and _identity(entry.path) == entry.identity:
            return None
        found = sha256_of(entry.path)
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    if found != entry.sha256:
        return f"its sha256 is {found} and was {entry.sha256} when it came"
    return None


def remove(folder: Path) -> int:
    """Remove what is in a location's folder, but not what somebody writes there just now.

    Returns the bytes freed.
    """
    content = folder / "content"
    freed = sum(path.stat().st_size for path in content.glob("*"))
    # The record first: whatever stops the rest, a file without a record isn't used.
    (folder / _RECORD).unlink(missing_ok=True)
    if content.is_dir():
        shutil.rmtree(content)
    freed += partials.remove(folder)
    remove_if_empty(folder)
    return freed


def remove_if_empty(folder: Path) -> None:
    """Remove a location's folder if there is nothing in it."""
    for each in (folder / "content", folder):
        with contextlib.suppress(OSError):
            each.rmdir()


_RECORD = "record.json"
_LARGEST_RECORD = 1 << 20


def _identity(path: Path) -> tuple[int, int, int]:
    """Inode, modification and change time: one differs if a file was replaced or written to."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _record(entry: CacheEntry) -> None:
    record = asdict(entry) | {"path": entry.path.name}
    atomic.write_text(entry.path.parents[1] / _RECORD, json.dumps(record, indent=1) + "\n")


def _recorded(folder: Path) -> CacheEntry | None:
    """What the record of a folder says; None when there is none, or not one that can be read."""
    try:
        if folder.is_symlink():
            return None
        with disk.open_plain(folder / _RECORD) as file:
            record = json.loads(file.read(_LARGEST_RECORD))
            is_own = disk.is_own(file)
        name = record["path"]
        if "/" in name or unsafe_reason(name) is not None:
            return None
        # Records of earlier releases hold the modification time alone: read and hash once.
        identity = tuple(record.pop("identity", (record.pop("modified_ns", 0),)))
        # What another user says of a file is held to its bytes each time.
        identity = identity if is_own else ()
        path = folder / "content" / name
        return CacheEntry(**record | {"path": path, "identity": identity})
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError):
        return None
