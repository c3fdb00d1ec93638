"""Which integers stand for which real values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.int8.clipping import Range
from modelzoo_runner.int8.encodings import Encoding, choose, tensors_to_calibrate
from modelzoo_runner.int8.fused import Findings, FusedLayer


def layer(name: str, input: str, op: str = "Conv2D", **how: Any) -> FusedLayer:
    weights, bias = np.zeros((3, 3, 4, 4), np.float32), np.zeros(4, np.float32)
    return FusedLayer(
        name=name, op=op, input=input, output=name, nodes=(name,), weights=weights, bias=bias, **how
    )


def findings(
    *layers: FusedLayer, pass_through: dict[str, tuple[str, ...]] | None = None, positive: str = ""
) -> Findings:
    return Findings(
        layers={each.output: each for each in layers},
        pass_through=pass_through or {},
        float_reasons={},
        positive=set(positive.split()),
    )


def ranges(**spans: tuple[float, float]) -> dict[str, Range]:
    return {name: Range(*span) for name, span in spans.items()}


@given(st.floats(-100, 0), st.floats(0.01, 100))
def test_an_encoding_holds_its_range_with_and_without_sign(low: float, high: float) -> None:
    plain = Encoding(low=low, high=high)
    assert plain.shift == low and plain.span == high - low
    signed = plain.with_sign()
    if low == 0:
        assert signed is plain
    else:
        assert signed.shift == 0 and signed.signed
        assert signed.span == signed.high == -signed.low == max(high, -low)


def test_wanted_are_the_tensors_that_will_be_integers() -> None:
    matrix = layer("matrix", "pool", op="MatMul")
    assert tensors_to_calibrate(
        findings(layer("a", "image"), matrix, pass_through={"pool": ("a",)})
    ) == [
        "image",
        "a",
        "pool",
    ]


def test_values_that_are_never_below_zero_have_no_shift() -> None:
    found = choose(
        findings(layer("a", "image"), positive="a"), ranges(image=(-1.0, 3.0), a=(-0.5, 2.0))
    )
    assert found == {"image": Encoding(low=-1.0, high=3.0), "a": Encoding(low=0.0, high=2.0)}


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (-1e-9, 1e-9), (0.5, 0.5)])
def test_a_range_has_zero_in_it_and_some_width(low: float, high: float) -> None:
    encoding = choose(findings(layer("a", "image")), ranges(image=(low, high), a=(0.0, 1.0)))[
        "image"
    ]
    assert encoding.low <= 0 < encoding.high and encoding.span >= 1e-6


def test_relu6_reaches_to_six_at_most() -> None:
    layers = [layer("a", "image", activation="Relu6"), layer("b", "a", activation="Relu")]
    found = choose(findings(*layers, positive="a b"), ranges(image=(0, 1), a=(0, 6.1), b=(0, 6.1)))
    assert found["a"].high == 6.0 and found["b"].high == 6.1


def test_what_a_pooling_or_a_concatenation_joins_has_one_encoding() -> None:
    pass_through = {"pool": ("a",), "concat": ("pool", "b")}
    layers = [layer("a", "image"), layer("b", "image"), layer("c", "concat")]
    found = choose(
        findings(*layers, pass_through=pass_through, positive="a b pool concat"),
        ranges(image=(0, 1), a=(0, 2), b=(0, 3), pool=(0, 2), concat=(0, 3), c=(0, 9)),
    )
    one = Encoding(low=0.0, high=3.0)
    assert {name for name, encoding in found.items() if encoding == one} == {
        "a", "b", "pool", "concat"
    }  # fmt: skip


PADDED: dict[str, Any] = {"padding": "SAME", "pads": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("reader", "signed"),
    [
        (layer("b", "a", **PADDED), True),
        (layer("b", "a", padding="SAME", pads=None), True),
        (layer("b", "a"), False),  # nothing is padded
        (layer("b", "a", op="DepthwiseConv2dNative", **PADDED), False),  # takes none with a sign
        (layer("b", "a", summand="c", **PADDED), False),
    ],
)
def test_what_is_padded_between_convolutions_has_a_sign(reader: FusedLayer, signed: bool) -> None:
    layers = [layer("a", "image"), reader, layer("c", "image")]
    span = ranges(image=(0, 1), a=(-1.0, 5.0), b=(-1, 1), c=(-1, 1))
    assert choose(findings(*layers), span)["a"].signed == signed


@pytest.mark.parametrize(
    ("low", "high", "signed"),
    [(-1.0, 1.0, True), (-123.7, 151.1, True), (-2.1, 2.6, True), (-1.0, 1.5, False)],
)
def test_an_image_that_is_padded_has_a_sign_if_that_costs_little(
    low: float, high: float, signed: bool
) -> None:
    span = ranges(image=(low, high), a=(0.0, 1.0))
    assert choose(findings(layer("a", "image", **PADDED)), span)["image"].signed == signed


def test_what_is_summed_up_has_no_sign() -> None:
    layers = [layer("a", "image"), layer("b", "a", **PADDED), layer("c", "image", summand="a")]
    span = ranges(image=(0, 1), a=(-1.0, 5.0), b=(-1, 1), c=(-1, 1))
    assert not choose(findings(*layers), span)["a"].signed
