"""Records of files that TensorFlow can't open: the same, in order, and no more than needed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from elsewhere import Elsewhere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelzoo_runner.data import imagenet, interleave, pipeline
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.data.records import writing
from modelzoo_runner.errors import FetchError, RunnerError
from modelzoo_runner.values.preset import Preprocess

SMALL = Preprocess(size=(32, 32), resize="shorter_side", resize_to=40)


def files(folder: Path, counts: list[int]) -> list[Path]:
    """Record files with so many records each; a record says where it is."""
    paths = []
    for file, count in enumerate(counts):
        paths.append(folder / f"{file}.tfrecord")
        with writing(paths[-1]) as writer:
            for number in range(count):
                writer.write(b"%d %d\0" % (file, number))
    return paths


def beginnings(paths: Sequence[object]) -> list[tuple[int, int]]:
    """All files, from their first record on."""
    return [(file, 0) for file in range(len(paths))]


def as_tensorflow(paths: list[Path], limit: int | None = None) -> list[tuple[int, int, bytes]]:
    found = pipeline._records(paths, beginnings(paths), ReadOptions(limit=limit), [])
    return [(int(f), int(n), data) for f, n, data in found.as_numpy_iterator()]


def through_dataset(
    paths: list[Any], failures: list[RunnerError] | None = None, **asked: Any
) -> list[tuple[int, int, bytes]]:
    failures = [] if failures is None else failures
    made = interleave.dataset(paths, beginnings(paths), 4, ReadOptions(**asked), failures)
    return [
        (int(f), int(n), data)
        for f, n, data in itertools.islice(made.as_numpy_iterator(), asked.get("limit") or 100)
    ]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=9))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_is_tensorflows(tmp_path: Path, counts: list[int]) -> None:
    paths = files(tmp_path, counts)
    found = list(interleave.in_turn(paths, beginnings(paths), pipeline.INTERLEAVED_FILES))
    assert found == as_tensorflow(paths)
    assert len(found) == sum(counts)


def test_the_dataset_is_tensorflows(tmp_path: Path) -> None:
    paths = files(tmp_path, [3, 1, 4, 1, 5])
    folder = Elsewhere(tmp_path)
    there = sorted(folder.iterdir())
    assert through_dataset(there) == as_tensorflow(paths)
    assert through_dataset(there, limit=6) == as_tensorflow(paths, 6)
    assert through_dataset(there, limit=100) == as_tensorflow(paths)
    assert all(file.closed for file in folder.files)


def test_a_file_is_opened_when_it_is_needed_and_closed_at_once_when_it_is_not(
    tmp_path: Path,
) -> None:
    files(tmp_path, [2, 2, 2, 2, 2, 2])
    folder = Elsewhere(tmp_path)
    there = sorted(folder.iterdir())
    with closing(interleave.in_turn(there, beginnings(there), 4)) as found:
        for wanted in (1, 2, 3, 4, 4, 4, 4, 4, 5):
            next(found)
            assert len(folder.opened) == wanted
        assert [file.closed for file in folder.files] == [True] * 4 + [False]
    assert all(file.closed for file in folder.files)
    assert folder.opened == [f"{number}.tfrecord" for number in range(5)]


def test_repeat_begins_again_with_the_same(tmp_path: Path) -> None:
    paths = files(tmp_path, [2, 3])
    once = as_tensorflow(paths)
    folder = Elsewhere(tmp_path)
    there = sorted(folder.iterdir())
    again = through_dataset(there, repeat=True)
    assert again == once * 20
    first = as_tensorflow(paths, 3)
    options = ReadOptions(limit=3, repeat=True)
    made = interleave.dataset(there, beginnings(there), 4, options, []).as_numpy_iterator()
    assert [next(made)[2] for _ in range(7)] == [data for *_, data in first * 2 + first[:1]]


class Broken(Elsewhere):
    """What can't be read."""

    def open(self, mode: str, buffering: int = -1) -> Any:
        raise FetchError(f"{self}: the line is down.")


@pytest.mark.parametrize("repeat", [False, True])
def test_an_error_keeps_its_kind_and_comes_after_what_came_before(
    tmp_path: Path, repeat: bool
) -> None:
    first, second = files(tmp_path, [2, 2])
    failures: list[RunnerError] = []
    found = through_dataset([Elsewhere(first), Broken(second)], failures, repeat=repeat)
    assert found == [(0, 0, b"0 0\0")]
    (error,) = failures
    assert isinstance(error, FetchError) and str(error) == f"{second}: the line is down."


@pytest.fixture
def shards(tmp_path: Path, encode: Any, example: Any) -> Path:
    """Six shards of 7, 1, 4, 5, 2 and 3 images."""
    number = itertools.count()
    (tmp_path / "data").mkdir()
    for shard, count in enumerate([7, 1, 4, 5, 2, 3]):
        with writing(tmp_path / "data" / f"validation-{shard:05}-of-00006") as writer:
            for _ in range(count):
                values = {
                    "image/encoded": encode(50, 45, seed=(each := next(number))),
                    "image/class/label": each + 1,
                    "image/filename": b"image_%d.JPEG" % each,
                }
                writer.write(example(values))
    return tmp_path / "data"


def images(location: Path | Elsewhere, **asked: Any) -> list[Any]:
    given = {"batch_size": 4, "threads": 1, **asked}
    with closing(imagenet.batches(imagenet.find(location), SMALL, ReadOptions(**given))) as found:
        return list(itertools.islice(found, 12))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"batch_size": 1},
        {"batch_size": 100, "threads": 3},
        {"limit": 9},
        {"limit": 9, "repeat": True},
        {"repeat": True, "batch_size": 5},
        {"first": 9},
        {"first": 3, "limit": 8},
        {"first": 22},
    ],
)
def test_batches_are_the_same_wherever_the_files_are(shards: Path, asked: dict[str, Any]) -> None:
    here, there = images(shards, **asked), images(Elsewhere(shards), **asked)
    assert [batch.names for batch in here] == [batch.names for batch in there]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.truth, other.truth)
        np.testing.assert_array_equal(one.inputs, other.inputs)


def test_only_the_last_batch_is_short(shards: Path) -> None:
    assert [len(batch) for batch in images(Elsewhere(shards))] == [4, 4, 4, 4, 4, 2]


def test_what_is_left_early_is_closed(shards: Path) -> None:
    folder = Elsewhere(shards)
    before = threading.active_count()
    options = ReadOptions(threads=2)
    with closing(imagenet.batches(imagenet.find(folder), SMALL, options)) as found:
        next(found)
    del found
    assert len(folder.files) >= 2 and all(file.closed for file in folder.files)
    assert threading.active_count() == before


def test_batches_that_came_before_an_error_are_not_lost(shards: Path) -> None:
    found = imagenet.find(Elsewhere(shards))
    *sound, last = found.files
    broken = replace(found, files=(*sound, Broken(last.path)))
    batches = imagenet.batches(broken, SMALL, ReadOptions(batch_size=3))
    names = [batch.names for batch in itertools.islice(batches, 5)]
    assert names == [batch.names for batch in images(shards, batch_size=3)][:5]
    with pytest.raises(FetchError, match=r"validation-00005-of-00006: the line is down\.$"):
        list(batches)


# What is left after the first records.

COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=9)


def by_tf_data(
    counts: list[int], starts: list[tuple[int, int]], cycle: int
) -> list[tuple[int, int]]:
    """(file, record) as tf.data gives them when it reads `starts`."""
    files, firsts = (tf.constant(each, tf.int64) for each in zip(*starts, strict=True))
    ends = tf.constant([counts[file] for file, _ in starts], tf.int64)

    def of_file(file: tf.Tensor, first: tf.Tensor, end: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.range(first, end).map(lambda record: (file, record))

    cycle = min(cycle, len(starts))
    records = tf.data.Dataset.from_tensor_slices((files, firsts, ends)).interleave(
        of_file, cycle_length=cycle, num_parallel_calls=cycle, deterministic=True
    )
    return [(int(file), int(record)) for file, record in records.as_numpy_iterator()]


@given(counts=COUNTS, data=st.data(), cycle=st.integers(1, 5))
@settings(max_examples=20)
def test_what_is_left_comes_in_the_order_of_the_whole(
    counts: list[int], data: st.DataObject, cycle: int
) -> None:
    first = data.draw(st.integers(0, sum(counts)))
    limit = data.draw(st.integers(1, sum(counts) + 1))
    whole = by_tf_data(counts, [(file, 0) for file in range(len(counts))], cycle)
    left = interleave.resume(counts, first, cycle=cycle)
    assert (by_tf_data(counts, left, cycle) if left else []) == whole[first:]
    needed = interleave.resume(counts, first, cycle=cycle, limit=limit)
    found = by_tf_data(counts, needed, cycle) if needed else []
    assert found[:limit] == whole[first : first + limit]
    assert {file for file, _ in whole[first : first + limit]} <= {file for file, _ in needed}


def test_files_of_other_records_are_left_out() -> None:
    counts = [10] * 12
    assert interleave.resume(counts, 0, cycle=4, limit=40) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert interleave.resume(counts, 41, cycle=4, limit=2) == [(5, 0), (6, 0)]
    assert [file for file, _ in interleave.resume(counts, 30, cycle=4, limit=20)] == [
        *(2, 3, 0, 1),
        *(4, 5, 6, 7),
    ]


def test_to_find_a_place_among_millions_takes_no_time() -> None:
    counts = [10**9, 10**9 + 1, 3, 10**9, 10**9]
    assert interleave.resume(counts, 4 * 10**9 - 4, cycle=3)[0] == (4, 10**9 - 8)


@pytest.mark.parametrize("first", [4, 5, 100])
def test_nothing_is_left_after_the_end(first: int) -> None:
    left = interleave.resume([2, 0, 2], first, cycle=2)
    assert all(read == [2, 0, 2][file] for file, read in left)
