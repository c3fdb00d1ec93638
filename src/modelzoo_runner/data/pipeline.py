"""Record files -> batches of arrays, by tf.data, in an order that is always the same.

The files are read a few at a time, in turn; records are parsed by several threads and batched, and
the next batches are made while one is used. Nothing is shuffled, and the order depends on the files
alone, not on the threads, so the first hundred examples are the same hundred everywhere.

Files that TensorFlow can't open itself are read for it (`interleave`), in the same order.

When TensorFlow stops at a broken record it says neither which nor where. The same order makes it
possible to find it: it is among the batch that didn't come.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import interleave
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.preprocess import eagerly
from modelzoo_runner.data.records import count, offset_of, place, scan
from modelzoo_runner.errors import DataError, RunnerError

if TYPE_CHECKING:
    import tensorflow as tf

    Arrays = dict[str, Any]
    Parse = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]
    Check = Callable[[bytes, Callable[[], str]], None]

INTERLEAVED_FILES = 4
"""How many files are read in turn, one record each: part of the order, so not to be tuned."""

READ_AT_ONCE = 256 * 1024
"""Bytes, as `TFRecordDataset` reads them."""

READY_BATCHES = 2
"""How many batches may wait in memory while one is used."""


def array_batches(
    files: Sequence[ReadablePath], parse: Parse, check: Check, options: ReadOptions
) -> Generator[Arrays, None, None]:
    """Batches of what `parse` makes of each record, as read-only arrays by name.

    Beside the names of `parse` there are `file` (the position in `files`) and `record` (the number
    in that file), both int64 [n], so that whoever finds an example wrong can name it. The last
    batch may be shorter. `close()` on the iterator ends its threads.

    TensorFlow's eager context is used, and the first one fixes the size of the thread pool that
    sessions share: open the session first, or set `tf.config.threading`.

    Args:
        files: record files.
        parse: a TensorFlow function of one record (a string scalar).
        check: raises what is wrong with a record, given what to call it; only asked when TensorFlow
            has failed.
        options: which examples; a thread keeps to one core.

    Raises:
        DataError: while iterating, naming file, record, byte and problem.
        RunnerError: while iterating: a file can't be read any further.
    """
    import tensorflow as tf

    starts = where_to_start(files, options)
    if not starts:
        return
    failures: list[RunnerError] = []
    with eagerly():
        source = _records(files, starts, options, failures)
        batches = _batched(source, parse, options).as_numpy_iterator()
    delivered = 0
    while True:
        try:
            with eagerly():
                arrays = next(batches, None)
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            with eagerly():
                waiting = source.skip(delivered).take(options.batch_size)
                located = _located(error, files, starts, waiting, check)
            raise failures[0] if failures else located from error
        if arrays is None:
            if failures:
                raise failures[0]
            return
        delivered += len(arrays["file"])
        yield arrays


def where_to_start(files: Sequence[ReadablePath], options: ReadOptions) -> list[tuple[int, int]]:
    """The files to read, by position, and how many records of each to leave out."""
    # To count the records of a file that TensorFlow can't open, all of it is read.
    is_part = options.limit is not None and all(map(tensorflow_opens, files))
    if not options.first and not is_part:
        return [(file, 0) for file in range(len(files))]
    counts = [count(path) for path in files]
    return interleave.resume(counts, options.first, cycle=INTERLEAVED_FILES, limit=options.limit)


def _records(
    files: Sequence[ReadablePath],
    starts: Sequence[tuple[int, int]],
    options: ReadOptions,
    failures: list[RunnerError],
) -> tf.data.Dataset:
    """(position of the file, number in it, record), each a scalar.

    `starts` are the files to read, by position, and how many records of each to leave out.
    """
    import tensorflow as tf

    if not all(map(tensorflow_opens, files)):
        return interleave.dataset(files, starts, INTERLEAVED_FILES, options, failures)

    def of_file(
        file: tf.Tensor, first: tf.Tensor, path: tf.Tensor, offset: tf.Tensor
    ) -> tf.data.Dataset:
        if any(passed for _, passed in starts):
            records = _from_byte(path, offset)
        else:
            records = tf.data.TFRecordDataset(path)
        numbered = records.enumerate(first)
        return numbered.map(_unconverted(lambda number, record: (file, number, record)))

    positions, firsts = (tf.constant(each, tf.int64) for each in zip(*starts, strict=True))
    paths = [str(files[position]) for position, _ in starts]
    offsets = [offset_of(files[position], first) if first else 0 for position, first in starts]
    cycle = min(INTERLEAVED_FILES, len(starts))
    begins = (positions, firsts, paths, tf.constant(offsets, tf.int64))
    records = tf.data.Dataset.from_tensor_slices(begins).interleave(
        _unconverted(of_file), cycle_length=cycle, num_parallel_calls=cycle, deterministic=True
    )
    records = records if options.limit is None else records.take(options.limit)
    return records.repeat() if options.repeat else records


def _from_byte(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """The records of a file from a byte on; `TFRecordDataset` would read all that is before it."""
    import tensorflow as tf

    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=path[None],
        compression_type="",
        buffer_size=READ_AT_ONCE,
        byte_offsets=offset[None],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _batched(source: tf.data.Dataset, parse: Parse, given: ReadOptions) -> tf.data.Dataset:
    import tensorflow as tf

    def example(file: tf.Tensor, number: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"file": file, "record": number, **parse(record)}

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # it takes what threads and memory it likes
    options.threading.private_threadpool_size = given.threads
    options.threading.max_intra_op_parallelism = 1
    examples = source.map(
        _unconverted(example), num_parallel_calls=given.threads, deterministic=True
    )
    return examples.batch(given.batch_size).prefetch(READY_BATCHES).with_options(options)


def tensorflow_opens(path: ReadablePath) -> bool:
    """Whether TensorFlow can open a file itself: it has a name on this machine."""
    return isinstance(path, os.PathLike)


def _unconverted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is: there is no Python control flow in it to turn into a graph's."""
    import tensorflow as tf

    converted: Callable[..., Any] = tf.autograph.experimental.do_not_convert(function)
    return converted


def _located(
    error: tf.errors.OpError | UnicodeDecodeError,
    files: Sequence[ReadablePath],
    starts: Sequence[tuple[int, int]],
    waiting: tf.data.Dataset,
    check: Check,
) -> DataError:
    """The error that names the record which made TensorFlow stop."""
    import tensorflow as tf

    try:
        # Parsing quotes the record, and a quotation that isn't UTF-8 hides the error itself.
        if isinstance(error, (tf.errors.InvalidArgumentError, UnicodeDecodeError)):
            for file, number, record in waiting.as_numpy_iterator():
                check(record, partial(place, files[file], int(number)))
        for path in (files[file] for file, _ in starts):
            if tensorflow_opens(path):
                scan(path)
    except DataError as found:
        return found
    said = str(error).partition("\n")[0] or type(error).__name__
    return DataError(f"{files[0].parent}: TensorFlow can't read or decode a record: {said}")
