"""Inception v3 (Szegedy et al. 2015, arXiv:1512.00567), in slim's structure and under its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef
from modelzoo_runner.backends.tensorflow.topologies.heads import (
    check,
    conv_logits,
    image_input,
    softmax,
)
from modelzoo_runner.backends.tensorflow.topologies.inception import (
    Branches,
    Fork,
    Step,
    average,
    chain,
    conv,
    half,
    half_max,
    mixed,
    start,
)

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array


def inception_v3(
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 1001,
    image_size: int = 299,
) -> GraphDef:
    """Inception v3: `input` float32 [-1, 299, 299, 3] to `predict` (Softmax) float32 [-1, 1001].

    The random weights expect values of -1..1. 23.8 million parameters, 5.7e9 multiply-adds per
    image; the auxiliary head is a matter of training and isn't there.

    Args:
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: width of the output.
        image_size: height and width of the input in pixels.

    Raises:
        RequestError: for a size below 75, or weights that don't fit.
    """
    import tensorflow as tf

    check(classes=classes, image_size=image_size, least=75)
    with tf.Graph().as_default() as graph:
        head, base = start("InceptionV3", seed, weights)
        x = chain(base, image_input(image_size), STEM)
        for name, branches in BLOCKS.items():
            x = mixed(base, x, name, branches)
        softmax(conv_logits(head, x, classes, pool="AvgPool_1a_8x8"), "predict")
    return graph.as_graph_def()


STEM: list[Step] = [
    half("1a", 32),
    conv("2a", 32, 3, padding="VALID"),
    conv("2b", 64, 3),
    half_max("3a"),
    conv("3b", 80, padding="VALID"),
    conv("4a", 192, 3, padding="VALID"),
    half_max("5a"),
]


def _block_35(pool_channels: int) -> Branches:
    return (
        [conv("0a", 64)],
        [conv("0a", 48), conv("0b", 64, 5)],
        [conv("0a", 64), conv("0b", 96, 3), conv("0c", 96, 3)],
        [average(), conv("0b", pool_channels)],
    )


def _block_17(narrow: int) -> Branches:
    seven = [conv("0a", narrow), conv("0b", narrow, (1, 7)), conv("0c", 192, (7, 1))]
    twice_seven = [
        conv("0a", narrow),
        conv("0b", narrow, (7, 1)),
        conv("0c", narrow, (1, 7)),
        conv("0d", narrow, (7, 1)),
        conv("0e", 192, (1, 7)),
    ]
    return ([conv("0a", 192)], [*seven], [*twice_seven], [average(), conv("0b", 192)])


def _block_8(second_label: str) -> Branches:
    first = Fork((conv("0b", 384, (1, 3)), conv(second_label, 384, (3, 1))))
    second = Fork((conv("0c", 384, (1, 3)), conv("0d", 384, (3, 1))))
    return (
        [conv("0a", 320)],
        [conv("0a", 384), first],
        [conv("0a", 448), conv("0b", 384, 3), second],
        [average(), conv("0b", 192)],
    )


# Where a name below doesn't say what the layer is, that's slim's slip, kept in its checkpoints.
BLOCKS: Mapping[str, Branches] = {
    "Mixed_5b": _block_35(32),
    "Mixed_5c": (
        [conv("0a", 64)],
        [conv("0b", 48), conv("", 64, 5, name="Conv_1_0c_5x5")],
        [conv("0a", 64), conv("0b", 96, 3), conv("0c", 96, 3)],
        [average(), conv("0b", 64)],
    ),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": (
        [half("1a", 384, name="Conv2d_1a_1x1")],
        [conv("0a", 64), conv("0b", 96, 3), half("1a", 96, name="Conv2d_1a_1x1")],
        [half_max("1a")],
    ),
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": (
        [conv("0a", 192), half("1a", 320)],
        [conv("0a", 192), conv("0b", 192, (1, 7)), conv("0c", 192, (7, 1)), half("1a", 192)],
        [half_max("1a")],
    ),
    "Mixed_7b": _block_8("0b"),
    "Mixed_7c": _block_8("0c"),
}
