"""What can be int8 in a graph, and why the rest can't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from int8_made import graph_of

from modelzoo_runner.int8.analysis import analyze, canonical
from modelzoo_runner.int8.find import find
from modelzoo_runner.int8.fused import Findings

Tensor = Any

IMAGES = np.zeros((1, 8, 8, 4), np.float32)
FILTERS = np.ones((3, 3, 4, 4), np.float32)


def found_in(build: Callable[[Tensor], Tensor], *, fixed: bool = True, **how: Any) -> Findings:
    graph_def = graph_of(build, IMAGES, fixed=fixed)
    return find(analyze(graph_def, input="input:0", outputs=["output:0"]), **how)


def convolution(image: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.relu(tf.nn.conv2d(image, FILTERS, 1, "SAME", name="conv"), name="relu")


def weights_that_follow_from_the_image(image: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.conv2d(image, FILTERS * tf.reduce_mean(image), 1, "SAME", name="conv")


def double_precision(image: Tensor) -> Tensor:
    import tensorflow as tf

    made = tf.nn.conv2d(tf.cast(image, tf.float64), FILTERS.astype("f8"), 1, "SAME", name="conv")
    return tf.cast(made, tf.float32)


def a_picture_of_its_own(image: Tensor) -> Tensor:
    import tensorflow as tf

    # Too large to be folded away, as weights made in the graph are.
    picture = tf.raw_ops.Cumsum(x=tf.ones([1, 8, 8, 4]), axis=1)
    return image + tf.nn.conv2d(picture, FILTERS, 1, "SAME", name="conv")


def transposed(image: Tensor) -> Tensor:
    import tensorflow as tf

    features = tf.reshape(image, [4, 64])
    return tf.matmul(features, np.ones((4, 5), "f4"), transpose_a=True, name="conv")


def channels_first(image: Tensor) -> Tensor:
    import tensorflow as tf

    image = tf.transpose(image, [0, 3, 1, 2])
    return tf.nn.conv2d(image, FILTERS, 1, "SAME", data_format="NCHW", name="conv")


def two_for_each_channel(image: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.raw_ops.DepthwiseConv2dNative(
        input=image, filter=FILTERS[..., :2], strides=[1] * 4, padding="SAME", name="conv"
    )


def grouped(image: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.conv2d(image, FILTERS[:, :, :2], 1, "SAME", name="conv")


def depthwise_padded_by_hand(image: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.raw_ops.DepthwiseConv2dNative(
        input=image,
        filter=FILTERS[..., :1],
        strides=[1] * 4,
        padding="EXPLICIT",
        explicit_paddings=[0, 0, 1, 1, 1, 1, 0, 0],
        name="conv",
    )


def in_a_loop(image: Tensor) -> Tensor:
    import tensorflow as tf

    tf.compat.v1.disable_control_flow_v2()
    try:
        return tf.compat.v1.while_loop(
            lambda number, _: number < 3,
            lambda number, image: (
                number + 1,
                tf.nn.conv2d(image, FILTERS, 1, "SAME", name="conv"),
            ),
            [tf.constant(0), image],
        )[1]
    finally:
        tf.compat.v1.enable_control_flow_v2()


def on_a_branch(image: Tensor) -> Tensor:
    import tensorflow as tf

    tf.compat.v1.disable_control_flow_v2()
    try:
        return tf.compat.v1.cond(
            tf.reduce_max(image) > 0,
            lambda: tf.nn.conv2d(image, FILTERS, 1, "SAME", name="conv"),
            lambda: image,
        )
    finally:
        tf.compat.v1.enable_control_flow_v2()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (weights_that_follow_from_the_image, "its weights aren't constant"),
        (double_precision, "its weights are float64, not float32"),
        (a_picture_of_its_own, "it doesn't depend on the graph's input"),
        (transposed, "its input is transposed"),
        (channels_first, "its data format is NCHW, and int8 has NHWC only"),
        (two_for_each_channel, "it has more than one output channel for each input channel"),
        (grouped, "it is a grouped convolution"),
        (
            depthwise_padded_by_hand,
            "its padding is explicit, and int8 has SAME and VALID only",
        ),
        (in_a_loop, "it is in a loop or on a branch"),
        (on_a_branch, "it is in a loop or on a branch"),
    ],
)
def test_why_a_product_stays_in_float32(build: Callable[[Tensor], Tensor], reason: str) -> None:
    findings = found_in(build)
    assert not findings.layers
    (left,) = findings.float_reasons.items()
    assert left[0].endswith("conv") and left[1] == reason


def test_a_depthwise_product_of_both_signs_and_of_unknown_size_stays_in_float32() -> None:
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        return tf.nn.depthwise_conv2d(image, FILTERS[..., :1], [1] * 4, "SAME", name="conv")

    assert not found_in(build, fixed=True).float_reasons
    assert found_in(build, fixed=False).float_reasons == {
        "conv": "its input has values below zero, with zeros padded around them"
    }
    # Behind a ReLU there are none.
    assert not found_in(lambda image: build(convolution(image)), fixed=False).float_reasons


@pytest.mark.parametrize("exclude", [["conv"], ["Conv2D"], ("Conv2D", "conv")])
def test_what_is_excluded_stays_in_float32(exclude: list[str]) -> None:
    findings = found_in(convolution, exclude=exclude)
    assert not findings.layers
    assert findings.float_reasons == {"conv": "it was excluded"}


def test_a_relu_that_is_excluded_is_not_taken_in() -> None:
    (layer,) = found_in(convolution, exclude=["Relu"]).layers.values()
    assert layer.activation == "" and layer.output == "conv"


def test_a_unit_holds_all_that_one_operation_does() -> None:
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        padded = tf.pad(image, [[0, 0], [1, 2], [0, 3], [0, 0]])
        made = tf.nn.conv2d(padded, FILTERS, 2, "VALID", dilations=1, name="conv")
        made = tf.nn.bias_add(made, np.arange(4, dtype="f4"), name="bias")
        return tf.nn.relu6(made, name="relu6")

    (layer,) = found_in(build).layers.values()
    assert (layer.name, layer.op, layer.input, layer.output) == ("conv", "Conv2D", "input", "relu6")
    assert layer.nodes == ("conv", "bias", "relu6")
    assert layer.pads == (1, 2, 0, 3) and layer.padding == "VALID" and layer.sees_padding
    assert layer.strides == (2, 2) and layer.dilations == (1, 1)
    assert layer.activation == "Relu6" and layer.bias.tolist() == [0, 1, 2, 3]
    assert layer.channels == 4


@pytest.mark.parametrize("op", ["Add", "AddV2"])
@pytest.mark.parametrize(
    ("offset", "taken"),
    [
        (np.float32(2), True),
        (np.arange(4, dtype="f4"), True),
        (np.arange(4, dtype="f4").reshape(1, 1, 1, 4), True),
        (np.arange(8, dtype="f4").reshape(8, 1), False),
        (np.arange(32, dtype="f4").reshape(8, 4), False),
        (np.arange(4, dtype="f4").reshape(1, 1, 1, 1, 4), False),
    ],
)
def test_a_constant_that_is_added_to_each_channel_is_taken_in(
    op: str, offset: Any, taken: bool
) -> None:
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        # Between the convolution and the sum stands what keeps it from being folded before.
        made = tf.nn.conv2d(image, FILTERS, 1, "SAME") + convolution(image)
        return getattr(tf.raw_ops, op)(x=offset, y=made, name="sum")

    layers = found_in(build).layers
    assert ("sum" in layers) == taken
    if taken:
        np.testing.assert_array_equal(layers["sum"].bias, np.broadcast_to(offset.ravel(), 4))
        assert layers["sum"].summand is not None


@pytest.mark.parametrize(("size", "pads"), [((8, 8), (0, 1, 0, 1)), ((7, 9), (1, 1, 1, 1))])
def test_same_pads_by_the_size_of_the_image(size: tuple[int, int], pads: tuple[int, ...]) -> None:
    import tensorflow as tf

    images = np.zeros((1, *size, 4), np.float32)
    graph_def = graph_of(lambda image: tf.nn.conv2d(image, FILTERS, 2, "SAME"), images)
    (layer,) = find(analyze(graph_def, input="input:0", outputs=["output:0"])).layers.values()
    assert layer.pads == pads


def test_a_result_that_is_fetched_is_not_taken_into_the_next_operation() -> None:
    graph_def = graph_of(convolution, IMAGES)
    analysis = analyze(graph_def, input="input:0", outputs=["conv:0", "output:0"])
    (layer,) = find(analysis).layers.values()
    assert layer.output == "conv" and not layer.activation


@pytest.mark.parametrize(
    ("pool", "carried"),
    [
        ({"op": "MaxPool", "ksize": [1, 7, 7, 1]}, True),
        ({"op": "AvgPool", "ksize": [1, 5, 5, 1]}, True),
        ({"op": "AvgPool", "ksize": [1, 6, 6, 1]}, False),  # too many for 8 bits
        ({"op": "MaxPool", "ksize": [1, 2, 2, 1], "explicit_paddings": [0, 0] + [1] * 4 + [0, 0]},
         False),
        ({"op": "MaxPool", "ksize": [1, 1, 1, 2], "strides": [1, 1, 1, 2]}, False),
    ],
)  # fmt: skip
def test_which_poolings_work_on_integers(pool: dict[str, Any], carried: bool) -> None:
    import tensorflow as tf

    how = {"strides": [1] * 4, **pool}
    op = how.pop("op")
    how["padding"] = "EXPLICIT" if "explicit_paddings" in how else "SAME"

    def build(image: Tensor) -> Tensor:
        given = {"input" if op == "MaxPool" else "value": convolution(image)}
        return getattr(tf.raw_ops, op)(**given, **how, name="pool")

    findings = found_in(build)
    assert set(findings.pass_through) == ({"pool"} if carried else set())
    assert findings.is_int8("relu") and findings.is_int8("pool") == carried


@pytest.mark.parametrize(("axis", "carried"), [(3, True), (-1, True), (1, False)])
def test_which_concatenations_work_on_integers(axis: int, carried: bool) -> None:
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        parts = [convolution(image), convolution(image)]
        return tf.concat(parts, axis, name="concat")

    assert set(found_in(build).pass_through) == ({"concat"} if carried else set())


def test_a_tensor_has_one_name() -> None:
    assert list(map(canonical, ["split:0", "split:1", "split", "^init"])) == [
        "split",
        "split:1",
        "split",
        "init",
    ]
