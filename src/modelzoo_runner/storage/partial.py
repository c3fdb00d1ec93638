"""A file on its way into the cache: it has a name of its own and is hashed as it is written."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import disk
from modelzoo_runner.storage.digests import Digests

_BLOCK = 1 << 19
_SENT_AT_ONCE = 8 << 20

Report = Callable[[int, int | None], None]
"""Called with the bytes there are and those there will be, if known."""


class Partial:
    """The file being written. `version` is the ETag or generation the bytes so far belong to.

    It has `write`, so that whatever writes to a file can write to it.
    """

    def __init__(self, path: Path, *, location: str, largest: int, report: Report) -> None:
        self.path = path
        self.location = location
        self.largest = largest
        self.total: int | None = None
        self.version: str | None = None
        self.done = 0
        self._sent = 0
        self._report = report
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._digests = Digests()
        self._file = path.open("xb", buffering=0)
        with contextlib.suppress(OSError):
            # Tells others that the writer lives, and ends with the process however that ends.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def restart(self, version: str | None) -> None:
        """Begin again with nothing, of this version; None where the server doesn't name one."""
        self._file.seek(0)
        self._file.truncate()
        self._drop_waiting()
        self._digests.close()
        self._digests = Digests()
        self._sent = 0
        self.done = 0
        self.version = version
        if version is None:
            self._note.unlink(missing_ok=True)
        else:
            self._note.write_text(json.dumps({"version": version}), encoding="utf-8")

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
            disk.need_room(self.path.parent, total - self.done)

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
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _BLOCK:
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
        self._note.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def close(self, *, keep: bool) -> None:
        """Let go of it; with `keep`, another attempt may go on from here."""
        if keep and self.version is not None and self.done:
            with contextlib.suppress(OSError):
                self._flush()
        else:
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)
        self._digests.close()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            block = b"".join(self._waiting)
            self._drop_waiting()
            self._store(block)

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    def _store(self, block: bytes) -> None:
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

    @property
    def _note(self) -> Path:
        return note_of(self.path)


def note_of(path: Path) -> Path:
    """The file beside a partial file that says which version it is a part of."""
    return path.with_suffix(".json")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
