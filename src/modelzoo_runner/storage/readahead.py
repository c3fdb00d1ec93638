"""A file whose next bytes are read before anybody asks for them."""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
MOST_BLOCKS = 8
"""What is held of a file: so many blocks of a MiB, and the one being used."""


class ReadAhead(io.RawIOBase):
    """The bytes of `file`, in order, which a thread of its own reads ahead.

    It begins with one block and goes further ahead with each that is used, so that a file whose
    beginning is looked at costs little more than that. What the file raises is raised where its
    bytes would have come.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._block = memoryview(b"")
        self._ended = False
        self._ahead = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._coming: deque[Future[bytes]] = deque()
        self._go_ahead()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill some of `buffer`; 0 at the end."""
        if not self._block:
            self._block = memoryview(self._coming.popleft().result())
            self._go_ahead()
        into = memoryview(buffer).cast("B")
        count = min(len(into), len(self._block))
        into[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        """Stop reading, and close the file."""
        if not self.closed:
            self._ended = True
            self._worker.shutdown(cancel_futures=True)
            self._file.close()
        super().close()

    def _go_ahead(self) -> None:
        self._ahead = min(MOST_BLOCKS, self._ahead + 1)
        while len(self._coming) < self._ahead:
            self._coming.append(self._worker.submit(self._next_block))

    def _next_block(self) -> bytes:
        if self._ended:
            return b""
        try:
            block = self._file.read(BLOCK)
        except BaseException:
            # It was tried as often as it makes sense; the blocks after it need not try again.
            self._ended = True
            raise
        self._ended = not block
        return block
