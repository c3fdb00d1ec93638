"""Small graphs whose weights and inputs are exact in 8 bits, so that only results are rounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.int8.quantize import quantize

Array = Any
GraphDef = Any
Tensor = Any

STEP = 1 / 64
"""The distance between the values that inputs have."""


def exact_weights(rng: np.random.Generator, *shape: int, depthwise: bool = False) -> Array:
    """Weights that are whole multiples of a scale of their channel's, the largest 127 times it."""
    whole = rng.integers(-30, 31, shape).astype(np.float32)
    scale = rng.uniform(0.5, 2, shape[2 if depthwise else -1]).astype(np.float32) / 512
    if depthwise:
        whole[0, 0] = 127
        return whole * scale[:, None]
    # Nothing is beside the largest, so that no two neighbours' sum is larger.
    inputs = whole[0, 0] if len(shape) == 4 else whole
    inputs[0], inputs[1:2] = 127, 0
    return whole * scale


def exact_images(rng: np.random.Generator, *shape: int, low: int = 0, high: int = 255) -> Array:
    """Values on a grid of 256 of them, both ends among them."""
    whole = rng.integers(low, high + 1, shape)
    whole.flat[0], whole.flat[1] = low, high
    return (whole * STEP).astype(np.float32)


def graph_of(build: Callable[[Tensor], Tensor], images: Array, *, fixed: bool = True) -> GraphDef:
    """`input` -> what the function makes of it -> `output`; only the channels are fixed or all."""
    import tensorflow as tf

    size = images.shape[1:-1] if fixed else [None] * (images.ndim - 2)
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, [None, *size, images.shape[-1]], name="input")
        tf.identity(build(image), name="output")
    return graph.as_graph_def()


def run(graph_def: GraphDef, images: Array, outputs: Sequence[str] = ("output:0",)) -> list[Array]:
    """The outputs for a batch."""
    with open_step(graph_def, input="input:0", outputs=outputs) as step:
        return step(images)


LAYERS = (
    "Conv2D",
    "DepthwiseConv2dNative",
    "MatMul",
    "Relu",
    "Relu6",
    "AddV2",
    "MaxPool",
    "AvgPool",
)


def operations(graph_def: GraphDef) -> Counter[str]:
    """How often a graph has each operation that has to do with integers, or is a float layer."""
    return Counter(node.op for node in graph_def.node if "uantize" in node.op or node.op in LAYERS)


def quantized(graph_def: GraphDef, images: Array, **how: Any) -> GraphDef:
    """The int8 graph, which has to be one that can be run."""
    how.setdefault("outputs", {"output": "output:0"})
    int8 = quantize(graph_def, [images], input="input:0", **how)
    check_kernels(int8, outputs=how["outputs"].values())
    return int8


def steps_off(
    build: Callable[[Tensor], Tensor], images: Array, *, fixed: bool = True, **how: Any
) -> tuple[float, GraphDef]:
    """How far int8 is from float32 at most, in steps of the output's 255; and the int8 graph."""
    graph_def = graph_of(build, images, fixed=fixed)
    int8 = quantized(graph_def, images, **how)
    (expected,), (found,) = run(graph_def, images), run(int8, images)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    step = (max(expected.max(), 0) - min(expected.min(), 0)) / 255
    return float(np.abs(found - expected).max() / step), int8
