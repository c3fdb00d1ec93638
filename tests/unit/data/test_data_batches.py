"""Made batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.data.batches import ALIGNMENT, Batch, aligned_empty, synthetic
from modelzoo_runner.errors import RequestError

GOOD: dict[str, Any] = {
    "shape": (3, 8, 8, 3),
    "dtype": "float32",
    "value_range": (-1.0, 1.0),
    "seed": 7,
}


def some(count: int, **changes: Any) -> list[Batch]:
    return list(itertools.islice(synthetic(**{**GOOD, **changes}), count))


def test_distinct_batches_come_again_and_again() -> None:
    first, second, third, fourth = some(4, distinct=2)
    assert first is third
    assert second is fourth
    assert (first.inputs != second.inputs).any()
    assert len(first) == 3
    assert first.truth is None


def test_a_transform_makes_each_example_from_a_batch_of_one() -> None:
    seen: list[tuple[int, ...]] = []

    def halves(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        seen.append(image.shape)
        return image[:, :4].astype(np.float16) / 2

    (made,) = some(1, transform=halves, distinct=1)
    (plain,) = some(1, distinct=1)
    assert seen == [(1, 8, 8, 3)] * 3
    np.testing.assert_array_equal(made.inputs, plain.inputs[:, :4].astype(np.float16) / 2)
    assert made.inputs.dtype == np.float16 and made.inputs.ctypes.data % ALIGNMENT == 0


def test_the_seed_decides_every_value() -> None:
    for one, two in zip(some(4), some(4), strict=True):
        assert (one.inputs == two.inputs).all()
    assert (some(1)[0].inputs != some(1, seed=8)[0].inputs).any()


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "float16", "float64", "uint8", "int8", "int32"]),
    distinct=st.integers(1, 5),
)
def test_memory_begins_where_tensorflow_wants_it(
    shape: tuple[int, ...], dtype: str, distinct: int
) -> None:
    for batch in some(distinct, shape=shape, dtype=dtype, value_range=(0, 100), distinct=distinct):
        assert batch.inputs.shape == shape
        assert batch.inputs.dtype == dtype
        assert batch.inputs.ctypes.data % ALIGNMENT == 0
        assert batch.inputs.flags.c_contiguous


@pytest.mark.parametrize(
    ("dtype", "value_range"),
    [
        ("float32", (-1.0, 1.0)),
        ("float32", (-123.68, 151.06)),
        ("uint8", (0.0, 255.0)),
        ("int8", (-128, 127)),
    ],
)
def test_values_fill_the_range(dtype: str, value_range: tuple[float, float]) -> None:
    low, high = value_range
    for batch in some(4, shape=(4, 32, 32, 3), dtype=dtype, value_range=value_range):
        assert low <= batch.inputs.min() < batch.inputs.max() <= high
        middle, spread = (low + high) / 2, high - low
        assert abs(batch.inputs.mean(dtype=float) - middle) < spread / 50
        # Uniform: the standard deviation is the width / sqrt(12). Never all zeros.
        assert abs(batch.inputs.std(dtype=float) - spread / np.sqrt(12)) < spread / 50


def test_whole_numbers_reach_both_ends() -> None:
    (batch,) = some(1, shape=(10_000,), dtype="uint8", value_range=(0, 255))
    assert batch.inputs.min() == 0
    assert batch.inputs.max() == 255


def test_batches_are_not_to_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        some(1)[0].inputs[0] = 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": ()}, r"shape=\(\): every side of a batch should be 1 or more"),
        ({"shape": (0, 3)}, r"shape=\(0, 3\): every side"),
        ({"distinct": 0}, r"distinct=0: .*at least 1"),
        ({"dtype": "bool"}, "dtype='bool': should be a float or an integer type"),
        ({"value_range": (1.0, 1.0)}, "should be two numbers, the smaller first"),
        ({"value_range": (0.0, float("nan"))}, "should be two numbers, the smaller first"),
        (
            {"dtype": "uint8", "value_range": (0.0, 0.99)},
            r"value_range=\(0.0, 0.99\): should hold two whole numbers or more, between 0 and 255, "
            "for dtype 'uint8'",
        ),
        ({"dtype": "uint8", "value_range": (-1.0, 1.0)}, "between 0 and 255"),
    ],
)
def test_what_can_not_be_is_refused_at_once(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        synthetic(**{**GOOD, **changes})


def test_aligned_arrays_are_of_their_shape() -> None:
    assert aligned_empty((2, 3), "float32").shape == (2, 3)
    assert aligned_empty((0, 3), "float32").shape == (0, 3)
