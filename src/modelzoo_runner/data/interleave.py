"""Reading several record files in turn, in the order of `tf.data.Dataset.interleave`.

That order (`deterministic=True`, a block length of 1) is one record of each of the first few files
in turn; a file that has ended leaves its place empty for that round, and the next file takes the
place in the round after. Files that TensorFlow can't open are read here in Python, from beginning
to end and no sooner than their records are wanted: where files are makes no difference.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

from modelzoo_runner.data.batches import ReadOptions
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


def resume(
    counts: Sequence[int], first: int, *, cycle: int, limit: int | None = None
) -> list[tuple[int, int]]:
    """What is left to be read after the first `first` records: (file, records read of it).

    The same order over that list gives the records that follow, as they would have come. A file
    that was read to its end may still be in it: it holds its place.

    Args:
        counts: the number of records in each file.
        first: how many records to leave out.
        cycle: how many files are read in turn.
        limit: how many records follow; files that aren't needed for these are left out.

    >>> resume([2, 2, 2], 3, cycle=2)
    [(1, 1), (0, 2), (2, 0)]
    >>> resume([2, 2, 2], 2, cycle=2, limit=1)
    [(0, 1)]
    """
    if limit is not None:
        # Of what isn't needed as much is read afterwards as before.
        after = dict(resume(counts, first + limit, cycle=cycle))
        before = resume(counts, first, cycle=cycle)
        return [(file, read) for file, read in before if after.get(file) != read]
    waiting = deque(range(len(counts)))
    # The places in the order of their turns; `None` is an empty one.
    places: deque[tuple[int, int] | None] = deque()
    for _ in range(min(cycle, len(counts))):
        places.append((waiting.popleft(), 0))
    left = first
    while left:
        # Whole rounds at once while no place changes its file: there may be a million records.
        filled = [place for place in places if place is not None]
        if filled and (len(filled) == len(places) or not waiting):
            records_left = min(counts[file] - read for file, read in filled)
            rounds = min(records_left, left // len(filled))
            places = deque(place and (place[0], place[1] + rounds) for place in places)
            left -= rounds * len(filled)
            if not left:
                break
        place = places.popleft()
        if place is None and waiting:
            place = (waiting.popleft(), 0)
        if place is None:
            if not any(places):
                return []
            places.append(None)
            continue
        file, read = place
        if read == counts[file]:
            places.append(None)
            continue
        places.append((file, read + 1))
        left -= 1
    while places and places[0] and places[0][1] == counts[places[0][0]]:
        # Files that have ended and whose turn it is are left: their places are empty for a round.
        places.popleft()
        places.append(None)
    following = [(file, 0) for file in waiting]
    # Empty places are filled in the order of their turns.
    at_hand = [place if place or not following else following.pop(0) for place in places]
    return [place for place in at_hand if place is not None] + following


def in_turn(
    files: Sequence[ReadablePath], starts: Sequence[tuple[int, int]], cycle: int
) -> Generator[Record]:
    """The records of files in that order.

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


def records(
    files: Sequence[ReadablePath],
    starts: Sequence[tuple[int, int]],
    cycle: int,
    options: ReadOptions,
) -> Generator[Record]:
    """The records of files in that order, as many and as often as `options` say.

    Raises:
        RunnerError: as `in_turn`.
    """
    for _ in count() if options.repeat else range(1):
        with contextlib.closing(in_turn(files, starts, cycle)) as found:
            yield from islice(found, options.limit)


def dataset(
    files: Sequence[ReadablePath],
    starts: Sequence[tuple[int, int]],
    cycle: int,
    options: ReadOptions,
    failures: list[RunnerError],
) -> tf.data.Dataset:
    """(position of the file, number in it, record), each a scalar; `starts` as in `in_turn`.

    Where reading fails the records end, and the error is added to `failures`: TensorFlow would hide
    its class, and print a traceback of its own.
    """
    import tensorflow as tf

    def until_failure() -> Iterator[Record]:
        try:
            with contextlib.closing(records(files, starts, cycle, options)) as found:
                yield from found
        except RunnerError as error:
            failures.append(error)

    whole_number, text = tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.string)
    return tf.data.Dataset.from_generator(
        until_failure, output_signature=(whole_number, whole_number, text)
    )
