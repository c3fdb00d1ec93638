"""The order of files read in turn, beside tf.data's own."""

from __future__ import annotations

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.data import interleave

COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=9)


def in_turn(counts: list[int], starts: list[tuple[int, int]], cycle: int) -> list[tuple[int, int]]:
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
@settings(deadline=None, max_examples=60)
def test_what_is_left_comes_in_the_order_of_the_whole(
    counts: list[int], data: st.DataObject, cycle: int
) -> None:
    first = data.draw(st.integers(0, sum(counts)))
    whole = in_turn(counts, [(file, 0) for file in range(len(counts))], cycle)
    left = interleave.resume(counts, first, in_turn=cycle)
    assert (in_turn(counts, left, cycle) if left else []) == whole[first:]


@pytest.mark.parametrize("first", [4, 5, 100])
def test_nothing_is_left_after_the_end(first: int) -> None:
    left = interleave.resume([2, 0, 2], first, in_turn=2)
    assert all(read == [2, 0, 2][file] for file, read in left)
