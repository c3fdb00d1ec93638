from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs_made import (
    batch_norm,
    batch_of,
    constant,
    furthest,
    made,
    ops,
    placeholder,
    run,
    weights,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.prepare import prepare

FORMS = ("fused", "slim", "keras3")
NOTHING = {"folded_batch_norms": 0, "folded_factors": 0, "merged_biases": 0}


def prepared(graph_def: object, *outputs: str) -> tuple[object, dict[str, int]]:
    result = prepare(graph_def, input="input:0", outputs=outputs or ("output:0",))
    return result.graph_def, {key: result.changes[key] for key in NOTHING}


def off(before: Any, after: Any, image: Any) -> float:
    """The largest difference at `output`, relative to its range, or to 1 where that is less: values
    are around 1, and the ReLU may cut nearly all of them off.
    """
    (wanted,), (found,) = run(before, image, "output:0"), run(after, image, "output:0")
    return float(np.abs(wanted.astype("f8") - found).max() / max(np.ptp(wanted), 1.0))


@settings(max_examples=40)
@given(
    layer=st.sampled_from(["Conv2D", "DepthwiseConv2dNative"]),
    form=st.sampled_from(FORMS),
    nchw=st.booleans(),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2]),
    padding=st.sampled_from(["SAME", "VALID"]),
    channels=st.integers(1, 4),
    multiplier=st.integers(1, 3),
    batch=st.integers(1, 3),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_batch_norm_behind_any_convolution_is_folded(
    layer: str,
    form: str,
    nchw: bool,
    kernel: int,
    stride: int,
    dilation: int,
    padding: str,
    channels: int,
    multiplier: int,
    batch: int,
    bias: bool,
    seed: int,
) -> None:
    import tensorflow as tf

    depthwise = layer == "DepthwiseConv2dNative"
    # TensorFlow on a CPU has depthwise convolutions for NHWC only.
    nchw = nchw and not depthwise
    stride = 1 if dilation > 1 else stride
    dilation = 1 if depthwise else dilation
    axis = 1 if nchw else 3
    format_ = "NCHW" if nchw else "NHWC"

    def spread(size: int) -> list[int]:
        return [1, 1, size, size] if nchw else [1, size, size, 1]

    def build() -> None:
        rng = np.random.default_rng(seed)
        sizes = [None, 9, 9, channels] if not nchw else [None, channels, 9, 9]
        x = placeholder(*sizes)
        x = getattr(tf.raw_ops, layer)(
            input=x,
            filter=weights(rng, kernel, kernel, channels, multiplier),
            strides=spread(stride),
            dilations=spread(dilation),
            padding=padding,
            data_format=format_,
        )
        if bias:
            values = constant(rng.normal(size=x.shape[axis]))
            x = tf.raw_ops.BiasAdd(value=x, bias=values, data_format=format_)
        tf.nn.relu(batch_norm(x, rng, form, axis), name="output")

    graph_def = made(build)
    after, changes = prepared(graph_def)
    assert changes == NOTHING | {"folded_batch_norms": 1}
    assert ops(after) == sorted([layer, "BiasAdd", "Relu"])
    image = batch_of(batch, channels, 9, 9) if nchw else batch_of(batch, 9, 9, channels)
    assert off(graph_def, after, image) < 1e-5


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.booleans(), st.integers(1, 3))
def test_factors_behind_a_matrix_product_are_folded(
    inputs: int, outputs: int, transposed: bool, scalar: bool, batch: int
) -> None:
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(inputs)
        shape = (outputs, inputs) if transposed else (inputs, outputs)
        x = tf.matmul(placeholder(None, inputs), weights(rng, *shape), transpose_b=transposed)
        x = x * constant(2.5 if scalar else rng.uniform(0.5, 2, outputs))
        tf.nn.relu(x + constant(rng.normal(size=outputs)), name="output")

    graph_def = made(build)
    after, changes = prepared(graph_def)
    kind = "folded_factors" if scalar else "folded_batch_norms"
    assert changes == NOTHING | {kind: 1}
    assert ops(after) == ["BiasAdd", "MatMul", "Relu"]
    image = batch_of(batch, inputs)
    assert off(graph_def, after, image) < 1e-5


def convolved(*steps: Any, channels: int = 4) -> object:
    """`input` -> a convolution -> each of the steps -> `output`."""
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)
        x = placeholder(None, 6, 6, 3)
        x = tf.nn.conv2d(x, weights(rng, 3, 3, 3, channels), 1, "SAME", name="conv")
        for step in steps:
            x = step(x)
        tf.identity(x, name="output")

    return made(build)


@pytest.mark.parametrize(
    "value", [[2.0, 3.0, 4.0, 5.0], [[[[2.0, 3.0, 4.0, 5.0]]]], 2.0, [2.0], [[[2.0]]]]
)
@pytest.mark.parametrize("op", ["x * c", "c * x", "x + c", "c + x", "x - c", "c - x", "x / c"])
def test_arithmetic_with_a_number_a_channel_is_folded(op: str, value: Any) -> None:
    def step(x: Any) -> Any:
        # `step` is called while the graph is built; the test wrote `op`.
        return eval(op, {"x": x, "c": constant(value)})

    graph_def = convolved(step)
    after, changes = prepared(graph_def)
    assert sum(changes.values()) == 1
    image = batch_of(2, 6, 6, 3)
    assert furthest(run(graph_def, image, "output:0"), run(after, image, "output:0")) < 1e-6
    assert ops(after) in (["BiasAdd", "Conv2D", "Identity"], ["Conv2D", "Identity"])


def test_a_plain_bias_keeps_every_bit() -> None:
    graph_def = convolved(lambda x: x + constant([1.0, 2.0, 3.0, 4.0]), lambda x: abs(x))
    after, changes = prepared(graph_def)
    assert changes == NOTHING | {"merged_biases": 1}
    image = batch_of(2, 6, 6, 3)
    np.testing.assert_array_equal(run(graph_def, image, "output:0"), run(after, image, "output:0"))


def test_a_long_chain_becomes_one_bias() -> None:
    rng = np.random.default_rng(3)
    graph_def = convolved(
        lambda x: x + constant([1.0, 2.0, 3.0, 4.0]),
        lambda x: batch_norm(x, rng),
        lambda x: 0.17 * x,
        lambda x: batch_norm(x, rng, "keras3"),
        lambda x: x - constant(0.5),
    )
    after, changes = prepared(graph_def)
    assert changes == NOTHING | {"folded_batch_norms": 1}
    assert ops(after) == ["BiasAdd", "Conv2D", "Identity"]
    image = batch_of(2, 6, 6, 3)
    assert furthest(run(graph_def, image, "output:0"), run(after, image, "output:0")) < 1e-5


def test_a_dilated_convolution_in_slims_form_is_folded() -> None:
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)
        x = tf.space_to_batch(placeholder(None, 9, 9, 3), [2, 2], [[2, 3], [2, 3]])
        x = tf.nn.conv2d(x, weights(rng, 3, 3, 3, 4), 1, "VALID")
        x = tf.raw_ops.BatchToSpaceND(input=x, block_shape=[2, 2], crops=[[0, 1], [0, 1]])
        tf.nn.relu(batch_norm(x, rng), name="output")

    graph_def = made(build)
    after, changes = prepared(graph_def)
    assert changes == NOTHING | {"folded_batch_norms": 1}
    assert ops(after) == ["BatchToSpaceND", "BiasAdd", "Conv2D", "Relu", "SpaceToBatchND"]
    assert prepared(after)[1] == NOTHING
    image = batch_of(2, 9, 9, 3)
    assert furthest(run(graph_def, image, "output:0"), run(after, image, "output:0")) < 1e-5


def test_shared_weights_are_folded_for_each_convolution_apart() -> None:
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)
        shared = weights(rng, 3, 3, 3, 3)
        x = placeholder(None, 6, 6, 3)
        for _ in range(2):
            x = batch_norm(tf.nn.conv2d(x, shared, 1, "SAME"), rng)
        plain = tf.nn.conv2d(x, shared, 1, "SAME")
        tf.identity(plain, name="output")

    graph_def = made(build)
    after, changes = prepared(graph_def)
    assert changes["folded_batch_norms"] == 2
    image = batch_of(2, 6, 6, 3)
    assert furthest(run(graph_def, image, "output:0"), run(after, image, "output:0")) < 1e-5


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x * x,
        lambda x: x * constant(np.ones((6, 6, 4))),
        lambda x: x + constant(np.ones((6, 1, 1))),
        lambda x: constant(1.0) / x,
        lambda x: abs(x) * 2.0,
    ],
)
def test_what_is_no_batch_norm_is_left_alone(step: Any) -> None:
    graph_def = convolved(step)
    after, changes = prepared(graph_def)
    assert changes == NOTHING
    image = batch_of(2, 6, 6, 3)
    np.testing.assert_array_equal(run(graph_def, image, "output:0"), run(after, image, "output:0"))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x * constant([1.0, float("inf"), 1.0, 1.0]),
        lambda x: x / constant(0.0),
        lambda x: x * 1e30 * 1e30,
        lambda x: x + constant([float("nan")] * 4) + 1.0,
    ],
)
def test_what_is_not_finite_is_left_alone(step: Any) -> None:
    assert prepared(convolved(step))[1] == NOTHING


def test_a_constant_that_widens_the_channels_is_left_alone() -> None:
    graph_def = convolved(lambda x: x * constant([1.0, 2.0, 3.0]), channels=1)
    after, changes = prepared(graph_def)
    assert changes == NOTHING
    assert run(after, batch_of(1, 6, 6, 3), "output:0")[0].shape == (1, 6, 6, 3)


def test_a_batch_norm_that_trains_is_left_alone() -> None:
    import tensorflow as tf

    def trains(x: Any) -> Any:
        ones = constant(np.ones(4))
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=ones, offset=ones, mean=ones, variance=ones, is_training=True
        )[0]

    assert prepared(convolved(trains))[1] == NOTHING
    # The operation's default is to train; a graph may leave defaults out.
    graph_def = convolved(trains)
    for each in graph_def.node:
        each.attr.pop("is_training", None)
    assert prepared(graph_def)[1] == NOTHING


def test_a_convolution_that_is_fetched_or_shared_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    graph_def = convolved(lambda x: batch_norm(x, rng))
    assert prepared(graph_def, "output:0", "conv:0")[1] == NOTHING
    assert prepared(convolved(lambda x: batch_norm(x, rng) + x))[1] == NOTHING


def test_a_batch_norm_that_is_fetched_keeps_its_name() -> None:
    rng = np.random.default_rng(0)
    graph_def = convolved(lambda x: batch_norm(x, rng), abs)
    name = next(each.name for each in graph_def.node if each.op == "FusedBatchNormV3")
    after, changes = prepared(graph_def, "output:0", f"{name}:0")
    assert changes["folded_batch_norms"] == 1
    image = batch_of(1, 6, 6, 3)
    outputs = ("output:0", f"{name}:0")
    assert furthest(run(graph_def, image, *outputs), run(after, image, *outputs)) < 1e-5


def test_nodes_that_wait_for_something_are_left_alone() -> None:
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)
        x = placeholder(None, 6, 6, 3)
        convolution = tf.nn.conv2d(x, weights(rng, 3, 3, 3, 4), 1, "SAME")
        with tf.control_dependencies([tf.compat.v1.Assert(tf.reduce_sum(x) < 1e9, ["large"])]):
            tf.multiply(convolution, constant([1.0, 2.0, 3.0, 4.0]), name="output")

    assert prepared(made(build))[1] == NOTHING
