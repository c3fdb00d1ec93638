from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs_made import batch_of, constant, furthest, made, ops, placeholder, run, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.machine import onednn


def block(
    *,
    activation: str | None = "relu",
    addition: str = "AddV2",
    swap: bool = False,
    shortcut: Any = lambda x: x,
    bias: bool = True,
    stride: int = 1,
    dtype: str = "float32",
    size: int | None = 7,
) -> object:
    """`input` -> a first convolution -> a second one, whose result is added to the shortcut."""
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)

        def convolve(x: Any, stride: int, bias: bool, name: str) -> Any:
            channels = int(x.shape[-1])
            filters = tf.constant(rng.normal(size=(3, 3, channels, channels)) / 5, dtype)
            x = tf.nn.conv2d(x, filters, stride, "SAME", name=name)
            return tf.nn.bias_add(x, tf.constant(rng.normal(size=channels), dtype)) if bias else x

        x = placeholder(None, size, size, 4, dtype=dtype)
        x = tf.nn.relu(convolve(x, 1, True, "first"), name="start")
        branch = convolve(x, stride, bias, "second")
        pair = [shortcut(x), branch] if swap else [branch, shortcut(x)]
        if addition == "AddN":
            total = tf.raw_ops.AddN(inputs=pair, name="sum")
        else:
            total = getattr(tf.raw_ops, addition)(x=pair[0], y=pair[1], name="sum")
        if activation == "leaky_relu":
            total = tf.nn.leaky_relu(total, alpha=0.3)
        elif activation is not None:
            total = getattr(tf.nn, activation)(total)
        tf.identity(total, name="output")

    return made(build)


def prepared(graph_def: object, *outputs: str, **options: bool) -> tuple[object, int]:
    result = prepare(graph_def, input="input:0", outputs=outputs or ("output:0",), **options)
    return result.graph_def, result.changes["fused_residual_adds"]


def require_onednn() -> None:
    if not onednn.enabled():
        pytest.skip(
            "oneDNN is off in this process: TensorFlow was imported before it was turned on"
        )


@pytest.mark.parametrize("activation", ["relu", "relu6", "elu", None])
@pytest.mark.parametrize("addition", ["Add", "AddV2", "AddN"])
@pytest.mark.parametrize("swap", [False, True])
def test_a_residual_addition_is_fused_bit_for_bit(
    activation: str | None, addition: str, swap: bool
) -> None:
    require_onednn()
    graph_def = block(activation=activation, addition=addition, swap=swap)
    after, count = prepared(graph_def)
    assert count == 1
    assert ops(after) == ["BiasAdd", "Conv2D", "Identity", "Relu", "_FusedConv2D"]
    for size in (1, 3):
        image = batch_of(size, 7, 7, 4)
        np.testing.assert_array_equal(
            run(graph_def, image, "output:0"), run(after, image, "output:0")
        )


def test_the_slope_of_a_leaky_relu_is_kept() -> None:
    """TensorFlow 2.21 itself, where it fuses this, computes with a slope of 0.2 for every one."""
    require_onednn()
    graph_def = block(activation="leaky_relu")
    after, count = prepared(graph_def)
    assert count == 1
    image = batch_of(2, 7, 7, 4)
    (total,) = run(graph_def, image, "sum:0")
    (found,) = run(after, image, "output:0")
    np.testing.assert_allclose(
        found, np.where(total > 0, total, np.float32(0.3) * total), rtol=1e-6
    )


@settings(max_examples=15)
@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(["SAME", "VALID"]),
    st.integers(1, 2),
    st.integers(0, 9),
)
def test_any_projection_is_fused(
    channels: int, kernel: int, padding: str, stride: int, seed: int
) -> None:
    import tensorflow as tf

    require_onednn()

    def build() -> None:
        rng = np.random.default_rng(seed)
        x = placeholder(None, 9, 9, 3)
        both = []
        for _ in range(2):
            filters = weights(rng, kernel, kernel, 3, channels)
            convolved = tf.nn.conv2d(x, filters, stride, padding)
            both.append(tf.nn.bias_add(convolved, constant(rng.normal(size=channels))))
        tf.nn.relu(both[0] + both[1], name="output")

    graph_def = made(build)
    after, count = prepared(graph_def)
    assert count == 1
    image = batch_of(2, 9, 9, 3)
    assert furthest(run(graph_def, image, "output:0"), run(after, image, "output:0")) < 1e-6


def test_images_of_unknown_size_are_fused() -> None:
    require_onednn()
    graph_def = block(size=None)
    after, count = prepared(graph_def)
    assert count == 1
    for size in (5, 8):
        image = batch_of(2, size, size, 4)
        np.testing.assert_array_equal(
            run(graph_def, image, "output:0"), run(after, image, "output:0")
        )


@pytest.mark.parametrize(
    "shortcut",
    [
        lambda x: constant(np.ones((1, 7, 7, 4))),
        lambda x: constant(np.ones((7, 7, 4))),
        lambda x: x[:1],
        lambda x: x[..., :1],
        lambda x: __import__("tensorflow").reduce_mean(x, [1, 2], keepdims=True),
        lambda x: __import__("tensorflow").split(x, 2, 0)[1],
    ],
)
def test_an_addition_that_may_broadcast_is_left_alone(shortcut: Any) -> None:
    require_onednn()
    graph_def = block(shortcut=shortcut)
    after, count = prepared(graph_def)
    assert count == 0
    image = batch_of(2, 7, 7, 4)
    np.testing.assert_array_equal(run(graph_def, image, "output:0"), run(after, image, "output:0"))


def test_a_convolution_without_bias_or_of_float64_is_left_alone() -> None:
    require_onednn()
    assert prepared(block(bias=False))[1] == 0
    assert prepared(block(dtype="float64"))[1] == 0


def test_what_is_fetched_or_used_twice_is_left_in_place() -> None:
    require_onednn()
    graph_def = block()
    # The sum itself is wanted: the activation stays outside.
    after, count = prepared(graph_def, "output:0", "sum:0")
    assert count == 1
    assert ops(after).count("Relu") == 2
    image = batch_of(2, 7, 7, 4)
    # One by one: TensorFlow 2.21 itself loses a sum that is fetched beside its activation.
    expected = [run(graph_def, image, name)[0] for name in ("output:0", "sum:0")]
    for one, other in zip(expected, run(after, image, "output:0", "sum:0"), strict=True):
        np.testing.assert_array_equal(one, other)
    # The branch is wanted: nothing can be fused.
    assert prepared(graph_def, "output:0", "second:0")[1] == 0
    # The shortcut is wanted: it isn't overwritten.
    after, count = prepared(graph_def, "output:0", "start:0")
    assert count == 1
    before = run(graph_def, image, "start:0", "output:0")
    for expected, found in zip(before, run(after, image, "start:0", "output:0"), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_nothing_is_fused_where_onednn_is_off_or_computes_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert prepared(block(), bfloat16=True)[1] == 0
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    assert prepared(block())[1] == 0
