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
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import disk
from modelzoo_runner.values import atomic

_BLOCK = 1 << 19
_SENT_AT_ONCE = 8 << 20

_SUFFIX = ".part"
_HASHED_AHEAD = 8

Report = Callable[[int, int | None], None]
"""Called with the bytes written so far and the total, if known."""


class Digests:
    """SHA-256 and CRC-32C of the blocks given to `update`, computed by a thread of its own.

    Both release the interpreter's lock, so hashing adds nothing to the time of a download.
    """

    def __init__(self) -> None:
        import google_crc32c

        self._sha256 = hashlib.sha256()
        self._crc32c = google_crc32c.Checksum()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="digests")
        self._under_way: deque[Future[None]] = deque()

    def update(self, block: bytes) -> None:
        """Add a block, which must not change afterwards."""
        if len(self._under_way) >= _HASHED_AHEAD:
            self._under_way.popleft().result()
        self._under_way.append(self._worker.submit(self._hash, block))

    def sha256(self) -> str:
        """The SHA-256 so far, in hexadecimal."""
        self._wait()
        return self._sha256.hexdigest()

    def crc32c(self) -> bytes:
        """The CRC-32C so far: four bytes, the highest first."""
        self._wait()
        return bytes(self._crc32c.digest())

    def close(self) -> None:
        """End the thread."""
        self._worker.shutdown()

    def _hash(self, block: bytes) -> None:
        self._sha256.update(block)
        self._crc32c.update(block)

    def _wait(self) -> None:
        while self._under_way:
            self._under_way.popleft().result()


class Partial:
    """A file being written. `version` is the ETag or generation its bytes so far belong to."""

    def __init__(self, path: Path, *, location: str, largest: int, report: Report) -> None:
        self.path = path
        self.location = location
        self.largest = largest
        self.total: int | None = None
        self.version: str | None = None
        self.done = 0
        self._sent = 0
        self._report = report
        self._waiting = bytearray()
        self._digests = Digests()
        self._file = path.open("xb", buffering=0)
        with contextlib.suppress(OSError):
            # Tells others that the writer lives, and ends with the process however that ends.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def restart(self, version: str | None) -> None:
        """Begin again with nothing, of this version; None where the server doesn't name one."""
        self._file.seek(0)
        self._file.truncate()
        self._waiting.clear()
        self._digests.close()
        self._digests = Digests()
        self._sent = 0
        self.done = 0
        self.version = version
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

    def write(self, data: bytes) -> int:
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
        self.done += len(data)
        # Encrypted lines bring 16 kB at a time.
        self._waiting += data
        if len(self._waiting) >= _BLOCK:
            self._flush()
        return len(data)

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, in hexadecimal."""
        self._flush()
        return self._digests.sha256()

    @property
    def crc32c(self) -> bytes:
        """The CRC-32C of what was written: four bytes, the highest first."""
        self._flush()
        return self._digests.crc32c()

    def publish(self, path: Path) -> None:
        """Give the file its name, once it is on the disk."""
        self._flush()
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
        if keep and self.version is not None and self.done:
            with contextlib.suppress(OSError):
                self._flush()
        else:
            _unlink(self.path)
        self._digests.close()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            block = bytes(self._waiting)
            self._waiting.clear()
            self._digests.update(block)
            left = memoryview(block)
            while left:
                left = left[self._file.write(left) :]
            self._send_to_disk()
            self._report(self.done, self.total)

    def _send_to_disk(self) -> None:
        """Let the disk begin now, so that little is left to wait for at the end."""
        length = self._file.tell() - self._sent
        if length >= _SENT_AT_ONCE:
            with contextlib.suppress(OSError):
                # It begins to write what isn't written, and that stays in memory.
                os.posix_fadvise(self._file.fileno(), self._sent, length, os.POSIX_FADV_DONTNEED)
            self._sent += length


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
