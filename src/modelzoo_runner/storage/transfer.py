"""The stores, and the bytes of an object: into a file, or in order as they are used.

Both go on where the line broke, and compare the object's CRC-32C at the end, where it has one.
"""

from __future__ import annotations

import base64
import io
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from modelzoo_runner.errors import HashMismatch
from modelzoo_runner.storage import retrying
from modelzoo_runner.storage.listing import Store, StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.partials import Partial
from modelzoo_runner.storage.retrying import Interrupted
from modelzoo_runner.storage.settings import Settings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_BLOCKS = 8
"""What is held of a file: so many blocks of a MiB at most, and the one being used."""


def open_store(place: BucketPlace, settings: Settings) -> Store:
    """The store that a location is in."""
    if place.scheme == "gs":
        from modelzoo_runner.storage import gcs

        return gcs.Buckets(settings)
    from modelzoo_runner.storage import fsspec_store

    return fsspec_store.FsspecStore(place, settings)


def download(stored: StoredObject, part: Partial, store: Store) -> None:
    """Write an object to `part`, going on from what is there of the same version.

    Raises:
        FetchError: in words, with the account that asked.
    """

    def attempt() -> None:
        part.expect(stored.size)
        if part.done < stored.size:
            for block in store.blocks(stored, part.done):
                part.write(block)
        if part.done != stored.size:
            raise Interrupted(f"{part.done:,} of {stored.size:,} bytes came")
        if not _fits(stored, part.crc32c):
            part.restart(stored.generation)
            raise Interrupted("what came does not fit the object's crc32c")

    if part.version is None or part.version != stored.generation:
        part.restart(stored.generation)
    retrying.until_done(
        attempt, done=lambda: part.done, retry=store.settings.retry, what=stored.url
    )


def blocks(stored: StoredObject, store: Store) -> Iterator[bytes]:
    """The bytes of an object, in blocks of at most a MiB, asked for as they are used.

    Raises:
        FetchError: in words, with the account that asked.
        HashMismatch: before the last block, where what came doesn't fit the object's checksum.
    """
    import google_crc32c

    checksum = google_crc32c.Checksum()
    position = 0
    coming: Iterator[bytes] | None = None

    def advance() -> bytes:
        nonlocal coming
        try:
            coming = coming or store.blocks(stored, position)
            block = next(coming, b"")
            if not block:
                raise Interrupted(f"{position:,} of {stored.size:,} bytes came")
        except BaseException:
            coming = None  # which ends its request
            raise
        return block

    def reached() -> int:
        return position

    while position < stored.size:
        block = retrying.until_done(
            advance, done=reached, retry=store.settings.retry, what=stored.url
        )
        position += len(block)
        checksum.update(block)
        if position >= stored.size and not _fits(stored, checksum.digest()):
            raise HashMismatch(
                f"{stored.url}: what was read does not fit the object's crc32c. It was damaged on "
                "the way: read it again."
            )
        yield block


def _fits(stored: StoredObject, crc32c: bytes) -> bool:
    return stored.crc32c is None or base64.b64decode(stored.crc32c) == crc32c


class ReadAhead(io.RawIOBase):
    """A file of the bytes of `blocks`, in order, which a thread of its own reads ahead.

    It begins with one block and goes further ahead with each that is used, so that a file whose
    beginning is looked at costs little more than that. What `blocks` raises is raised where its
    bytes would have come.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._block = memoryview(b"")
        self._ended = False
        self._ahead = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._coming: deque[Future[bytes]] = deque()
        self._go_ahead()

    def readable(self) -> bool:
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
        """Stop reading, and end the request."""
        if not self.closed:
            self._ended = True
            self._worker.shutdown(cancel_futures=True)
            if isinstance(self._blocks, Generator):
                self._blocks.close()
        super().close()

    def _go_ahead(self) -> None:
        self._ahead = min(MOST_BLOCKS, self._ahead + 1)
        while len(self._coming) < self._ahead:
            self._coming.append(self._worker.submit(self._next_block))

    def _next_block(self) -> bytes:
        if self._ended:
            return b""
        try:
            block = next(self._blocks, b"")
        except BaseException:
            # It was tried as often as it makes sense; the blocks after it need not try again.
            self._ended = True
            raise
        self._ended = not block
        return block
