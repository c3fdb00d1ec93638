"""What of a graph is int8, what isn't and why, and how much work it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_made import exact_images, exact_weights, graph_of, quantized

from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.int8.layers import Layer, layers
from modelzoo_runner.machine import onednn

Tensor = Any

ENDS: dict[str, Any] = {"input": "input:0", "outputs": ["output:0"]}
IMAGES = exact_images(np.random.default_rng(0), 2, 8, 6, 4)


def build(image: Tensor) -> Tensor:
    import tensorflow as tf

    rng = np.random.default_rng(1)
    image = tf.nn.conv2d(image, exact_weights(rng, 3, 3, 4, 8), 2, "SAME", name="first")
    image = tf.nn.relu(image)
    weights = exact_weights(rng, 3, 3, 8, 1, depthwise=True)
    image = tf.nn.relu(tf.nn.depthwise_conv2d(image, weights, [1] * 4, "VALID", name="second"))
    pooled = tf.reduce_mean(image, [1, 2])
    return tf.matmul(pooled, exact_weights(rng, 8, 5), name="third")


WORK = {"first": 3 * 3 * 4 * 8 * (4 * 3), "second": 3 * 3 * 8 * (2 * 1), "third": 8 * 5}


def test_a_float_graph_tells_what_could_be_int8() -> None:
    found = layers(graph_of(build, IMAGES), **ENDS)
    assert {layer.name: layer.multiply_adds for layer in found} == WORK
    assert {(layer.state, layer.why) for layer in found} == {("fp32", "it could be int8")}
    assert [layer.op for layer in found] == ["Conv2D", "DepthwiseConv2dNative", "MatMul"]


def test_an_int8_graph_does_the_same_work() -> None:
    found = layers(quantized(graph_of(build, IMAGES), IMAGES), **ENDS)
    assert sorted(layer.multiply_adds or 0 for layer in found) == sorted(WORK.values())
    assert {(layer.state, layer.why) for layer in found} == {("int8", "")}
    assert all(layer.op.startswith("Quantized") for layer in found)


def test_padding_that_was_taken_in_counts() -> None:
    import tensorflow as tf

    def padded(image: Tensor) -> Tensor:
        image = tf.pad(image, [[0, 0], [3, 3], [2, 2], [0, 0]])
        return tf.nn.relu(tf.nn.conv2d(image, np.ones((3, 3, 4, 8), "f4"), 1, "VALID"))

    int8 = quantized(graph_of(padded, IMAGES), IMAGES)
    (layer,) = layers(int8, **ENDS)
    assert layer.multiply_adds == 3 * 3 * 4 * 8 * (12 * 8)
    (measured,) = layers(int8, **ENDS, batch=IMAGES)
    assert measured == layer


def test_what_was_excluded_could_be_int8() -> None:
    int8 = quantized(graph_of(build, IMAGES), IMAGES, exclude=["MatMul"])
    found = {layer.state: layer for layer in layers(int8, **ENDS)}
    assert found["fp32"] == Layer(
        name="third", op="MatMul", state="fp32", why="it could be int8", multiply_adds=40
    )


def test_what_a_layer_reads_of_an_int8_one_is_known_to_be_positive() -> None:
    """So that it is told right what could be int8, of padded layers that insist on it."""
    import tensorflow as tf

    def padded(image: Tensor) -> Tensor:
        image = tf.nn.relu(tf.nn.conv2d(image, np.ones((3, 3, 4, 8), "f4"), 1, "SAME"))
        return tf.nn.depthwise_conv2d(image, np.ones((3, 3, 8, 1), "f4"), [1] * 4, "SAME")

    graph_def = graph_of(padded, IMAGES, fixed=False)
    int8 = quantized(graph_def, IMAGES, exclude=["DepthwiseConv2dNative"])
    assert [layer.why for layer in layers(int8, **ENDS)] == ["", "it could be int8"]


def test_a_size_that_the_graph_leaves_open_is_known_with_a_batch() -> None:
    graph_def = graph_of(build, IMAGES, fixed=False)
    assert [layer.multiply_adds for layer in layers(graph_def, **ENDS)] == [None, None, 40]
    found = layers(graph_def, **ENDS, batch=IMAGES)
    assert {layer.name: layer.multiply_adds for layer in found} == WORK


def test_a_layer_in_a_loop_has_no_size_even_with_a_batch() -> None:
    import tensorflow as tf

    filters = np.ones((3, 3, 4, 4), np.float32)

    def loop(image: Tensor) -> Tensor:
        tf.compat.v1.disable_control_flow_v2()
        try:
            return tf.compat.v1.while_loop(
                lambda number, _: number < 2,
                lambda number, image: (number + 1, tf.nn.conv2d(image, filters, 1, "SAME")),
                [tf.constant(0), tf.nn.conv2d(image, filters, 1, "SAME", name="before")],
            )[1]
        finally:
            tf.compat.v1.enable_control_flow_v2()

    found = layers(graph_of(loop, IMAGES), **ENDS, batch=IMAGES)
    assert [layer.multiply_adds is None for layer in found] == [False, True]
    assert found[1].why == "it is in a loop or on a branch"


def test_operations_without_an_int8_form() -> None:
    import tensorflow as tf

    def product(image: Tensor) -> Tensor:
        return tf.matmul(image, image, transpose_b=True)

    (layer,) = layers(graph_of(product, IMAGES), **ENDS)
    assert (layer.op, layer.state) == ("BatchMatMulV2", "fp32")
    assert layer.why == "this operation has no int8 form" and layer.multiply_adds is None


def test_a_graph_that_was_prepared_before() -> None:
    import tensorflow as tf

    filters = np.ones((1, 1, 4, 4), np.float32)

    def residual(image: Tensor) -> Tensor:
        made = tf.nn.bias_add(tf.nn.conv2d(image, filters, 1, "SAME"), np.ones(4, np.float32))
        return tf.nn.relu(made + image)

    prepared = prepare(graph_of(residual, IMAGES), **ENDS).graph_def
    (layer,) = layers(prepared, **ENDS)
    assert (layer.op, layer.state) == ("_FusedConv2D", "fp32")
    assert layer.why == "it was fused for float32: quantize the graph before it is prepared"


def test_without_onednn_int8_can_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    int8 = quantized(graph_of(build, IMAGES), IMAGES)
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    found = layers(int8, **ENDS, batch=IMAGES)
    assert {(layer.state, layer.why) for layer in found} == {
        (
            "unsupported",
            "oneDNN is off: set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported",
        )
    }
    # Nothing was run for it.
    assert sorted(layer.multiply_adds or 0 for layer in found) == sorted(WORK.values())


def test_without_a_kernel_int8_can_not_run() -> None:
    import tensorflow as tf

    int8 = quantized(graph_of(build, IMAGES), IMAGES)
    (product,) = [node for node in int8.node if node.op.startswith("QuantizedMatMul")]
    product.attr["Toutput"].type = tf.qint8.as_datatype_enum
    found = {layer.state: layer for layer in layers(int8, **ENDS)}
    assert "this TensorFlow has no kernel for QuantizedMatMulWithBiasAndDequantize of" in (
        found["unsupported"].why
    )
