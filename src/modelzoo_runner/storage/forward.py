"""A stream that goes forward only, and only so far.

`tarfile` trusts the sizes it reads: a header can make it read gigabytes at once, or send it back to
read the same header for ever. Between it and the archive, this refuses both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from modelzoo_runner.errors import UnsafeArchive

_BLOCK = 1 << 20


class _Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...


class Forward:
    """The part of a binary file that `tarfile` needs to read an archive from start to end."""

    def __init__(self, file: _Readable, archive: Path, allowed: int) -> None:
        self._file = file
        self._archive = archive
        self._allowed = allowed
        self._position = 0
        self._last = b""
        self._again = b""

    def tell(self) -> int:
        """How many bytes are behind."""
        return self._position

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or what is left.

        Raises:
            UnsafeArchive: more than a member's header or a block of it, or beyond what is allowed.
        """
        if not 0 <= count <= _BLOCK:
            raise self._refusal(f"a header of {count:,} bytes")
        data = self._again + self._file.read(count - len(self._again)) if count else b""
        if count:
            self._again = b""
        self._position += len(data)
        if self._position > self._allowed:
            raise self._refusal(f"more than {self._allowed:,} bytes after decompression")
        self._last = data[-1:] or self._last
        return data

    def seek(self, position: int) -> int:
        """Go forward to a byte; or one back, which `tarfile` does to see whether it is there."""
        if position == self._position - 1 and self._last:
            self._again, self._position = self._last, position
        elif position < self._position:
            raise self._refusal("a size that leads backwards")
        while self._position < position:
            if not self.read(min(_BLOCK, position - self._position)):
                break
        return self._position

    def drain(self) -> None:
        """Read to the end."""
        while self.read(_BLOCK):
            pass

    def _refusal(self, what: str) -> UnsafeArchive:
        return UnsafeArchive(f"{self._archive}: refused: it holds {what}. Nothing was taken out.")
