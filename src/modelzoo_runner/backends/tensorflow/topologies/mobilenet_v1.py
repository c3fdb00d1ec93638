"""MobileNet v1 (Howard et al. 2017, arXiv:1704.04861), in slim's structure and under its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies import heads
from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef, Layers, Tensor
from modelzoo_runner.backends.tensorflow.topologies.weights import variables
from modelzoo_runner.errors import RequestError

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array

FIRST_CHANNELS = 32
SEPARABLE = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
"""The channels and the stride of the thirteen depthwise separable convolutions."""


def mobilenet_v1(
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 1001,
    image_size: int = 224,
    depth_multiplier: float = 1.0,
) -> GraphDef:
    """MobileNet v1: `input` float32 [-1, 224, 224, 3] to `MobilenetV1/Predictions/Reshape_1`.

    The output is float32 [-1, 1001]. The random weights expect values of -1..1. 4.2 million
    parameters, 569e6 multiply-adds per image at multiplier 1.

    Args:
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: width of the output.
        image_size: height and width of the input in pixels.
        depth_multiplier: what every layer's channels are multiplied with; 8 is the least there are.

    Raises:
        RequestError: for a size below 32, a multiplier that isn't positive, or weights that don't
            fit.
    """
    with heads.classifier(classes=classes, image_size=image_size, least=32) as (graph, x):
        head = Layers(variables=variables(seed, weights), activation="Relu6").within("MobilenetV1")
        *_, x = features(head.again("MobilenetV1"), x, depth_multiplier)
        logits = heads.conv_logits(head, x, classes, pool="AvgPool_1a")
        heads.slim_predictions(logits, "MobilenetV1/Predictions")
    return graph.as_graph_def()


def features(
    layers: Layers, x: Tensor, depth_multiplier: float, *, least_channels: int = 8
) -> Iterator[Tensor]:
    """What each of the fourteen layers `Conv2d_0` to `Conv2d_13` makes of the image.

    Raises:
        RequestError: for a multiplier that isn't positive.
    """
    if depth_multiplier <= 0:
        raise RequestError(f"depth_multiplier={depth_multiplier}: it has to be above 0")

    def depth(channels: int) -> int:
        return max(int(channels * depth_multiplier), least_channels)

    x = layers.conv(x, "Conv2d_0", depth(FIRST_CHANNELS), 3, 2)
    yield x
    for index, (channels, stride) in enumerate(SEPARABLE, 1):
        x = layers.depthwise(x, f"Conv2d_{index}_depthwise", 3, stride)
        x = layers.conv(x, f"Conv2d_{index}_pointwise", depth(channels))
        yield x
