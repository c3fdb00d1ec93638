"""The sizes of image tensors, as far as they follow from the graph: numbers or symbols.

A detector's image has any height and width, a batch any number of images; TensorFlow's own shape
inference calls them all unknown. Here an unknown size is a symbol, so two tensors can be known to
have equal sizes although nobody knows which. Only NHWC, only what image models are built from; for
everything else a size is a new symbol, equal to nothing but itself.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, TypeAlias

from modelzoo_runner.backends.tensorflow.opdef import stated
from modelzoo_runner.backends.tensorflow.structure import predecessors, source

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Nodes: TypeAlias = Mapping[str, NodeDef]

Length: TypeAlias = Hashable
"""A whole number, or a symbol: `("sum", symbol, 2)`, `("ceil", symbol, 2)` (halved), or a name."""

Size: TypeAlias = tuple[Length, ...]
"""Batch, height, width, channels."""

# These leave every size as it is.
_SAME = frozenset(
    """BiasAdd Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Identity LeakyRelu QuantizeV2
    Dequantize Relu Relu6 Selu Sigmoid Softplus Tanh""".split()  # noqa: SIM905
)
_ELEMENTWISE = frozenset(("Add", "AddN", "AddV2", "Maximum", "Minimum", "Mul", "RealDiv", "Sub"))


def sizes(nodes: Nodes) -> dict[str, Size]:
    """The size of the first output of each node that has four dimensions, by the node's name."""
    found: dict[str, Size] = {}
    for name in TopologicalSorter(predecessors(nodes.values())).static_order():
        node = nodes[name]
        size = _size(node, nodes, found)
        # Rank four is assumed: where it is another, the symbols never equal anything.
        found[name] = size or tuple((name, dimension) for dimension in range(4))
    return found


def is_convolution(op: str) -> bool:
    """Whether the operation is a convolution over an image, float or quantized, fused or not."""
    return op.lstrip("_").removeprefix("Fused").removeprefix("Quantized").startswith(
        ("Conv2D", "DepthwiseConv2D", "DepthwiseConv2dNative")
    ) and not op.startswith("Conv2DBackprop")


def _size(node: NodeDef, nodes: Nodes, known: Mapping[str, Size]) -> Size | None:
    """The size of a node's first output, or nothing if it can't be told."""
    if node.op in ("Const", "Placeholder"):
        return _declared(node)
    inputs = [_input(tensor, known) for tensor in node.input if not tensor.startswith("^")]
    if not inputs or inputs[0] is None:
        return None
    if node.op in _SAME:
        return inputs[0]
    if node.op in _ELEMENTWISE:
        return _elementwise(node, inputs, nodes)
    if is_convolution(node.op):
        return _convolution(node, inputs[0], nodes)
    if node.op in ("MaxPool", "AvgPool", "QuantizedMaxPool", "QuantizedAvgPool"):
        kernel = list(stated(node, "ksize").list.i)
        return _window(node, inputs[0], kernel[1:3], channels=inputs[0][3])
    if node.op == "Pad":
        return _padded(inputs[0], _constant(node.input[1], nodes))
    if node.op.startswith("Resize"):
        size = _constant(node.input[1], nodes)
        return None if size is None else (inputs[0][0], *size, inputs[0][3])
    if node.op == "ConcatV2":
        return _concatenated(inputs[:-1], _constant(node.input[len(inputs) - 1], nodes))
    return None


def _input(tensor: str, known: Mapping[str, Size]) -> Size | None:
    name, _, number = tensor.partition(":")
    return known.get(name) if number in ("", "0") else None


def _declared(node: NodeDef) -> Size | None:
    is_constant = node.op == "Const"
    shape = (
        stated(node, "value").tensor.tensor_shape if is_constant else stated(node, "shape").shape
    )
    if len(shape.dim) != 4:
        return None
    return tuple(
        dim.size if dim.size >= 0 else (node.name, number) for number, dim in enumerate(shape.dim)
    )


def _elementwise(node: NodeDef, inputs: Sequence[Size | None], nodes: Nodes) -> Size | None:
    """Equal sizes give that size; so does one with a constant of a number, or of one a channel."""
    vectors = [_vector_length(tensor, nodes) for tensor in node.input]
    images = [size for size, length in zip(inputs, vectors, strict=False) if length is None]
    if not images or images[0] is None or any(size != images[0] for size in images):
        return None
    fitting = (None, 1, images[0][3])
    return images[0] if all(length in fitting for length in vectors) else None


def _vector_length(tensor: str, nodes: Nodes) -> int | None:
    """How many numbers a constant without image dimensions has."""
    node = nodes[source(tensor)]
    dims = stated(node, "value").tensor.tensor_shape.dim
    return math.prod(dim.size for dim in dims) if node.op == "Const" and len(dims) < 2 else None


def _convolution(node: NodeDef, image: Size, nodes: Nodes) -> Size | None:
    weights = filter_shape(node, nodes)
    if weights is None:
        return None
    depthwise = "Depthwise" in node.op
    channels = weights[2] * weights[3] if depthwise else weights[3]
    return _window(node, image, weights[:2], channels=channels)


def filter_shape(node: NodeDef, nodes: Nodes) -> tuple[int, ...] | None:
    """The shape of a layer's weights (its second input), if they are a constant."""
    tensor = nodes.get(source(node.input[1])) if len(node.input) > 1 else None
    while tensor is not None and tensor.op == "Identity":
        tensor = nodes.get(source(tensor.input[0]))
    if tensor is None or tensor.op not in ("Const", "HostConst"):
        return None
    return tuple(dim.size for dim in stated(tensor, "value").tensor.tensor_shape.dim)


def _window(node: NodeDef, image: Size, kernel: Sequence[int], *, channels: Length) -> Size | None:
    """What is left of an image when a window moves over it, by the operation's own formula."""
    if stated(node, "data_format").s not in (b"", b"NHWC"):
        return None
    strides = list(stated(node, "strides").list.i)
    dilations = list(stated(node, "dilations").list.i) or [1] * 4
    padding = stated(node, "padding").s
    around = list(stated(node, "explicit_paddings").list.i)
    lengths = []
    for axis in (1, 2):
        length = image[axis]
        if padding != b"SAME":
            if padding == b"EXPLICIT":
                length = _plus(length, around[2 * axis] + around[2 * axis + 1])
            length = _plus(length, -(kernel[axis - 1] - 1) * dilations[axis])
        lengths.append(_divided(length, strides[axis]))
    return (image[0], *lengths, channels)


def _padded(image: Size, paddings: Sequence[int] | None) -> Size | None:
    if paddings is None or len(paddings) != 8:
        return None
    return tuple(
        _plus(length, paddings[2 * axis] + paddings[2 * axis + 1])
        for axis, length in enumerate(image)
    )


def _concatenated(images: Sequence[Size | None], axis: Sequence[int] | None) -> Size | None:
    if axis not in ((3,), (-1,)):
        return None
    channels = 0
    for image in images:
        if image is None or image[:3] != (images[0] or ())[:3] or not isinstance(image[3], int):
            return None
        channels += image[3]
    return (*(images[0] or ())[:3], channels)


def _constant(tensor: str, nodes: Nodes) -> tuple[int, ...] | None:
    """A constant of whole numbers, flat."""
    from tensorflow.python.framework.tensor_util import MakeNdarray

    node = nodes.get(source(tensor))
    if node is None or node.op not in ("Const", "HostConst"):
        return None
    value = MakeNdarray(stated(node, "value").tensor)
    return tuple(int(number) for number in value.flat) if value.dtype.kind == "i" else None


def _plus(length: Length, number: int) -> Length:
    if isinstance(length, int):
        return length + number
    if isinstance(length, tuple) and length[0] == "sum":
        _, length, before = length
        number += before
    return ("sum", length, number) if number else length


def _divided(length: Length, by: int) -> Length:
    """Rounded up, as TensorFlow does."""
    if by == 1:
        return length
    return -(-length // by) if isinstance(length, int) else ("ceil", length, by)
