"""ResNet v1 (He et al. 2015, arXiv:1512.03385), in slim's structure and under its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from modelzoo_runner.backends.tensorflow.topologies import heads
from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef, Layers, Tensor
from modelzoo_runner.backends.tensorflow.topologies.weights import RELU_STD, variables
from modelzoo_runner.errors import RequestError

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array

Stride = Literal["slim", "v1", "v1.5"]
"""Where a block halves the resolution.

`slim`: in the last unit of the block, at its 3x3 convolution; `v1`: in the first unit of the next
block, at its first 1x1 convolution, as published; `v1.5`: in that unit, at its 3x3 convolution.
"""
PIXEL_STD = 255 / 12**0.5
"""The standard deviation of values spread evenly over 0..255."""
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
EPSILON = 1.001e-5


def resnet_v1(
    depth: int,
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 1001,
    image_size: int = 224,
    stride: Stride = "slim",
    pool_padding: Literal["SAME", "SYMMETRIC"] = "SAME",
) -> GraphDef:
    """`input` float32 [-1, 224, 224, 3] to scores float32 [-1, classes], of 50 or 101 layers.

    The scores are `predict` (Softmax) with 50 layers, `resnet_v1_101/predictions/Reshape_1` with
    101. The random weights expect pixels of 0..255. 25.6 million parameters with 50 layers; 3.49e9
    multiply-adds per image with the stride of slim, 3.86e9 with that of v1 (which the model zoo's
    published graph has), 4.09e9 with that of v1.5. 44.5 million and 7.2e9 (slim) with 101 layers.

    Args:
        depth: 50 or 101.
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: width of the output.
        image_size: height and width of the input in pixels.
        stride: where a block halves the resolution, see `Stride`.
        pool_padding: of the first max pool; `SYMMETRIC` is what Keras has.

    Raises:
        RequestError: for an unknown stride, a size below 32, or weights that don't fit.
    """
    with heads.classifier(classes=classes, image_size=image_size, least=32) as (graph, image):
        layers = conventions(seed, weights).within(f"resnet_v1_{depth}")
        x = features(layers, image, UNITS[depth], stride=stride, pool_padding=pool_padding)
        logits = _logits(layers, x, classes)
        if depth == 50:
            heads.softmax(logits, "predict")
        else:
            heads.slim_predictions(logits, f"{layers.node_scope}predictions")
    return graph.as_graph_def()


def features(
    layers: Layers,
    x: Tensor,
    units: tuple[int, ...],
    *,
    stride: Stride = "slim",
    halvings: int = 3,
    pool_padding: Literal["SAME", "SYMMETRIC"] = "SAME",
) -> Tensor:
    """The network up to its last block, or to an earlier one when `units` is shorter than four.

    The first layers reduce the resolution to a quarter, the blocks halve it `halvings` times more.
    """
    x = layers.conv(x, "conv1", 64, 7, 2, "SYMMETRIC", gain=RELU_STD / PIXEL_STD)
    if pool_padding == "SYMMETRIC":
        # Zeros can't win against the outputs of a ReLU, so padding with them is padding.
        x = layers.pool(layers.pad(x, 3, "pool1/"), "pool1", "MaxPool", 3, 2, "VALID")
    else:
        x = layers.pool(x, "pool1", "MaxPool", 3, 2, "SAME")
    for index, count in enumerate(units):
        halves = index < halvings if stride == "slim" else 0 < index <= halvings
        x = block(layers, x, index + 1, count, stride=stride if halves else None)
    return x


def block(
    layers: Layers, x: Tensor, number: int, units: int, *, stride: Stride | None = None
) -> Tensor:
    """Block `number` (1 to 4); `stride` is where it halves the resolution, if it does.

    Raises:
        RequestError: for an unknown stride.
    """
    if stride not in (None, "slim", "v1", "v1.5"):
        raise RequestError(f"stride={stride!r}: it can be 'slim', 'v1' or 'v1.5'")
    depth = 128 * 2**number
    halving_unit = units if stride == "slim" else 1
    for unit in range(1, units + 1):
        x = _bottleneck(
            layers.within(f"block{number}/unit_{unit}/bottleneck_v1"),
            x,
            depth,
            stride=stride if unit == halving_unit else None,
            # The sum of a block's units keeps its size when each adds one part in `units`.
            gain=units**-0.5,
        )
    return x


def _bottleneck(
    layers: Layers, x: Tensor, depth: int, *, stride: Stride | None, gain: float
) -> Tensor:
    import tensorflow as tf

    at_first, at_second = (2 if stride == "v1" else 1), (2 if stride in ("slim", "v1.5") else 1)
    step = at_first * at_second
    if x.shape[-1] != depth:
        shortcut = layers.conv(x, "shortcut", depth, 1, step, activate=False)
    elif step > 1:
        shortcut = layers.pool(x, "shortcut", "MaxPool", 1, step, "SAME")
    else:
        shortcut = x
    x = layers.conv(x, "conv1", depth // 4, 1, at_first)
    x = layers.conv(x, "conv2", depth // 4, 3, at_second, "SYMMETRIC" if at_second > 1 else "SAME")
    x = layers.conv(x, "conv3", depth, 1, activate=False, gain=gain)
    x = tf.raw_ops.Add(x=shortcut, y=x, name=f"{layers.node_scope}add")
    return tf.raw_ops.Relu(features=x, name=f"{layers.node_scope}Relu")


def conventions(seed: int, weights: Mapping[str, Array] | None) -> Layers:
    """Layers as these networks have them."""
    return Layers(variables=variables(seed, weights), epsilon=EPSILON)


def _logits(layers: Layers, x: Tensor, classes: int) -> Tensor:
    import tensorflow as tf

    axes = tf.constant([1, 2], name=f"{layers.node_scope}pool5/reduction_indices")
    x = tf.raw_ops.Mean(input=x, axis=axes, keep_dims=True, name=f"{layers.node_scope}pool5")
    x = layers.conv(x, "logits", classes, norm="bias", activate=False)
    return tf.raw_ops.Squeeze(input=x, axis=[1, 2], name=f"{layers.node_scope}SpatialSqueeze")
