"""How float values become 8-bit integers: activations and weights.

Activations that are never negative become unsigned integers with zero at 0. Those of both signs are
unsigned and shifted: whatever reads them compensates for the shift in its bias, which is free and
keeps all 8 bits. Zero padding around shifted integers can't be compensated: then they are signed,
or the float values are padded before quantizing, which keeps the bits and costs time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from modelzoo_runner.int8.clipping import Range
from modelzoo_runner.int8.fused import Findings

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 127
"""The largest weight as an integer; -128 isn't used, so that one scale serves both signs."""

# Instead of a scale of 0, which would be divided by, for weights that are all zero.
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
    16 bits: 255 * (a + b) has to stay below 2**15, or the sum saturates silently. The
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
    """The weights dequantized."""
    import numpy as np

    integers, largest = quantized
    if largest.ndim:
        others = tuple(axis for axis in range(integers.ndim) if axis != channel_axis)
        largest = np.expand_dims(largest, others)
    return integers * (largest / LARGEST)


def _pair_sums(weights: NDArray[Any], axis: int) -> NDArray[Any]:
    """The largest magnitude of neighbours' sums along an axis, for inputs that aren't negative."""
    import numpy as np

    odd_one_out = weights.shape[axis] % 2
    around = [(0, odd_one_out if each == axis else 0) for each in range(weights.ndim)]
    along = np.moveaxis(np.pad(weights, around), axis, 0)
    first, second = along[0::2], along[1::2]
    upper = np.maximum(first, 0) + np.maximum(second, 0)
    lower = np.minimum(first, 0) + np.minimum(second, 0)
    sums: NDArray[Any] = np.moveaxis(np.maximum(upper, -lower), 0, axis)
    return sums


# The least width of a range.
_NARROWEST = 1e-6

# Padded float values are quantized with a sign if that makes the step at most this much wider than
# without: images from -1 to 1 (1.0), or less a mean (1.1).
_HARDLY_WIDER = 1.125


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The float value of each integer.

    Unsigned: 0 ... 255 stand for `low` ... `high`. Signed: -127 ... 127 for -`high` ... `high`.
    """

    low: float
    high: float
    signed: bool = False

    @property
    def shift(self) -> float:
        """The float value of the integer 0."""
        return 0.0 if self.signed else self.low

    @property
    def span(self) -> float:
        """The difference between the float values of the largest integer and of 0."""
        return self.high if self.signed else self.high - self.low

    def with_sign(self) -> Encoding:
        """The same range with signed integers, which need no shift."""
        if self.low >= 0:
            return self
        largest = max(self.high, -self.low)
        return Encoding(low=-largest, high=largest, signed=True)


def tensors_to_calibrate(findings: Findings) -> list[str]:
    """The tensors that will be quantized, whose ranges have to be known."""
    tensors: dict[str, None] = {}
    for layer in findings.layers.values():
        tensors[layer.input] = None
        if findings.is_int8(layer.output):
            tensors[layer.output] = None
    return list(tensors | dict.fromkeys(findings.pass_through))


def choose(findings: Findings, ranges: Mapping[str, Range]) -> dict[str, Encoding]:
    """The encoding of each tensor that will be quantized.

    All inputs of a concatenation share one encoding, and so do the input and output of a pooling.
    """
    encodings: dict[str, Encoding] = {}
    for tensors in _groups(ranges, findings):
        low, high = _limits(tensors, ranges, findings)
        encoding = Encoding(low=low, high=high)
        if _needs_sign(encoding, tensors, findings):
            encoding = encoding.with_sign()
        encodings |= dict.fromkeys(tensors, encoding)
    return encodings


def _limits(
    tensors: Collection[str], ranges: Mapping[str, Range], findings: Findings
) -> tuple[float, float]:
    """The range of all these tensors together, extended to zero."""
    low, high = 0.0, _NARROWEST
    for tensor in tensors:
        layer = findings.layers.get(tensor)
        largest = 6.0 if layer is not None and layer.activation == "Relu6" else float("inf")
        high = max(high, min(ranges[tensor].high, largest))
        if tensor not in findings.positive:
            low = min(low, ranges[tensor].low)
    return low, high


def _needs_sign(encoding: Encoding, tensors: Collection[str], findings: Findings) -> bool:
    """Whether a reader pads zeros, and all layers that write or read the tensors allow a sign."""
    layers = findings.layers.values()
    makers = [layer for layer in layers if layer.output in tensors]
    readers = [layer for layer in layers if layer.input in tensors]
    suits = all(layer.op == "Conv2D" and layer.summand is None for layer in (*makers, *readers))
    summed = any(layer.summand in tensors for layer in layers)
    if not suits or summed or not any(layer.sees_padding for layer in readers):
        return False
    # A layer's output would have to be dequantized, padded and quantized again.
    return bool(makers) or encoding.with_sign().span * 2 <= encoding.span * _HARDLY_WIDER


def _groups(tensors: Iterable[str], findings: Findings) -> list[list[str]]:
    """The tensors grouped by those that must share an encoding."""
    group_of = {tensor: [tensor] for tensor in tensors}
    for name, inputs in findings.pass_through.items():
        for tensor in inputs:
            theirs, ours = group_of[tensor], group_of[name]
            if theirs is not ours:
                ours += theirs
                group_of |= dict.fromkeys(theirs, ours)
    return list({id(group): group for group in group_of.values()}.values())
