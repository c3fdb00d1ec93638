"""Inception v3, v4 and Inception-ResNet v2, in slim's structure and under its names.

Szegedy et al. 2015 (arXiv:1512.00567) and 2016 (arXiv:1602.07261). A network is a table of blocks,
written in a notation of its own: branches are separated by `|`, the steps of a branch by spaces.

    0a:64          convolution `Conv2d_0a_1x1` to 64 channels, with batch norm and ReLU
    0b:64:5        with a 5x5 kernel; 0b:64:1x7 with one of height 1 and width 7
    1a:96:3v       without padding; 1a:96:3/ also with a stride of 2
    name=96:3      under that name
    0b:8:1x3+0c:8  convolutions of one input side by side, concatenated
    avg, max:1a    a 3x3 average pool; the max pool `MaxPool_1a_3x3` that halves the resolution
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow.topologies import heads
from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef, Layers, Tensor
from modelzoo_runner.backends.tensorflow.topologies.weights import variables

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array

_CONVOLUTION = re.compile(
    r"(?:(?P<name>\w+)=|(?P<label>\w*):)(?P<channels>\d+)"
    r"(?::(?P<height>\d+)(?:x(?P<width>\d+))?)?(?P<suffix>[v/]?)"
)


def inception(
    network: str,
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 1001,
    image_size: int = 299,
) -> GraphDef:
    """`input` float32 [-1, 299, 299, 3] to a Softmax float32 [-1, 1001].

    The random weights expect values of -1..1. There is no auxiliary head, which is for training.

    | network | output | parameters | multiply-adds per image |
    |---|---|---|---|
    | InceptionV3 | predict | 23.8 million | 5.7e9 |
    | InceptionV4 | InceptionV4/Logits/Predictions | 42.7 million | 12.3e9 |
    | InceptionResnetV2 | InceptionResnetV2/Logits/Predictions | 55.8 million | 13.2e9 |

    Args:
        network: a name of the table, which is slim's scope.
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: width of the output.
        image_size: height and width of the input in pixels.

    Raises:
        RequestError: for a size below 75, or weights that don't fit.
    """
    with heads.classifier(classes=classes, image_size=image_size, least=75) as (graph, image):
        head = Layers(variables=variables(seed, weights), gamma=False).within(network)
        # Slim enters the network's scope a second time for the base; variables don't show it.
        base = head.again(network)
        if network == "InceptionV3":
            x = _mixed_blocks(base, chain(base, image, _STEM_V3), _V3)
            logits = heads.conv_logits(head, x, classes, pool="AvgPool_1a_8x8")
            heads.softmax(logits, "predict")
        elif network == "InceptionV4":
            x = _mixed_blocks(base, chain(base, image, _STEM_V4), _V4)
            logits = heads.dense_logits(head, x, classes, pool="AvgPool_1a")
            heads.softmax(logits, "InceptionV4/Logits/Predictions")
        else:
            x = _residual_blocks(base, chain(base, image, _STEM_V3))
            logits = heads.dense_logits(head, x, classes, pool="AvgPool_1a_8x8")
            heads.softmax(logits, "InceptionResnetV2/Logits/Predictions")
    return graph.as_graph_def()


def chain(layers: Layers, x: Tensor, steps: str) -> Tensor:
    """One step of a branch after the other."""
    for step in steps.split():
        if step == "avg":
            x = layers.pool(x, "AvgPool_0a_3x3", "AvgPool", 3, 1, "SAME")
        elif step.startswith("max:"):
            x = layers.pool(x, f"MaxPool_{step[4:]}_3x3", "MaxPool", 3, 2, "VALID")
        else:
            ends = [layers.conv(x, **convolution(each)) for each in step.split("+")]
            x = layers.concat(ends) if len(ends) > 1 else ends[0]
    return x


def convolution(text: str) -> dict[str, Any]:
    """The arguments of `Layers.conv` that a step stands for.

    >>> convolution("0b:224:1x7")["name"], convolution("1a:8:3/")["stride"]
    ('Conv2d_0b_1x7', 2)
    """
    match = _CONVOLUTION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: not a convolution")
    height = int(match["height"] or 1)
    width = int(match["width"] or height)
    parts = ("Conv2d", match["label"], f"{height}x{width}")
    return {
        "name": match["name"] or "_".join(part for part in parts if part),
        "channels": int(match["channels"]),
        "kernel": (height, width),
        "stride": 2 if match["suffix"] == "/" else 1,
        "padding": "VALID" if match["suffix"] else "SAME",
    }


def mixed(layers: Layers, x: Tensor, branches: str) -> Tensor:
    """The branches of one block, each in a scope of its own, concatenated."""
    ends = [
        chain(layers.within(f"Branch_{index}"), x, steps)
        for index, steps in enumerate(branches.split("|"))
    ]
    return layers.concat(ends)


def _mixed_blocks(base: Layers, x: Tensor, blocks: Mapping[str, str]) -> Tensor:
    for name, branches in blocks.items():
        x = mixed(base.within(name), x, branches)
    return x


def _residual_blocks(base: Layers, x: Tensor) -> Tensor:
    """The blocks of Inception-ResNet v2, each group of which repeats one residual block."""
    for before, branches, scope, block, count, scale in _RESNET_V2:
        x = mixed(base.within(before), x, branches)
        for index in range(1, count + 1):
            layers = base.within(scope).within(f"{block}_{index}")
            x = _residual(layers, x, _RESIDUAL[block], scale=scale)
    x = _residual(base.within("Block8"), x, _RESIDUAL["block8"], scale=1.0, activate=False)
    return base.conv(x, "Conv2d_7b_1x1", 1536)


def _residual(
    layers: Layers, x: Tensor, branches: str, *, scale: float, activate: bool = True
) -> Tensor:
    """Adds to x `scale` times the output of the branches."""
    import tensorflow as tf

    joined = mixed(layers, x, branches)
    up = layers.conv(joined, "Conv2d_1x1", x.shape[-1], norm="bias", activate=False)
    name = layers.node_scope
    scaled = tf.raw_ops.Mul(x=tf.constant(scale, name=f"{name}mul/x"), y=up, name=f"{name}mul")
    x = tf.raw_ops.Add(x=x, y=scaled, name=f"{name}add")
    return tf.raw_ops.Relu(features=x, name=f"{name}Relu") if activate else x


_STEM_V3 = "1a:32:3/ 2a:32:3v 2b:64:3 max:3a 3b:80v 4a:192:3v max:5a"
_STEM_V4 = "1a:32:3/ 2a:32:3v 2b:64:3"

_V3_35 = "0a:64 | 0a:48 0b:64:5 | 0a:64 0b:96:3 0c:96:3 | avg 0b:{}"
_V3_17 = (
    "0a:192 | 0a:{0} 0b:{0}:1x7 0c:192:7x1"
    " | 0a:{0} 0b:{0}:7x1 0c:{0}:1x7 0d:{0}:7x1 0e:192:1x7 | avg 0b:192"
)
_V3_8 = "0a:320 | 0a:384 0b:384:1x3+{}:384:3x1 | 0a:448 0b:384:3 0c:384:1x3+0d:384:3x1 | avg 0b:192"
# Where a name doesn't say what the layer is, that's slim's slip, kept in its checkpoints.
_V3: Mapping[str, str] = {
    "Mixed_5b": _V3_35.format(32),
    "Mixed_5c": "0a:64 | 0b:48 Conv_1_0c_5x5=64:5 | 0a:64 0b:96:3 0c:96:3 | avg 0b:64",
    "Mixed_5d": _V3_35.format(64),
    "Mixed_6a": "Conv2d_1a_1x1=384:3/ | 0a:64 0b:96:3 Conv2d_1a_1x1=96:3/ | max:1a",
    "Mixed_6b": _V3_17.format(128),
    "Mixed_6c": _V3_17.format(160),
    "Mixed_6d": _V3_17.format(160),
    "Mixed_6e": _V3_17.format(192),
    "Mixed_7a": "0a:192 1a:320:3/ | 0a:192 0b:192:1x7 0c:192:7x1 1a:192:3/ | max:1a",
    "Mixed_7b": _V3_8.format("0b"),
    "Mixed_7c": _V3_8.format("0c"),
}

_V4_A = "0a:96 | 0a:64 0b:96:3 | 0a:64 0b:96:3 0c:96:3 | avg 0b:96"
_V4_B = (
    "0a:384 | 0a:192 0b:224:1x7 0c:256:7x1"
    " | 0a:192 0b:192:7x1 0c:224:1x7 0d:224:7x1 0e:256:1x7 | avg 0b:128"
)
_V4_C = (
    "0a:256 | 0a:384 0b:256:1x3+0c:256:3x1"
    " | 0a:384 0b:448:3x1 0c:512:1x3 0d:256:1x3+0e:256:3x1 | avg 0b:256"
)
_V4: Mapping[str, str] = {
    "Mixed_3a": "max:0a | 0a:96:3/",
    "Mixed_4a": "0a:64 1a:96:3v | 0a:64 0b:64:1x7 0c:64:7x1 1a:96:3v",
    "Mixed_5a": "1a:192:3/ | max:1a",
    **{f"Mixed_5{letter}": _V4_A for letter in "bcde"},
    "Mixed_6a": "1a:384:3/ | 0a:192 0b:224:3 1a:256:3/ | max:1a",
    **{f"Mixed_6{letter}": _V4_B for letter in "bcdefgh"},
    "Mixed_7a": "0a:192 1a:192:3/ | 0a:256 0b:256:1x7 0c:320:7x1 1a:320:3/ | max:1a",
    **{f"Mixed_7{letter}": _V4_C for letter in "bcd"},
}

_RESIDUAL: Mapping[str, str] = {
    "block35": ":32 | 0a:32 0b:32:3 | 0a:32 0b:48:3 0c:64:3",
    "block17": ":192 | 0a:128 0b:160:1x7 0c:192:7x1",
    "block8": ":192 | 0a:192 0b:224:1x3 0c:256:3x1",
}
_MIXED_5B = ":96 | 0a:48 0b:64:5 | 0a:64 0b:96:3 0c:96:3 | avg 0b:64"
_MIXED_6A = "1a:384:3/ | 0a:256 0b:256:3 1a:384:3/ | max:1a"
_MIXED_7A = "0a:256 1a:384:3/ | 0a:256 1a:288:3/ | 0a:256 0b:288:3 1a:320:3/ | max:1a"
# A mixed block, then the scope, the kind, the number and the scale of residual blocks.
_RESNET_V2 = (
    ("Mixed_5b", _MIXED_5B, "Repeat", "block35", 10, 0.17),
    ("Mixed_6a", _MIXED_6A, "Repeat_1", "block17", 20, 0.10),
    ("Mixed_7a", _MIXED_7A, "Repeat_2", "block8", 9, 0.20),
)
