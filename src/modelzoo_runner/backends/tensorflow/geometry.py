"""The sizes of image tensors, as far as they follow from the graph: numbers or symbols.

A detector's image has any height and width, a batch any number of images; TensorFlow's own shape
inference calls them all unknown. Here an unknown size is a symbol, so two tensors can be known to
have equal sizes although the sizes are unknown. Only NHWC, and only the operations that image
models are built from; for everything else a size is a new symbol, equal only to itself.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, TypeAlias

from modelzoo_runner.backends.tensorflow.opdef import data_format, few_integers, stated
from modelzoo_runner.backends.tensorflow.structure import predecessors, source

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Nodes: TypeAlias = Mapping[str, NodeDef]

Length: TypeAlias = Hashable
"""A whole number, or a symbol: `("sum", symbol, 2)`, `("ceil", symbol, 2)` (halved), or a name."""

Size: TypeAlias = tuple[Length, ...]
"""Batch, height, width, channels."""

DEEPEST = 200
"""Steps between a size and the symbol that it follows from: a size further away is a new symbol."""

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
        try:
            size = _size(node, nodes, found)
        except (ArithmeticError, LookupError, ValueError):
            size = None  # a layer that can't be: TensorFlow says so when the graph is opened
        if size is not None and (len(size) != 4 or max(map(_depth, size)) > DEEPEST):
            size = None
        # Rank four is assumed: where it is another, the symbols never equal anything.
        found[name] = size or tuple((name, dimension) for dimension in range(4))
    return found


def least_bytes(nodes: Nodes, input: str, shape: Sequence[int]) -> int:
    """The most that the input and the output of one node take, with a batch of that shape.

    Both are in memory while it runs. As far as sizes are known: a lower bound of a step.
    """
    if len(shape) != 4 or nodes[input].op != "Placeholder":
        return 0
    fed = type(nodes[input])()
    fed.CopyFrom(nodes[input])
    fed.attr["shape"].shape.ClearField("unknown_rank")
    fed.attr["shape"].shape.ClearField("dim")
    for side in shape:
        fed.attr["shape"].shape.dim.add(size=side)
    nodes = {**nodes, input: fed}
    known: dict[str, int] = {}
    for name, size in sizes(nodes).items():
        lengths = [length for length in size if isinstance(length, int)]
        if len(lengths) == len(size) and nodes[name].op != "Const":
            known[name] = math.prod(lengths) * (1 if "Quantize" in nodes[name].op else 4)
    largest = 0
    for name, own in known.items():
        node = nodes[name]
        # Others may write over their input.
        both = is_convolution(node.op) or node.op.endswith("Pool") or node.op.startswith("Resize")
        before = known.get(source(node.input[0]), 0) if both and node.input else 0
        largest = max(largest, own + before)
    return largest


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
    shape = stated(node, "shape").shape
    if node.op == "Const":
        shape = stated(node, "value").tensor.tensor_shape
    if len(shape.dim) != 4:
        return None
    return tuple(
        dim.size if dim.size >= 0 else (node.name, number) for number, dim in enumerate(shape.dim)
    )


def _elementwise(node: NodeDef, inputs: Sequence[Size | None], nodes: Nodes) -> Size | None:
    """Equal sizes give that size; so does one with a scalar constant, or of a value a channel."""
    lengths = [_vector_length(tensor, nodes) for tensor in node.input]
    images = [size for size, length in zip(inputs, lengths, strict=False) if length is None]
    if not images or images[0] is None or any(size != images[0] for size in images):
        return None
    return images[0] if set(lengths) <= {None, 1, images[0][3]} else None


def _vector_length(tensor: str, nodes: Nodes) -> int | None:
    """How many numbers a constant without image dimensions has."""
    node = nodes[source(tensor)]
    dims = stated(node, "value").tensor.tensor_shape.dim
    return math.prod(dim.size for dim in dims) if node.op == "Const" and len(dims) < 2 else None


def layer_places(node: NodeDef, size: Size) -> int | None:
    """How often a layer's weights are applied to one example, if that is known.

    Once in a matrix product, and for each place of the output (of this size) in a convolution.
    """
    if not is_convolution(node.op):
        return 1
    height, width = size[1:3]
    return height * width if isinstance(height, int) and isinstance(width, int) else None


def _convolution(node: NodeDef, image: Size, nodes: Nodes) -> Size | None:
    weights = filter_shape(node, nodes)
    if weights is None:
        return None
    channels = weights[3] * (weights[2] if "Depthwise" in node.op else 1)
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
    """The size after a sliding window, by the operation's own formula."""
    if data_format(node) != "NHWC":
        return None
    strides = list(stated(node, "strides").list.i)
    dilations = list(stated(node, "dilations").list.i) or [1] * 4
    padding = stated(node, "padding").s
    if padding == b"EXPLICIT":
        image = _padded(image, list(stated(node, "explicit_paddings").list.i)) or image
    lengths = list(image[1:3])
    if padding != b"SAME":
        lengths = [
            _plus(length, (1 - side) * dilation)
            for length, side, dilation in zip(lengths, kernel, dilations[1:3], strict=True)
        ]
    return (image[0], *map(_divided, lengths, strides[1:3]), channels)


def _padded(image: Size, paddings: Sequence[int] | None) -> Size | None:
    if paddings is None or len(paddings) != 8:
        return None
    return tuple(map(_plus, image, map(sum, zip(paddings[::2], paddings[1::2], strict=True))))


def _concatenated(images: Sequence[Size | None], axis: Sequence[int] | None) -> Size | None:
    known = [image for image in images if image is not None]
    channels = [image[3] for image in known if isinstance(image[3], int)]
    if axis not in ((3,), (-1,)) or len(channels) < len(images) or len({i[:3] for i in known}) > 1:
        return None
    return (*known[0][:3], sum(channels))


def _constant(tensor: str, nodes: Nodes) -> tuple[int, ...] | None:
    """A constant of a few whole numbers, flat."""
    node = nodes.get(source(tensor))
    if node is None or node.op not in ("Const", "HostConst"):
        return None
    return few_integers(stated(node, "value").tensor)


def _depth(length: Length) -> int:
    depth = 0
    while isinstance(length, tuple) and length[0] in ("sum", "ceil"):
        length = length[1]
        depth += 1
    return depth


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
