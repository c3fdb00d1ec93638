"""Inception-ResNet v2 (Szegedy et al. 2016, arXiv:1602.07261), in slim's structure and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef, Layers, Tensor
from modelzoo_runner.backends.tensorflow.topologies.heads import (
    check,
    dense_logits,
    image_input,
    softmax,
)
from modelzoo_runner.backends.tensorflow.topologies.inception import (
    Branches,
    average,
    chain,
    conv,
    half,
    half_max,
    mixed,
    start,
)
from modelzoo_runner.backends.tensorflow.topologies.inception_v3 import STEM

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array


def inception_resnet_v2(
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 1001,
    image_size: int = 299,
) -> GraphDef:
    """Inception-ResNet v2: `input` float32 to `InceptionResnetV2/Logits/Predictions`.

    The input is [-1, 299, 299, 3], the output float32 [-1, 1001], a Softmax. The random weights
    expect values of -1..1. 55.8 million parameters, 13.2e9 multiply-adds per image; there is no
    auxiliary head. Arguments and errors as in `inception_v3`.
    """
    import tensorflow as tf

    check(classes=classes, image_size=image_size, least=75)
    with tf.Graph().as_default() as graph:
        head, base = start("InceptionResnetV2", seed, weights)
        x = chain(base, image_input(image_size), STEM)
        x = mixed(base, x, "Mixed_5b", MIXED_5B)
        x = _repeat(base.within("Repeat"), x, "block35", 10, BLOCK_35, scale=0.17)
        x = mixed(base, x, "Mixed_6a", MIXED_6A)
        x = _repeat(base.within("Repeat_1"), x, "block17", 20, BLOCK_17, scale=0.10)
        x = mixed(base, x, "Mixed_7a", MIXED_7A)
        x = _repeat(base.within("Repeat_2"), x, "block8", 9, BLOCK_8, scale=0.20)
        x = _residual(base.within("Block8"), x, BLOCK_8, scale=1.0, activate=False)
        x = base.conv(x, "Conv2d_7b_1x1", 1536)
        logits = dense_logits(head, x, classes, pool="AvgPool_1a_8x8")
        softmax(logits, "InceptionResnetV2/Logits/Predictions")
    return graph.as_graph_def()


def _repeat(
    layers: Layers, x: Tensor, name: str, count: int, branches: Branches, *, scale: float
) -> Tensor:
    for index in range(1, count + 1):
        x = _residual(layers.within(f"{name}_{index}"), x, branches, scale=scale)
    return x


def _residual(
    layers: Layers, x: Tensor, branches: Branches, *, scale: float, activate: bool = True
) -> Tensor:
    """Adds to x `scale` times what the branches make of it."""
    import tensorflow as tf

    ends = [chain(layers.within(f"Branch_{index}"), x, each) for index, each in enumerate(branches)]
    up = layers.conv(layers.concat(ends), "Conv2d_1x1", x.shape[-1], norm="bias", activate=False)
    name = layers.node_scope
    scaled = tf.raw_ops.Mul(x=tf.constant(scale, name=f"{name}mul/x"), y=up, name=f"{name}mul")
    x = tf.raw_ops.Add(x=x, y=scaled, name=f"{name}add")
    return tf.raw_ops.Relu(features=x, name=f"{name}Relu") if activate else x


MIXED_5B: Branches = (
    [conv("", 96)],
    [conv("0a", 48), conv("0b", 64, 5)],
    [conv("0a", 64), conv("0b", 96, 3), conv("0c", 96, 3)],
    [average(), conv("0b", 64)],
)
BLOCK_35: Branches = (
    [conv("", 32)],
    [conv("0a", 32), conv("0b", 32, 3)],
    [conv("0a", 32), conv("0b", 48, 3), conv("0c", 64, 3)],
)
MIXED_6A: Branches = (
    [half("1a", 384)],
    [conv("0a", 256), conv("0b", 256, 3), half("1a", 384)],
    [half_max("1a")],
)
BLOCK_17: Branches = (
    [conv("", 192)],
    [conv("0a", 128), conv("0b", 160, (1, 7)), conv("0c", 192, (7, 1))],
)
MIXED_7A: Branches = (
    [conv("0a", 256), half("1a", 384)],
    [conv("0a", 256), half("1a", 288)],
    [conv("0a", 256), conv("0b", 288, 3), half("1a", 320)],
    [half_max("1a")],
)
BLOCK_8: Branches = (
    [conv("", 192)],
    [conv("0a", 192), conv("0b", 224, (1, 3)), conv("0c", 256, (3, 1))],
)
