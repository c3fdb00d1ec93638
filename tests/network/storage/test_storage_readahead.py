"""Reading ahead: the same bytes, a bounded number of them, and no thread left behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage.transfer import MOST_BLOCKS, ReadAhead

BLOCK = 1 << 16


class Counted:
    """Blocks, of which it counts the ones asked for; `fails_at` is the one that fails."""

    def __init__(self, content: bytes, fails_at: int | None = None) -> None:
        self.reads = 0
        self.changed = threading.Condition()
        self._file = io.BytesIO(content)
        self._fails_at = fails_at

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self.changed:
            self.reads += 1
            self.changed.notify()
        if self.reads == self._fails_at:
            raise FetchError("the line is down")
        if block := self._file.read(BLOCK):
            return block
        raise StopIteration

    def reaches(self, reads: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.reads >= reads, timeout=10)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [each for each in threading.enumerate() if each.name.startswith("read-ahead")]


@given(st.integers(0, 3 * BLOCK), st.integers(1, 2 * BLOCK))
@settings(max_examples=30)
def test_the_bytes_are_the_files(size: int, piece: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    with io.BufferedReader(ReadAhead(Counted(content[:size])), BLOCK) as file:
        assert b"".join(iter(lambda: file.read(piece), b"")) == content[:size]
        assert file.read(1) == b""


def test_it_goes_further_ahead_with_each_block_up_to_its_bound() -> None:
    source = Counted(bytes(40 * BLOCK))
    with ReadAhead(source) as file:
        assert source.reaches(1)
        for used in range(1, 20):
            assert len(file.read(BLOCK)) == BLOCK
            ahead = min(MOST_BLOCKS, used + 1)
            assert source.reaches(used + ahead)
            assert source.reads == used + ahead


def test_an_error_comes_where_the_bytes_would_have() -> None:
    source = Counted(bytes(5 * BLOCK), fails_at=3)
    with ReadAhead(source) as file:
        assert len(file.read(BLOCK)) == len(file.read(BLOCK)) == BLOCK
        with pytest.raises(FetchError, match="the line is down"):
            file.read(BLOCK)
    assert source.reads == 3, "it was tried again after it had failed"


def test_closing_ends_the_reading() -> None:
    source = Counted(bytes(40 * BLOCK))
    ended = threading.Event()

    def blocks() -> Iterator[bytes]:
        try:
            yield from source
        finally:
            ended.set()

    file: Any = ReadAhead(blocks())
    file.read(10)
    file.close()
    file.close()
    assert ended.is_set() and source.reads <= 3
