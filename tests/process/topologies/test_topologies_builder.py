from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import builder, weights
from modelzoo_runner.errors import RequestError


def layers(**conventions):
    return builder.Layers(variables=weights.variables(0), **conventions)


def kinds(graph, prefix=""):
    return {
        operation.name: operation.type
        for operation in graph.get_operations()
        if operation.name.startswith(prefix)
    }


@pytest.fixture
def graph():
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        yield graph


def image(height=8, width=8, channels=3):
    import tensorflow as tf

    return tf.raw_ops.Placeholder(dtype=tf.float32, shape=[1, height, width, channels], name="x")


def test_a_layer_is_what_a_frozen_export_holds(graph):
    layers().within("net").again("net").conv(image(), "first", 4, 3)
    assert kinds(graph, "net/") == {
        "net/first/weights": "Const",
        "net/first/weights/read": "Identity",
        "net/net/first/Conv2D": "Conv2D",
        **{
            f"net/first/BatchNorm/{name}": "Const"
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        },
        **{
            f"net/first/BatchNorm/{name}/read": "Identity"
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        },
        "net/net/first/BatchNorm/FusedBatchNormV3": "FusedBatchNormV3",
        "net/net/first/Relu": "Relu",
    }
    norm = graph.get_operation_by_name("net/net/first/BatchNorm/FusedBatchNormV3")
    assert not norm.get_attr("is_training")
    assert norm.get_attr("epsilon") == pytest.approx(0.001)


def test_a_batch_norm_without_a_scale_has_ones(graph, run, arrays):
    layers(gamma=False).conv(image(), "first", 4)
    found = arrays(graph.as_graph_def())
    assert "first/BatchNorm/gamma" not in found
    assert (found["first/BatchNorm/Const"] == np.ones(4)).all()


@pytest.mark.parametrize(
    ("norm", "activate", "last"),
    [
        ("bias", True, "first/Relu6"),
        ("bias", False, "first/BiasAdd"),
        ("none", False, "first/Conv2D"),
        ("batch", False, "first/BatchNorm/FusedBatchNormV3"),
    ],
)
def test_norm_and_activation_are_a_choice(graph, norm, activate, last):
    x = layers(activation="Relu6").conv(image(), "first", 4, norm=norm, activate=activate)
    assert x.op.name == last


@pytest.mark.parametrize(("size", "kernel"), [(7, 3), (8, 3), (9, 7), (10, (1, 7))])
def test_symmetric_padding_is_half_a_kernel_on_each_side(graph, run, size, kernel):
    # SAME with a stride of 2 pads an even side at its end only.
    import tensorflow as tf

    x = layers().conv(image(size, size), "first", 4, kernel, 2, "SYMMETRIC", norm="none")
    values = np.random.default_rng(0).normal(0, 1, (1, size, size, 3)).astype(np.float32)
    fetches = ["first/Conv2D:0", "first/weights/read:0"]
    found, weight = run(graph.as_graph_def(), {"x:0": values}, fetches)
    height, width = (side // 2 for side in builder.sides(kernel))
    padded = np.pad(values, [(0, 0), (height, height), (width, width), (0, 0)])
    with tf.Graph().as_default() as plain:
        tf.nn.conv2d(padded, weight, 2, "VALID", name="expected")
    (expected,) = run(plain.as_graph_def(), {}, ["expected:0"])
    assert x.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_padding_does_not_count_in_an_average(graph, run):
    layers().pool(image(4, 4), "pool", "AvgPool", 3, 1, "SAME")
    (found,) = run(graph.as_graph_def(), {"x:0": np.ones((1, 4, 4, 3))}, ["pool/AvgPool:0"])
    assert (found == 1).all()


def test_a_dense_layer_is_a_product_and_a_bias(graph, run, arrays):
    import tensorflow as tf

    x = tf.raw_ops.Placeholder(dtype=tf.float32, shape=[None, 5], name="x")
    layers().within("head").dense(x, "Logits", 3)
    held = arrays(graph.as_graph_def())
    values = np.random.default_rng(0).normal(0, 1, (2, 5)).astype(np.float32)
    (found,) = run(graph.as_graph_def(), {"x:0": values}, ["head/Logits/BiasAdd:0"])
    expected = values @ held["head/Logits/weights"] + held["head/Logits/biases"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_gain_scales_the_kernel_alone(graph, arrays):
    layers().within("a").conv(image(), "first", 4, 3)
    held = arrays(graph.as_graph_def())
    again = weights.draw(0, "a/first/weights", (3, 3, 3, 4), 0.5)
    np.testing.assert_allclose(again, held["a/first/weights"] / 2, rtol=1e-6)


def test_numbers_are_checked_in_turn():
    builder.positive(one=1, two=2)
    with pytest.raises(RequestError, match="two="):
        builder.positive(one=1, two=0, three=-1)
