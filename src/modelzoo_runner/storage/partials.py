"""Files being downloaded: written under a name of their own, hashed, and resumed.

Two processes never write to one file, whether or not locks work: each writes to a file that nobody
else has. What an interrupted process left is copied, not continued, and only if the version of the
remote file was noted beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import disk
from modelzoo_runner.values import atomic

_BLOCK = 1 << 19
_SUFFIX = ".part"

Report = Callable[[int, int | None], None]
"""Called with the bytes written so far and the total, if known."""


class Partial:
    """A file being written. `version` is the ETag or generation its bytes so far belong to."""

    def __init__(self, path: Path, *, location: str, largest: int, report: Report) -> None:
        self.path = path
        self.location = location
        self.largest = largest
        self.total: int | None = None
        self._report = report
        # Encrypted lines bring 16 kB at a time.
        self._file = path.open("xb", buffering=_BLOCK)
        self._begin(None)
        with contextlib.suppress(OSError):
            # Tells others that the writer lives, and ends with the process however that ends.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _begin(self, version: str | None) -> None:
        import google_crc32c

        self.version = version
        self.done = self._reported = 0
        self._sha256 = hashlib.sha256()
        self._crc32c = google_crc32c.Checksum()

    def restart(self, version: str | None) -> None:
        """Begin again with nothing, of this version; None where the server doesn't name one."""
        self._file.seek(0)
        self._file.truncate()
        self._begin(version)
        if version is None:
            note_of(self.path).unlink(missing_ok=True)
        else:
            note_of(self.path).write_text(json.dumps({"version": version}), encoding="utf-8")

    def expect(self, total: int | None) -> None:
        """Say how large the whole file will be, if that is known.

        Raises:
            FetchError: it is larger than it may be.
            OSError: the disk has no room for it.
        """
        self.total = total
        if total is not None:
            if total > self.largest:
                raise FetchError(
                    f"{self.location}: the file is {total:,} bytes, more than the "
                    f"{self.largest:,} it may have."
                )
            disk.require_space(self.path.parent, total - self.done)

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises:
            FetchError: that would be more than `largest` bytes.
            OSError: the disk doesn't take it.
        """
        if self.done + len(data) > self.largest:
            self.restart(None)
            raise FetchError(
                f"{self.location}: more came than the {self.largest:,} bytes the file may have."
            )
        self._file.write(data)
        self._sha256.update(data)
        self._crc32c.update(data)
        self.done += len(data)
        if self.done - self._reported >= _BLOCK or self.done == self.total:
            self._reported = self.done
            self._report(self.done, self.total)

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, in hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def crc32c(self) -> bytes:
        """The CRC-32C of what was written: four bytes, the highest first."""
        return bytes(self._crc32c.digest())

    def publish(self, path: Path) -> None:
        """Give the file its name, once it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        try:
            self.path.replace(path)
        except FileNotFoundError:
            raise FetchError(
                f"{self.location}: what came was removed from {path.parent} while it came, as by "
                "`modelzoo-runner cache clear`. Fetch it again."
            ) from None
        note_of(self.path).unlink(missing_ok=True)
        atomic.sync_folder(path.parent)

    def close(self, *, keep: bool) -> None:
        """Let go of it; with `keep`, another attempt may go on from here."""
        if not keep or self.version is None or not self.done:
            _unlink(self.path)
        with contextlib.suppress(OSError):  # what is still to be written, on a full disk
            self._file.close()


def note_of(path: Path) -> Path:
    """The file beside a partial file that says which version it is a part of."""
    return path.with_suffix(".json")


@contextlib.contextmanager
def create(folder: Path, *, location: str, largest: int, report: Report) -> Iterator[Partial]:
    """A `Partial` in `folder`, beginning with what was left there, if anything was.

    When the block fails its bytes stay for the next attempt, unless they are known to be wrong or
    the disk is what failed. After `publish` there is nothing to stay.
    """
    path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
    part = Partial(path, location=location, largest=largest, report=report)
    keep = False
    try:
        _resume(folder, part)
        yield part
    except (HashMismatch, OSError):
        raise
    except BaseException:
        keep = True
        raise
    finally:
        part.close(keep=keep)


def remove(folder: Path) -> int:
    """Remove what dead processes left in `folder`; return the bytes freed."""
    freed = 0
    for path in _left(folder):
        freed += path.stat().st_size
        _unlink(path)
    return freed


def total_size(folder: Path) -> int:
    """A number that changes as long as somebody writes to a part in `folder`."""
    size = 0
    # Whoever writes there removes what it wrote, and the folder, when it is done.
    with contextlib.suppress(FileNotFoundError):
        for path in list(folder.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
    return size


def _resume(folder: Path, part: Partial) -> None:
    """Copy the longest part that was left into `part`, and remove them all."""
    left = _left(folder)
    if part.path in left:
        # Our own looks as if nobody wrote to it: locks mean nothing on this file system.
        return
    for path in sorted(left, key=lambda each: each.stat().st_size, reverse=True):
        version = _noted_version(path)
        if part.done == 0 and version is not None and path.stat().st_size <= part.largest:
            part.restart(version)
            with disk.open_own(path) as file:
                while block := file.read(_BLOCK):
                    part.write(block)
        _unlink(path)


def _left(folder: Path) -> list[Path]:
    """The parts in `folder` whose writers are gone: nobody holds their lock."""
    found = []
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError), disk.open_own(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(path)
    return found


def _noted_version(path: Path) -> str | None:
    try:
        version = json.loads(note_of(path).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, str) else None


def _unlink(path: Path) -> None:
    for each in (path, note_of(path)):
        each.unlink(missing_ok=True)
