"""Small graphs for the tests, and ways to run and save them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

GraphDef = Any
NodeDef = Any
Tensor = Any


def made(build: Callable[[], object]) -> GraphDef:
    """The graph that a function of TensorFlow calls builds."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        build()
    return graph.as_graph_def()


def node(name: str, op: str, *inputs: str) -> NodeDef:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    return NodeDef(name=name, op=op, input=inputs)


def graph_of(*nodes: NodeDef) -> GraphDef:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    return GraphDef(node=nodes)


def placeholder(*shape: int | None, name: str = "input", dtype: str = "float32") -> Tensor:
    import tensorflow as tf

    return tf.compat.v1.placeholder(dtype, shape, name=name)


def constant(value: Any, name: str | None = None) -> Tensor:
    import tensorflow as tf

    return tf.constant(np.asarray(value, "float32"), name=name)


def weights(rng: np.random.Generator, *shape: int) -> Tensor:
    """Random weights that keep the size of what they are multiplied with."""
    fan_in = int(np.prod(shape[:-1])) or 1
    return constant(rng.normal(size=shape) / np.sqrt(fan_in))


def classifier() -> GraphDef:
    """`input` [?, 8, 8, 3] -> a convolution with bias -> `scores` [?, 5]."""
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)
        image = placeholder(None, 8, 8, 3)
        image = tf.nn.conv2d(image, weights(rng, 3, 3, 3, 5), 2, "SAME", name="conv")
        image = tf.nn.relu(tf.nn.bias_add(image, constant(rng.normal(size=5))))
        tf.nn.softmax(tf.reduce_mean(image, [1, 2]), name="scores")

    return made(build)


def while_loop() -> GraphDef:
    """A TensorFlow 1 loop that doubles `input` [?, 4] three times into `output`."""
    import tensorflow as tf

    v1 = tf.compat.v1

    def build() -> None:
        v1.disable_control_flow_v2()
        try:
            turns, value = v1.while_loop(
                lambda turn, value: turn < 3,
                lambda turn, value: (tf.identity(turn) + 1, tf.identity(value * 2.0)),
                (tf.constant(0), placeholder(None, 4)),
            )
        finally:
            v1.enable_control_flow_v2()
        del turns
        tf.identity(value, name="output")

    return made(build)


def resnet_v1_50(*, width: int = 8, image: int = 64, seed: int = 0) -> GraphDef:
    """ResNet-50 as slim exports it, 64 / `width` times as thin: 53 convolutions, each with a batch
    norm of its own, 16 residual additions; `input` [?, image, image, 3] -> `predict` [?, 10]."""
    import tensorflow as tf

    rng = np.random.default_rng(seed)

    def convolution(x: Tensor, channels: int, kernel: int, stride: int, relu: bool) -> Tensor:
        """slim's conv2d_same, with explicit padding where it strides."""
        filters = weights(rng, kernel, kernel, x.shape[-1], channels)
        if stride > 1 and kernel > 1:
            before = (kernel - 1) // 2
            after = kernel - 1 - before
            x = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])
            x = tf.nn.conv2d(x, tf.identity(filters), stride, "VALID")
        else:
            x = tf.nn.conv2d(x, tf.identity(filters), stride, "SAME")
        x = batch_norm(x, rng)
        return tf.nn.relu(x) if relu else x

    def unit(x: Tensor, depth: int, stride: int) -> Tensor:
        if x.shape[-1] != depth:
            shortcut = convolution(x, depth, 1, stride, relu=False)
        else:
            shortcut = tf.nn.max_pool2d(x, 1, stride, "SAME") if stride > 1 else x
        x = convolution(x, depth // 4, 1, 1, relu=True)
        x = convolution(x, depth // 4, 3, stride, relu=True)
        x = convolution(x, depth, 1, 1, relu=False)
        return tf.nn.relu(shortcut + x)

    def build() -> None:
        x = placeholder(None, image, image, 3)
        x = convolution(x, width, 7, 2, relu=True)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for block, units in enumerate((3, 4, 6, 3)):
            for number in range(units):
                last = number == units - 1 and block < 3
                x = unit(x, width * 4 * 2**block, 2 if last else 1)
        x = tf.reduce_mean(x, [1, 2], keepdims=True)
        x = tf.nn.bias_add(
            tf.nn.conv2d(x, weights(rng, 1, 1, x.shape[-1], 10), 1, "SAME"), [0.0] * 10
        )
        tf.nn.softmax(tf.squeeze(x, [1, 2]), name="predict")

    return made(build)


def batch_norm(x: Tensor, rng: np.random.Generator, form: str = "fused", axis: int = 3) -> Tensor:
    """A batch norm with random statistics, in one of the forms that graphs have it in."""
    import tensorflow as tf

    channels = x.shape[axis]
    gamma, variance = rng.uniform(0.5, 1.5, (2, channels))
    beta, mean = rng.normal(size=(2, channels)) * 0.1
    if form == "fused":
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=constant(gamma),
            offset=constant(beta),
            mean=constant(mean),
            variance=constant(variance),
            epsilon=1e-3,
            is_training=False,
            data_format="NHWC" if axis == 3 else "NCHW",
        )[0]
    shape = [1] * len(x.shape)
    shape[axis] = channels
    gamma, beta, mean, variance = (
        tf.reshape(constant(each), shape) if form == "keras3" or axis != 3 else constant(each)
        for each in (gamma, beta, mean, variance)
    )
    factor = tf.math.rsqrt(variance + 1e-3) * gamma
    if form == "keras3":
        return tf.raw_ops.AddV2(x=x * factor, y=beta - mean * factor)
    return tf.raw_ops.Add(x=tf.raw_ops.Mul(x=x, y=factor), y=beta - mean * factor)


def run(graph_def: GraphDef, batch: np.ndarray, *outputs: str) -> list[np.ndarray]:
    from modelzoo_runner.backends.tensorflow.session import open_step

    with open_step(graph_def, input="input:0", outputs=outputs) as step:
        return step(batch)


def batch_of(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def save(graph_def: GraphDef, path: Path) -> Path:
    path.write_bytes(graph_def.SerializeToString())
    return path


def ops(graph_def: GraphDef) -> list[str]:
    return sorted(each.op for each in graph_def.node if each.op not in ("Const", "Placeholder"))


def furthest(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> float:
    """The largest difference, relative to the range of the output it is in."""
    return max(
        float(np.abs(a.astype("f8") - b).max() / (np.ptp(a) or 1.0))
        for a, b in zip(before, after, strict=True)
    )


def int8_residual(summand: str = "first") -> GraphDef:
    """Three quantized convolutions, the last of which adds `summand` to its result.

    `input` [?, 8, 8, 4] in 0..6 -> quantize -> first -> second -> sum -> `output`.
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    graph_def = made(lambda: placeholder(None, 8, 8, 4))

    def add(name: str, op: str, *inputs: str, **attributes: Any) -> None:
        made_node = graph_def.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, tf.DType):
                made_node.attr[key].type = value.as_datatype_enum
            elif isinstance(value, list):
                made_node.attr[key].list.i.extend(value)
            else:
                made_node.attr[key].s = value

    def add_constant(name: str, value: np.ndarray, dtype: tf.DType) -> None:
        add(name, "Const", dtype=dtype)
        tensor = tf.make_tensor_proto(value)
        tensor.dtype = dtype.as_datatype_enum
        graph_def.node[-1].attr["value"].tensor.CopyFrom(tensor)

    types = {"Tinput": tf.quint8, "Tfilter": tf.qint8, "Tbias": tf.float32, "out_type": tf.quint8}
    ranges = ("zero", "six", "minus", "one", "zero", "six")

    def convolve(name: str, image: str, op: str, *more: str, **attributes: Any) -> None:
        inputs = (image, "filter", "bias", *ranges, *more)
        add(name, op, *inputs, strides=[1, 1, 1, 1], padding=b"SAME", **types, **attributes)

    for name, value in {"zero": 0.0, "six": 6.0, "minus": -1.0, "one": 1.0}.items():
        add_constant(name, np.float32(value), tf.float32)
    add_constant("filter", rng.integers(-99, 99, (3, 3, 4, 4)).astype("i1"), tf.qint8)
    add_constant("bias", np.zeros(4, "f4"), tf.float32)
    add("quantize", "QuantizeV2", "input", "zero", "six", T=tf.quint8, mode=b"SCALED")
    plain = "QuantizedConv2DWithBiasAndReluAndRequantize"
    convolve("first", "quantize", plain)
    convolve("second", "first", plain)
    adding = "QuantizedConv2DWithBiasSumAndReluAndRequantize"
    convolve("sum", "second", adding, summand, "zero", "six", Tsummand=tf.quint8)
    add("output", "Dequantize", "sum", "sum:1", "sum:2", T=tf.quint8, mode=b"SCALED")
    return graph_def
