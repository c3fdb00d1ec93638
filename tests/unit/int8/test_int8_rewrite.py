"""Each pattern as a small graph: int8 is off by the rounding of the result, and by nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from int8_made import (
    exact_images,
    exact_weights,
    graph_of,
    operations,
    quantized,
    run,
    steps_off,
)

Tensor = Any

CONV = "QuantizedConv2DWithBiasAndReluAndRequantize"
SIGNED_CONV = "QuantizedConv2DWithBiasAndRequantize"
SUM = "QuantizedConv2DWithBiasSumAndReluAndRequantize"
DEPTHWISE = "QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize"

# Half a step for the rounding of the result, and a little for that of float32.
ROUNDING = 0.51


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def identity(image: Tensor) -> Tensor:
    """A convolution that changes nothing, and whose integers are those of its input."""
    import tensorflow as tf

    channels = image.shape[-1]
    return tf.nn.relu(tf.nn.conv2d(image, np.eye(channels, dtype="f4")[None, None], 1, "SAME"))


@pytest.mark.parametrize("activation", ["relu", "relu6", "none"])
@pytest.mark.parametrize(
    ("kernel", "how"),
    [
        (1, {"padding": "SAME"}),
        (3, {"padding": "SAME"}),
        (3, {"padding": "SAME", "strides": 2}),
        (3, {"padding": "VALID"}),
        (3, {"padding": "SAME", "dilations": 2}),
        (3, {"padding": [[0, 0], [1, 0], [2, 1], [0, 0]], "strides": 2}),
    ],
)
def test_a_convolution(
    rng: np.random.Generator, kernel: int, how: dict[str, Any], activation: str
) -> None:
    import tensorflow as tf

    images = exact_images(rng, 2, 9, 8, 6)
    filters, bias = exact_weights(rng, kernel, kernel, 6, 16), rng.normal(size=16).astype("f4")
    act: Callable[[Tensor], Tensor] = getattr(tf.nn, activation, tf.identity)

    def build(image: Tensor) -> Tensor:
        how.setdefault("strides", 1)
        return act(tf.nn.bias_add(tf.nn.conv2d(image, filters, **how), bias))

    error, int8 = steps_off(build, images)
    assert error <= ROUNDING
    assert operations(int8) == Counter(["Dequantize", CONV, "QuantizeV2"])


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_depthwise_convolution(rng: np.random.Generator, padding: str, relu: bool) -> None:
    import tensorflow as tf

    images = exact_images(rng, 2, 9, 9, 16)
    filters = exact_weights(rng, 3, 3, 16, 1, depthwise=True)
    bias = rng.normal(size=16).astype("f4")

    def build(image: Tensor) -> Tensor:
        image = tf.nn.depthwise_conv2d(image, filters, [1, 2, 2, 1], padding) + bias
        return tf.nn.relu6(image) if relu else image

    error, int8 = steps_off(build, images)
    assert error <= ROUNDING
    assert operations(int8) == Counter(["Dequantize", DEPTHWISE, "QuantizeV2"])


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("depthwise", [True, False])
def test_an_input_of_both_signs(rng: np.random.Generator, fixed: bool, depthwise: bool) -> None:
    """Zeros are padded around shifted integers beforehand, where it is known how many."""
    import tensorflow as tf

    images = exact_images(rng, 2, 8, 8, 8, low=-100, high=155)
    filters = exact_weights(rng, 3, 3, 8, 1 if depthwise else 8, depthwise=depthwise)

    def build(image: Tensor) -> Tensor:
        if depthwise:
            return tf.nn.relu(tf.nn.depthwise_conv2d(image, filters, [1] * 4, "SAME"))
        return tf.nn.relu(tf.nn.conv2d(image, filters, 2, "SAME"))

    if depthwise and not fixed:
        with pytest.raises(Exception, match="its input has values below zero"):
            steps_off(build, images, fixed=False)
        return
    error, int8 = steps_off(build, images, fixed=fixed)
    assert operations(int8) == Counter(
        ["Dequantize", DEPTHWISE if depthwise else CONV, "QuantizeV2"]
    )
    assert ("Pad" in {node.op for node in int8.node}) == fixed
    # Signed integers have 7 bits for 155, and a CPU without VNNI halves the weights for them.
    assert error <= (ROUNDING if fixed else 12)


@pytest.mark.parametrize("last_relu", [True, False])
def test_the_sum_with_a_shortcut(rng: np.random.Generator, last_relu: bool) -> None:
    import tensorflow as tf

    images = exact_images(rng, 2, 6, 6, 16)
    filters, bias = exact_weights(rng, 3, 3, 16, 16), rng.normal(size=16).astype("f4")

    def build(image: Tensor) -> Tensor:
        shortcut = identity(image)
        branch = tf.nn.conv2d(identity(shortcut), filters, 1, "SAME")
        total = shortcut + tf.nn.bias_add(branch, bias)
        return tf.nn.relu(total) if last_relu else total

    error, int8 = steps_off(build, images)
    assert operations(int8) == Counter(["Dequantize", CONV, CONV, SUM, "QuantizeV2"])
    assert error <= ROUNDING


def test_the_sum_of_two_convolutions_and_a_chain_of_shifted_sums(rng: np.random.Generator) -> None:
    """As in MobileNet v2, where no ReLU follows a block: everything stays in integers."""
    import tensorflow as tf

    images = exact_images(rng, 2, 6, 6, 8)
    one, two, three = (exact_weights(rng, 1, 1, 8, 8) for _ in range(3))

    def build(image: Tensor) -> Tensor:
        first = tf.nn.conv2d(image, one, 1, "SAME")
        second = first + tf.nn.conv2d(identity(image), two, 1, "SAME")
        return second + tf.nn.conv2d(identity(second), three, 1, "SAME")

    error, int8 = steps_off(build, images)
    assert operations(int8) == Counter(["Dequantize", *[CONV] * 3, SUM, SUM, "QuantizeV2"])
    assert error <= 4  # intermediate results are rounded too


def _shared(image: Tensor, filters: Any) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    shortcut = identity(image)
    return shortcut, tf.nn.relu(shortcut + tf.nn.conv2d(identity(shortcut), filters, 1, "SAME"))


def _needed_later(image: Tensor, filters: Any) -> Tensor:
    import tensorflow as tf

    shortcut, total = _shared(image, filters)
    return total + tf.nn.max_pool2d(shortcut, 3, 1, "SAME")


def _of_another_size(image: Tensor, filters: Any) -> Tensor:
    import tensorflow as tf

    spot = tf.nn.max_pool2d(identity(image), 6, 6, "SAME")
    return tf.nn.relu(spot + tf.nn.conv2d(identity(image), filters, 1, "SAME"))


def _of_its_input(image: Tensor, filters: Any) -> Tensor:
    import tensorflow as tf

    shortcut = identity(image)
    return tf.nn.relu(shortcut + tf.nn.conv2d(shortcut, filters, 1, "SAME"))


def _of_a_constant(image: Tensor, filters: Any) -> Tensor:
    import tensorflow as tf

    picture = np.linspace(0, 1, 6 * 6 * 8, dtype="f4").reshape(1, 6, 6, 8)
    return tf.nn.relu(picture + tf.nn.conv2d(image, filters, 1, "SAME"))


def _of_real_values(image: Tensor, filters: Any) -> Tensor:
    import tensorflow as tf

    return tf.nn.relu(image + tf.nn.conv2d(image, filters, 1, "SAME"))


def _with_itself(image: Tensor, filters: Any) -> Tensor:
    import tensorflow as tf

    made = tf.nn.conv2d(image, filters, 1, "SAME")
    return tf.nn.relu(made + made)


@pytest.mark.parametrize(
    "build",
    [
        _needed_later,
        _of_another_size,
        _of_its_input,
        _of_a_constant,
        _of_real_values,
        _with_itself,
    ],
)
def test_sums_that_would_crash_or_go_wrong_stay_in_float32(
    rng: np.random.Generator, build: Callable[[Tensor, Any], Tensor]
) -> None:
    images, filters = exact_images(rng, 2, 6, 6, 8), exact_weights(rng, 3, 3, 8, 8)
    error, int8 = steps_off(lambda image: build(image, filters), images)
    assert SUM not in operations(int8)
    assert "AddV2" in operations(int8)
    assert error <= 2 * ROUNDING


def test_a_shortcut_that_is_fetched_too(rng: np.random.Generator) -> None:
    import tensorflow as tf

    images, filters = exact_images(rng, 2, 6, 6, 8), exact_weights(rng, 3, 3, 8, 8)

    def build(image: Tensor) -> Tensor:
        shortcut, total = _shared(image, filters)
        tf.identity(shortcut, name="shortcut")
        return total

    graph_def, outputs = graph_of(build, images), ["output:0", "shortcut:0"]
    int8 = quantized(graph_def, images, outputs=dict(zip("ab", outputs, strict=True)))
    assert SUM not in operations(int8)
    both = (run(each, images, outputs) for each in (graph_def, int8))
    for expected, found in zip(*both, strict=True):
        assert np.abs(expected - found).max() <= 2 * ROUNDING * expected.max() / 255


@pytest.mark.parametrize("pool", ["MaxPool", "AvgPool"])
def test_a_pooling_between_convolutions(rng: np.random.Generator, pool: str) -> None:
    import tensorflow as tf

    images, filters = exact_images(rng, 2, 9, 9, 8), exact_weights(rng, 1, 1, 8, 8)

    def build(image: Tensor) -> Tensor:
        image = tf.nn.pool(identity(image), [3, 3], pool[:3].upper(), padding="SAME")
        return tf.nn.relu(tf.nn.conv2d(image, filters, 1, "SAME"))

    error, int8 = steps_off(build, images)
    assert operations(int8) == Counter(["Dequantize", f"Quantized{pool}", CONV, CONV, "QuantizeV2"])
    # An average is rounded before it is multiplied, on some CPUs downwards.
    assert error <= (ROUNDING if pool == "MaxPool" else 3)


def test_an_average_over_much_is_not_taken_of_integers(rng: np.random.Generator) -> None:
    import tensorflow as tf

    images = exact_images(rng, 2, 7, 7, 8)
    _, int8 = steps_off(lambda image: tf.nn.avg_pool2d(identity(image), 7, 7, "VALID"), images)
    assert operations(int8) == Counter(["AvgPool", "Dequantize", CONV, "QuantizeV2"])


def test_a_concatenation_has_one_scale(rng: np.random.Generator) -> None:
    import tensorflow as tf

    images = exact_images(rng, 2, 6, 6, 8)
    filters = [exact_weights(rng, 1, 1, 8, 4) * factor for factor in (1, 0.25)]

    def build(image: Tensor) -> Tensor:
        parts = [tf.nn.relu(tf.nn.conv2d(image, each, 1, "SAME")) for each in filters]
        return tf.concat([*parts, tf.nn.max_pool2d(parts[0], 3, 1, "SAME")], axis=-1)

    error, int8 = steps_off(build, images)
    assert "QuantizedConcatV2" in operations(int8)
    assert operations(int8)["Dequantize"] == 1
    assert error <= ROUNDING


def test_shifted_values_are_not_concatenated_as_integers(rng: np.random.Generator) -> None:
    import tensorflow as tf

    images, filters = exact_images(rng, 2, 6, 6, 8), exact_weights(rng, 1, 1, 8, 8)

    def build(image: Tensor) -> Tensor:
        made = tf.nn.conv2d(image, filters, 1, "SAME")
        return tf.concat([made, identity(image)], axis=-1)

    error, int8 = steps_off(build, images)
    assert operations(int8) == Counter(["Dequantize", "Dequantize", CONV, CONV, "QuantizeV2"])
    assert error <= ROUNDING


def test_shifted_values_before_padding(rng: np.random.Generator) -> None:
    """Signed integers go from the one to the other; nothing is turned back in between."""
    import tensorflow as tf

    images = exact_images(rng, 2, 6, 6, 8)
    one, two = exact_weights(rng, 1, 1, 8, 8), exact_weights(rng, 3, 3, 8, 8)

    def build(image: Tensor) -> Tensor:
        return tf.nn.relu(tf.nn.conv2d(tf.nn.conv2d(image, one, 1, "SAME"), two, 1, "SAME"))

    error, int8 = steps_off(build, images)
    assert operations(int8) == Counter(["Dequantize", CONV, SIGNED_CONV, "QuantizeV2"])
    assert error <= 14


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("low", [0, -90])
def test_a_matrix_product(rng: np.random.Generator, low: int, transposed: bool) -> None:
    """Its result is real; each channel has a scale of its own although the operation has one."""
    import tensorflow as tf

    features = exact_images(rng, 5, 32, low=low, high=low + 255)
    weights = exact_weights(rng, 32, 10) * (10.0 ** rng.uniform(-3, 0, 10)).astype("f4")
    bias = rng.normal(size=10).astype("f4")

    def build(values: Tensor) -> Tensor:
        held = tf.constant(weights.T if transposed else weights)
        return tf.matmul(values, held, transpose_b=transposed) + bias

    error, int8 = steps_off(build, features)
    assert "QuantizedMatMulWithBiasAndDequantize" in operations(int8)
    assert "MatMul" not in operations(int8)
    assert error <= 0.01  # nothing is rounded


def test_batch_norm_and_padding_are_taken_in(rng: np.random.Generator) -> None:
    import tensorflow as tf

    images, filters = exact_images(rng, 2, 8, 8, 3), exact_weights(rng, 3, 3, 3, 8)
    gamma, variance = rng.uniform(0.5, 2, (2, 8)).astype("f4")
    beta, mean = rng.normal(size=(2, 8)).astype("f4")

    def build(image: Tensor) -> Tensor:
        padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]])
        image = tf.nn.conv2d(padded, filters, 2, "VALID")
        return tf.nn.relu6(
            tf.compat.v1.nn.fused_batch_norm(image, gamma, beta, mean, variance, is_training=False)[
                0
            ]
        )

    error, int8 = steps_off(build, images)
    assert {node.op for node in int8.node} == {
        "Const", "Placeholder", "QuantizeV2", CONV, "Dequantize", "Identity"
    }  # fmt: skip
    assert error <= ROUNDING


def test_one_scale_for_all_channels(rng: np.random.Generator) -> None:
    import tensorflow as tf

    images, filters = exact_images(rng, 2, 6, 6, 8), exact_weights(rng, 3, 3, 8, 8)

    def build(image: Tensor) -> Tensor:
        return tf.nn.relu(tf.nn.conv2d(image, filters, 1, "SAME"))

    error, int8 = steps_off(build, images, per_channel=False)
    (largest,) = [node for node in int8.node if node.name.endswith("/weights_max")]
    assert not largest.attr["value"].tensor.tensor_shape.dim
    assert ROUNDING < error < 8


def test_large_neighbours_do_not_overflow(rng: np.random.Generator) -> None:
    """On a CPU without VNNI, two products are added up in 16 bits."""
    import tensorflow as tf

    images = exact_images(rng, 2, 6, 6, 64, low=200)
    images.flat[0] = 0
    filters = rng.uniform(0.5, 1, (1, 1, 64, 16)).astype("f4")
    error, _ = steps_off(lambda image: tf.nn.relu(tf.nn.conv2d(image, filters, 1, "SAME")), images)
    assert error <= 2


def test_what_rounding_the_weights_shifts_is_given_back(rng: np.random.Generator) -> None:
    """All weights of a channel are rounded the same way: the means of the outputs agree still."""
    import tensorflow as tf

    images = exact_images(rng, 4, 8, 8, 32)
    filters = np.full((1, 1, 32, 8), 40.49 / 127, "f4")
    filters[0, 0, 0], filters[0, 0, 1] = 1, 0
    graph_def = graph_of(lambda image: tf.nn.relu(tf.nn.conv2d(image, filters, 1, "SAME")), images)
    (expected,) = run(graph_def, images)
    (found,) = run(quantized(graph_def, images), images)
    step = expected.max() / 255
    assert abs((found - expected).mean()) < 0.1 * step
