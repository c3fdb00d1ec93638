"""Read one object of a bucket in place, from start to end, ahead of its use."""

from __future__ import annotations

import base64
import io
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import gcs, https, responses, retrying
from modelzoo_runner.storage.access import Access, Account
from modelzoo_runner.storage.gcs import StoredObject
from modelzoo_runner.storage.retrying import Interrupted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
MOST_BLOCKS = 8
"""What is held of a file: so many blocks of a MiB, and the one being used."""


class _BlockReader(io.RawIOBase):
    """A file that comes in blocks, of which `_next_block` returns the next; none at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._block = memoryview(b"")

    def _next_block(self) -> bytes:
        raise NotImplementedError

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill some of `buffer`; 0 at the end."""
        if not self._block:
            self._block = memoryview(self._next_block())
        into = memoryview(buffer).cast("B")
        count = min(len(into), len(self._block))
        into[:count] = self._block[:count]
        self._block = self._block[count:]
        return count


class ObjectReader(_BlockReader):
    """The bytes of an object at its generation, asked for again from where they broke off.

    At the end they are compared with the object's CRC-32C.
    """

    def __init__(self, stored: StoredObject, access: Access) -> None:
        import google_crc32c

        super().__init__()
        self._stored = stored
        self._access = access
        self._blocks: Generator[bytes, None, None] | None = None
        self._crc32c = google_crc32c.Checksum()
        self._position = 0

    def tell(self) -> int:
        """How many bytes were read."""
        return self._position - len(self._block)

    def close(self) -> None:
        """Close the connection."""
        self._hang_up()
        super().close()

    def _next_block(self) -> bytes:
        if self._position == self._stored.size:
            return b""
        block = retrying.until_done(
            lambda: self._access.once(self._stored.url, self._advance),
            done=lambda: self._position,
            retry=self._access.settings.retry,
            what=self._stored.url,
        )
        if self._position == self._stored.size:
            self._compare()
        return block

    def _advance(self, account: Account) -> bytes:
        try:
            if self._blocks is None:
                self._blocks = self._opened(account)
            block = next(self._blocks, b"")
            if not block:
                raise Interrupted(f"{self._position:,} of {self._stored.size:,} bytes came")
        except BaseException:
            self._hang_up()
            raise
        self._position += len(block)
        self._crc32c.update(block)
        return block

    def _opened(self, account: Account) -> Generator[bytes, None, None]:
        url = gcs.media_url(self._stored, self._access.settings.endpoint)
        retry = self._access.settings.retry
        headers = {"Range": f"bytes={self._position}-"} if self._position else {}
        with https.request(account.session, "GET", url, headers, retry) as response:
            gcs.refuse(response)
            responses.raise_for_status(response, url)
            if responses.file_info(response).start != self._position:
                raise FetchError(f"{self._stored.url}: the server doesn't send parts of a file.")
            yield from https.body(response, retry)

    def _hang_up(self) -> None:
        if self._blocks is not None:
            self._blocks.close()
            self._blocks = None

    def _compare(self) -> None:
        stated = self._stored.crc32c
        if stated is not None and base64.b64decode(stated) != self._crc32c.digest():
            raise HashMismatch(
                f"{self._stored.url}: what was read does not fit the object's crc32c. It was "
                "damaged on the way: read it again."
            )


class ReadAhead(_BlockReader):
    """The bytes of `file`, in order, which a thread of its own reads ahead.

    It begins with one block and goes further ahead with each that is used, so that a file whose
    beginning is looked at costs little more than that. What the file raises is raised where its
    bytes would have come.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._ended = False
        self._ahead = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._coming: deque[Future[bytes]] = deque()
        self._go_ahead()

    def close(self) -> None:
        """Stop reading, and close the file."""
        if not self.closed:
            self._ended = True
            self._worker.shutdown(cancel_futures=True)
            self._file.close()
        super().close()

    def _next_block(self) -> bytes:
        block = self._coming.popleft().result()
        self._go_ahead()
        return block

    def _go_ahead(self) -> None:
        self._ahead = min(MOST_BLOCKS, self._ahead + 1)
        while len(self._coming) < self._ahead:
            self._coming.append(self._worker.submit(self._read_block))

    def _read_block(self) -> bytes:
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
