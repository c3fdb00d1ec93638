"""Hashes of a stream, worked out beside the thread that receives it.

Hashing in line would add its own time to a download's; both let go of Python's lock, so two threads
overlap them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

_AHEAD = 8


class Digests:
    """SHA-256 and CRC-32C of the blocks given to `update`."""

    def __init__(self) -> None:
        import google_crc32c

        self._sha256 = hashlib.sha256()
        self._crc32c = google_crc32c.Checksum()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="digests")
        self._under_way: deque[Future[None]] = deque()

    def update(self, block: bytes) -> None:
        """Add a block, which must not change afterwards."""
        if len(self._under_way) >= _AHEAD:
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
