from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs_made import constant, made, node, placeholder, resnet_v1_50, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow import geometry


def sizes(build: Any) -> dict[str, geometry.Size]:
    return geometry.sizes({each.name: each for each in made(build).node})


@settings(max_examples=40)
@given(
    image=st.tuples(st.integers(7, 20), st.integers(7, 20)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.sampled_from(["SAME", "VALID", "EXPLICIT", "PAD"]),
    op=st.sampled_from(["Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"]),
)
def test_sizes_are_those_that_tensorflow_finds(
    image: tuple[int, int], kernel: int, stride: int, dilation: int, padding: str, op: str
) -> None:
    import tensorflow as tf

    stride = 1 if dilation > 1 else stride
    shape = None

    def build() -> None:
        nonlocal shape
        rng = np.random.default_rng(0)
        x = placeholder(2, *image, 3)
        if padding == "PAD":
            x = tf.pad(x, [[0, 0], [1, 2], [0, 3], [0, 0]])
        words = {"PAD": "VALID", "EXPLICIT": "VALID" if op != "Conv2D" else "EXPLICIT"}
        common = {"strides": [1, stride, stride, 1], "padding": words.get(padding, padding)}
        if "Pool" in op:
            x = getattr(tf.raw_ops, op)(
                **{"input" if op == "MaxPool" else "value": x},
                ksize=[1, kernel, kernel, 1],
                **common,
            )
        else:
            if common["padding"] == "EXPLICIT":
                common["explicit_paddings"] = [0, 0, 1, 2, 0, 3, 0, 0]
            x = getattr(tf.raw_ops, op)(
                input=x,
                filter=weights(rng, kernel, kernel, 3, 5),
                dilations=[1, dilation, dilation, 1],
                **common,
            )
        shape = tuple(tf.identity(tf.nn.relu(x), name="output").shape)

    assert sizes(build)["output"] == shape


def test_unknown_sizes_are_symbols_that_stay_equal_through_a_residual_block() -> None:
    nodes = {each.name: each for each in resnet_v1_50(image=None).node}
    found = geometry.sizes(nodes)
    additions = [each for each in nodes.values() if each.op == "AddV2" and len(each.input) == 2]
    assert len(additions) == 16
    for each in additions:
        first, second = (found[tensor.partition(":")[0]] for tensor in each.input)
        assert first == second
        assert not isinstance(first[1], int)


@pytest.mark.parametrize(
    "other",
    [
        lambda x, tf: tf.nn.max_pool2d(x, 2, 2, "VALID"),
        lambda x, tf: tf.nn.max_pool2d(x, 2, 1, "VALID"),
        lambda x, tf: tf.reduce_mean(x, [1, 2], keepdims=True),
        lambda x, tf: tf.transpose(x, [0, 2, 1, 3]),
        lambda x, tf: x[:, :1],
        lambda x, tf: x + placeholder(None, None, None, 3, name="another"),
        lambda x, tf: x + constant(np.ones((1, 1, 3, 3))),
        lambda x, tf: tf.concat([x, x], 3),
        lambda x, tf: tf.pad(x, [[0, 0], [1, 0], [0, 1], [0, 0]]),
    ],
)
def test_sizes_that_may_differ_are_different(other: Any) -> None:
    import tensorflow as tf

    def build() -> None:
        tf.identity(other(placeholder(None, None, None, 3), tf), name="output")

    found = sizes(build)
    assert found["output"] != found["input"]


@pytest.mark.parametrize(
    "same",
    [
        lambda x, tf: tf.nn.relu(x) * 2.0,
        lambda x, tf: x + constant([1.0, 2.0, 3.0]),
        lambda x, tf: x + tf.nn.relu(x),
        lambda x, tf: tf.add_n([x, tf.tanh(x)]),
        lambda x, tf: tf.nn.max_pool2d(x, 3, 1, "SAME"),
        lambda x, tf: tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]]), 3, 1, "VALID"),
    ],
)
def test_sizes_that_are_equal_are_known_to_be(same: Any) -> None:
    import tensorflow as tf

    def build() -> None:
        tf.identity(same(placeholder(None, None, None, 3), tf), name="output")

    found = sizes(build)
    assert found["output"] == found["input"]


def test_a_vector_longer_than_the_channels_widens_them() -> None:
    found = sizes(lambda: placeholder(None, 4, 4, 1) * constant([1.0, 2.0]))
    assert found["mul"] != found["input"]


def test_channels_add_up_and_resizing_gives_numbers() -> None:
    import tensorflow as tf

    def build() -> None:
        image = tf.compat.v1.image.resize_bilinear(placeholder(None, None, None, 3), [5, 7])
        tf.concat([image, image, image], 3, name="output")

    found = sizes(build)
    assert found["output"] == (("input", 0), 5, 7, 9)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("Conv2D", True),
        ("_FusedConv2D", True),
        ("DepthwiseConv2dNative", True),
        ("_FusedDepthwiseConv2dNative", True),
        ("QuantizedConv2DWithBiasAndReluAndRequantize", True),
        ("QuantizedDepthwiseConv2DWithBias", True),
        ("_FusedQuantizedConv2D", True),
        ("Conv2DBackpropInput", False),
        ("Conv3D", False),
        ("MatMul", False),
    ],
)
def test_convolutions_are_told_by_name(op: str, expected: bool) -> None:
    assert geometry.is_convolution(op) is expected


def test_a_filter_that_is_no_constant_has_no_shape() -> None:
    nodes = {"x": node("x", "Placeholder"), "c": node("c", "Conv2D", "x", "x")}
    assert geometry.filter_shape(nodes["c"], nodes) is None
    assert geometry.filter_shape(nodes["x"], nodes) is None
