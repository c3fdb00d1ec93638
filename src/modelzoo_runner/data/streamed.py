"""Records of files that TensorFlow can't open, as it would give them if it could.

The files are read in Python, from their beginning to their end and no sooner than their records are
wanted, so a first part of the examples needs a first part of the files. The order is that of
`tf.data.Dataset.interleave`: where the files are makes no difference to the examples.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.records import read_records
from modelzoo_runner.errors import RunnerError

if TYPE_CHECKING:
    import tensorflow as tf


class Record(NamedTuple):
    """A record: the position of its file, its number in that file, and its bytes."""

    file: int
    number: int
    data: bytes


def in_turn(
    files: Sequence[ReadablePath], starts: Sequence[tuple[int, int]], cycle: int
) -> Generator[Record]:
    """The records of files: one from each of `cycle` open ones in turn.

    A file that has ended misses its turn, and in the next one the next file takes its place.
    `starts` are the files to read, by position, and how many records of each to leave out.

    Raises:
        RunnerError: a file is broken, or can't be read any further.
    """
    waiting = iter(starts)

    def place() -> Generator[Record | None]:
        for file, first in waiting:
            with contextlib.closing(read_records(files[file], first=first)) as found:
                for number, data in enumerate(found, start=first):
                    yield Record(file, number, data)
            yield None

    with contextlib.ExitStack() as stack:
        places = deque(stack.enter_context(contextlib.closing(place())) for _ in range(cycle))
        while places:
            try:
                record = next(places[0])
            except StopIteration:
                places.popleft()
                continue
            places.rotate(-1)
            if record is not None:
                yield record


def dataset(
    files: Sequence[ReadablePath],
    starts: Sequence[tuple[int, int]],
    *,
    cycle: int,
    limit: int | None,
    repeat: bool,
    failures: list[RunnerError],
) -> tf.data.Dataset:
    """(position of the file, number in it, record), each a scalar; `starts` as in `in_turn`.

    Where reading fails the records end, and the error is added to `failures`: TensorFlow would hide
    what kind it is, and print it with the inside of its own.
    """
    import tensorflow as tf

    def rounds() -> Iterator[Record]:
        for _ in count() if repeat else range(1):
            with contextlib.closing(in_turn(files, starts, cycle)) as found:
                yield from islice(found, limit)

    def all_there_are() -> Iterator[Record]:
        try:
            yield from rounds()
        except RunnerError as error:
            failures.append(error)

    whole_number, text = tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.string)
    return tf.data.Dataset.from_generator(
        all_there_are, output_signature=(whole_number, whole_number, text)
    )
