"""Inception v4 (Szegedy et al. 2016, arXiv:1602.07261), in slim's structure and under its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef
from modelzoo_runner.backends.tensorflow.topologies.heads import (
    check,
    dense_logits,
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


def inception_v4(
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 1001,
    image_size: int = 299,
) -> GraphDef:
    """Inception v4: `input` float32 [-1, 299, 299, 3] to `InceptionV4/Logits/Predictions`.

    The output is float32 [-1, 1001], a Softmax. The random weights expect values of -1..1. 42.7
    million parameters, 12.3e9 multiply-adds per image; there is no auxiliary head. Arguments and
    errors as in `inception_v3`.
    """
    import tensorflow as tf

    check(classes=classes, image_size=image_size, least=75)
    with tf.Graph().as_default() as graph:
        head, base = start("InceptionV4", seed, weights)
        x = chain(base, image_input(image_size), STEM)
        for name, branches in BLOCKS.items():
            x = mixed(base, x, name, branches)
        logits = dense_logits(head, x, classes, pool="AvgPool_1a")
        softmax(logits, "InceptionV4/Logits/Predictions")
    return graph.as_graph_def()


STEM: list[Step] = [half("1a", 32), conv("2a", 32, 3, padding="VALID"), conv("2b", 64, 3)]

_INCEPTION_A: Branches = (
    [conv("0a", 96)],
    [conv("0a", 64), conv("0b", 96, 3)],
    [conv("0a", 64), conv("0b", 96, 3), conv("0c", 96, 3)],
    [average(), conv("0b", 96)],
)
_INCEPTION_B: Branches = (
    [conv("0a", 384)],
    [conv("0a", 192), conv("0b", 224, (1, 7)), conv("0c", 256, (7, 1))],
    [
        conv("0a", 192),
        conv("0b", 192, (7, 1)),
        conv("0c", 224, (1, 7)),
        conv("0d", 224, (7, 1)),
        conv("0e", 256, (1, 7)),
    ],
    [average(), conv("0b", 128)],
)
_INCEPTION_C: Branches = (
    [conv("0a", 256)],
    [conv("0a", 384), Fork((conv("0b", 256, (1, 3)), conv("0c", 256, (3, 1))))],
    [
        conv("0a", 384),
        conv("0b", 448, (3, 1)),
        conv("0c", 512, (1, 3)),
        Fork((conv("0d", 256, (1, 3)), conv("0e", 256, (3, 1)))),
    ],
    [average(), conv("0b", 256)],
)

BLOCKS: Mapping[str, Branches] = {
    "Mixed_3a": ([half_max("0a")], [half("0a", 96)]),
    "Mixed_4a": (
        [conv("0a", 64), conv("1a", 96, 3, padding="VALID")],
        [
            conv("0a", 64),
            conv("0b", 64, (1, 7)),
            conv("0c", 64, (7, 1)),
            conv("1a", 96, 3, padding="VALID"),
        ],
    ),
    "Mixed_5a": ([half("1a", 192)], [half_max("1a")]),
    **{f"Mixed_5{letter}": _INCEPTION_A for letter in "bcde"},
    "Mixed_6a": (
        [half("1a", 384)],
        [conv("0a", 192), conv("0b", 224, 3), half("1a", 256)],
        [half_max("1a")],
    ),
    **{f"Mixed_6{letter}": _INCEPTION_B for letter in "bcdefgh"},
    "Mixed_7a": (
        [conv("0a", 192), half("1a", 192)],
        [conv("0a", 256), conv("0b", 256, (1, 7)), conv("0c", 320, (7, 1)), half("1a", 320)],
        [half_max("1a")],
    ),
    **{f"Mixed_7{letter}": _INCEPTION_C for letter in "bcd"},
}
