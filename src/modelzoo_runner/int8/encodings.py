"""How each tensor's real values become 8-bit integers.

Values that are never below zero become unsigned integers, with zero at 0. Values of both signs do
too, shifted: what reads them takes the shift back in its bias, which costs nothing and keeps all 8
bits. Where zeros are padded around the integers it can't be taken back: then they are signed, or
the zeros are put around the real values, which keeps the bits and costs time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from modelzoo_runner.int8.cutoff import Range
from modelzoo_runner.int8.units import Findings

# A range narrower than this is taken to be this wide.
_NARROWEST = 1e-6

# Signed integers are taken for real values that are padded if steps are no wider than this, as
# shares of what they would be without a sign: images from -1 to 1 (1.0), or less a mean (1.1).
_HARDLY_WIDER = 1.125


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Which integers stand for which real values.

    Unsigned: 0 ... 255 stand for `low` ... `high`. Signed: -127 ... 127 for -`high` ... `high`.
    """

    low: float
    high: float
    signed: bool = False

    @property
    def shift(self) -> float:
        """The real value that the integer 0 stands for."""
        return 0.0 if self.signed else self.low

    @property
    def span(self) -> float:
        """The real distance between the integer 0 and the largest one."""
        return self.high if self.signed else self.high - self.low

    def with_sign(self) -> Encoding:
        """The same range in integers that need no shift."""
        if self.low >= 0:
            return self
        largest = max(self.high, -self.low)
        return Encoding(low=-largest, high=largest, signed=True)


def wanted(findings: Findings) -> list[str]:
    """The tensors whose ranges have to be known: all that will be there as integers."""
    tensors: dict[str, None] = {}
    for unit in findings.units.values():
        tensors[unit.input] = None
        if findings.is_int8(unit.output):
            tensors[unit.output] = None
    return list(tensors | dict.fromkeys(findings.carriers))


def choose(findings: Findings, ranges: Mapping[str, Range]) -> dict[str, Encoding]:
    """The encoding of each tensor that will be there as integers.

    What goes into one concatenation, and what goes in and out of a pooling, has one encoding.
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
    """The range of all these tensors together, with zero in it."""
    low, high = 0.0, _NARROWEST
    for tensor in tensors:
        unit = findings.units.get(tensor)
        largest = 6.0 if unit is not None and unit.activation == "Relu6" else float("inf")
        high = max(high, min(ranges[tensor].high, largest))
        if tensor not in findings.positive:
            low = min(low, ranges[tensor].low)
    return low, high


def _needs_sign(encoding: Encoding, tensors: Collection[str], findings: Findings) -> bool:
    """Whether a reader pads zeros, and signed integers suit all that make and read the tensors."""
    units = findings.units.values()
    makers = [unit for unit in units if unit.output in tensors]
    readers = [unit for unit in units if unit.input in tensors]
    suits = all(unit.op == "Conv2D" and unit.summand is None for unit in (*makers, *readers))
    summed = any(unit.summand in tensors for unit in units)
    if not suits or summed or not any(unit.sees_padding for unit in readers):
        return False
    # What a unit puts out would have to be made real to be padded, and integers again.
    return bool(makers) or encoding.with_sign().span * 2 <= encoding.span * _HARDLY_WIDER


def _groups(tensors: Iterable[str], findings: Findings) -> list[list[str]]:
    """The tensors that have to have the same encoding, together."""
    group_of = {tensor: [tensor] for tensor in tensors}
    for carrier in findings.carriers.values():
        for tensor in carrier.inputs:
            theirs, ours = group_of[tensor], group_of[carrier.name]
            if theirs is not ours:
                ours += theirs
                group_of |= dict.fromkeys(theirs, ours)
    return list({id(group): group for group in group_of.values()}.values())
