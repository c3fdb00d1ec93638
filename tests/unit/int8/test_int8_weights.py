from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelzoo_runner.int8.encodings import quantize_weights, real_weights

filters = arrays.arrays(
    np.float32,
    st.tuples(*[st.integers(1, 5)] * 4),
    elements=st.floats(-4, 4, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3),
)


@given(filters, st.booleans())
def test_no_weight_is_further_off_than_half_a_step(weights: Any, per_channel: bool) -> None:
    quantized = quantize_weights(weights, channel_axis=3, per_channel=per_channel, pairs_axis=None)
    assert quantized.integers.dtype == np.int8
    assert np.abs(quantized.integers.astype(int)).max() <= 127
    assert quantized.largest.shape == ((weights.shape[3],) if per_channel else ())
    error = np.abs(real_weights(quantized, 3) - weights)
    assert (error <= quantized.largest / 127 * 0.501 + 1e-9).all()


@given(filters)
def test_two_neighbours_never_overflow_16_bits(weights: Any) -> None:
    quantized = quantize_weights(weights, channel_axis=3, per_channel=True, pairs_axis=2)
    whole = quantized.integers.astype(int)
    for first in range(0, whole.shape[2] - 1, 2):
        pair = whole[:, :, first : first + 2]
        largest = max(np.maximum(pair, 0).sum(2).max(), -np.minimum(pair, 0).sum(2).min())
        assert 255 * largest < 2**15


def test_a_scale_for_each_channel_uses_all_of_the_range() -> None:
    weights = np.array([[1.0, 100.0], [-2.0, 30.0]], np.float32)
    quantized = quantize_weights(weights, channel_axis=1, per_channel=True, pairs_axis=None)
    assert quantized.largest.tolist() == [2.0, 100.0]
    assert quantized.integers.tolist() == [[64, 127], [-127, 38]]  # 63.5 to even


def test_one_scale_for_all() -> None:
    weights = np.array([[1.0, 100.0], [-2.0, 30.0]], np.float32)
    quantized = quantize_weights(weights, channel_axis=1, per_channel=False, pairs_axis=None)
    assert quantized.largest == 100.0
    assert quantized.integers.tolist() == [[1, 127], [-3, 38]]


def test_a_depthwise_filter_has_its_channels_on_axis_two() -> None:
    weights = np.array([1.0, 4.0], np.float32).reshape(1, 1, 2, 1)
    quantized = quantize_weights(weights, channel_axis=2, per_channel=True, pairs_axis=None)
    assert quantized.largest.tolist() == [1.0, 4.0]
    np.testing.assert_array_equal(quantized.integers.ravel(), [127, 127])
    np.testing.assert_allclose(real_weights(quantized, 2), weights)


@pytest.mark.parametrize("pairs_axis", [0, None])
def test_weights_that_are_all_zero_stay_zero(pairs_axis: int | None) -> None:
    zeros = np.zeros((3, 2), np.float32)
    quantized = quantize_weights(zeros, channel_axis=1, per_channel=True, pairs_axis=pairs_axis)
    assert not quantized.integers.any()
    assert not real_weights(quantized, 1).any()


def test_neighbours_of_opposite_sign_take_nothing_away() -> None:
    weights = np.array([[1.0], [-1.0], [0.5]], np.float32)
    quantized = quantize_weights(weights, channel_axis=1, per_channel=True, pairs_axis=0)
    assert quantized.largest.tolist() == [1.0]
    same = quantize_weights(np.abs(weights), channel_axis=1, per_channel=True, pairs_axis=0)
    assert same.largest.tolist() == [2.0]
