"""Record files -> batches whose rows threads fill in place, in an order that is always the same.

The order is that of `pipeline`, whose batches these are, made without TensorFlow: a thread reads
records and checks them, others fill the rows, and the next batches are made while one is used.
Interpreted code runs for some 40 microseconds an image, so that twenty thousand images a second are
the most that a process makes, however many cores it has.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from modelzoo_runner.data import interleave
from modelzoo_runner.data.batches import ReadOptions, aligned_empty
from modelzoo_runner.data.interleave import Record
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.pipeline import INTERLEAVED_FILES, READY_BATCHES, where_to_start
from modelzoo_runner.errors import RunnerError

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, Any]
    Fill = Callable[[Record, np.ndarray[Any, Any]], Mapping[str, Any]]


NICER = 10
"""Threads that fill rows are that much nicer than the process, and so take what a step leaves of
the CPUs. The threads of a step wait for one another: one that has to share its CPU holds up all. On
two CPUs an accuracy run of int8 MobileNet v1 does 600 images a second in place of 555."""


class _Taken(NamedTuple):
    """The records of a batch, rows for their inputs, and what ended the reading, if it failed."""

    records: list[Record]
    inputs: np.ndarray[Any, Any]
    failure: RunnerError | None


def array_batches(
    files: Sequence[ReadablePath], fill: Fill, shape: tuple[int, ...], options: ReadOptions
) -> Generator[Arrays, None, None]:
    """Batches of what `fill` makes of each record, by name, and its rows as `image`.

    As `pipeline.array_batches`: `file` and `record` are there too, the last batch may be shorter,
    and `close()` ends the threads.

    Args:
        files: record files.
        fill: writes a record's row, float32 of `shape`, and returns the rest of the example. Called
            in the threads; it raises a `DataError` that names what is wrong with the record.
        shape: of a row.
        options: which examples; so many threads fill rows.

    Raises:
        DataError: while iterating, naming file, record, byte and problem.
        RunnerError: while iterating: a file can't be read any further.
    """
    starts = where_to_start(files, options)
    if not starts:
        return
    size = options.batch_size
    parts = min(options.threads, size)
    stopped = Event()
    with ExitStack() as stack:
        records = interleave.records(files, starts, INTERLEAVED_FILES, options)
        stack.enter_context(closing(records))
        reader = stack.enter_context(ThreadPoolExecutor(1, "read"))
        fillers = stack.enter_context(
            ThreadPoolExecutor(options.threads, "decode", _yield_to_steps)
        )
        stack.callback(stopped.set)

        # More than usual where batches are so small that threads would have nothing to do.
        ahead = max(READY_BATCHES, -(-options.threads // size))
        memory = _Memory((size, *shape), kept=ahead + 2)

        def begun() -> tuple[Future[_Taken], list[Future[list[Mapping[str, Any]]]]]:
            taken = reader.submit(_take, records, size, memory, stopped)
            edges = [part * size // parts for part in range(parts + 1)]
            rows = map(range, edges, edges[1:])
            return taken, [fillers.submit(_filled, taken, each, fill, stopped) for each in rows]

        waiting = deque(begun() for _ in range(ahead))
        while (arrays := _arrays(*waiting.popleft())) is not None:
            waiting.append(begun())
            yield arrays


def _yield_to_steps() -> None:
    """Make this thread a nice one."""
    thread = threading.get_native_id()
    nice = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, min(nice + NICER, 19))


class _Memory:
    """Memory for batches, used again: the system clears what is new, page by page.

    `kept` is how many batches are kept for that.
    """

    def __init__(self, shape: tuple[int, ...], *, kept: int) -> None:
        self._shape = shape
        self._kept: deque[np.ndarray[Any, Any]] = deque(maxlen=kept)

    def rows(self, count: int) -> np.ndarray[Any, Any]:
        """So many rows, not filled, which nobody else holds."""
        import numpy as np

        for each in self._kept:
            # By `each`, which it is the base of, as of every array in it, and by this call.
            if sys.getrefcount(each.base) <= 2:
                return each[:count]
        self._kept.append(own := aligned_empty(self._shape, np.float32))
        return own[:count]


def _take(records: Iterator[Record], size: int, memory: _Memory, stopped: Event) -> _Taken:
    """The next records, as far as they can be read."""
    found: list[Record] = []
    failure = None
    try:
        for record in islice(records, size):
            found.append(record)
            if stopped.is_set():
                break
    except RunnerError as error:
        failure = error
    return _Taken(found, memory.rows(len(found)), failure)


def _filled(
    taken: Future[_Taken], rows: range, fill: Fill, stopped: Event
) -> list[Mapping[str, Any]]:
    """The examples of some rows, after writing these."""
    records, inputs, _ = taken.result()
    found = []
    for row in rows:
        if row >= len(records) or stopped.is_set():
            break
        found.append(fill(records[row], inputs[row]))
    return found


def _arrays(taken: Future[_Taken], filled: list[Future[list[Mapping[str, Any]]]]) -> Arrays | None:
    """A batch when it is ready, `None` after the last."""
    import numpy as np

    examples = [example for part in filled for example in part.result()]
    records, inputs, failure = taken.result()
    if failure is not None:
        raise failure
    if not records:
        return None
    inputs.setflags(write=False)
    return {
        "file": np.array([record.file for record in records], np.int64),
        "record": np.array([record.number for record in records], np.int64),
        **{name: [example[name] for example in examples] for name in examples[0]},
        "image": inputs,
    }
