"""Whether a graph's nodes are as their operations have them, and no larger than any model's.

Protobuf and TensorFlow have no such limits, or end the process at them. All of it is checked in
time linear in the file, before anything else looks at the graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import opdef
from modelzoo_runner.backends.tensorflow.formats import fields
from modelzoo_runner.backends.tensorflow.structure import (
    bodies,
    calls,
    function_arguments,
    source,
)
from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.op_def_pb2 import OpDef
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

MOST_NODES = 100_000
"""Of the graph with all its functions, each call of a function counted anew. The largest of the
published image models have some 20,000."""

MOST_TENSORS = 4096
"""Inputs or outputs of one node."""

LONGEST_NAME = 4096
"""Letters."""

LARGEST_ATTRIBUTE = 2**20
"""Bytes of what is no constant."""

MOST_DIMENSIONS = 254
"""TensorFlow ends the process where there are more."""

LARGEST_TENSOR = 2**30
"""Numbers in a tensor whose shape the graph itself says."""

LONGEST_LIST = 2**20
"""Tensors in an array or a list of them."""

_SIZES: Mapping[str, int] = {
    "BroadcastTo": 1,
    "Conv2DBackpropInput": 0,
    "Conv3DBackpropInputV2": 0,
    "CropAndResize": 3,
    "Empty": 0,
    "Fill": 0,
    "LinSpace": 2,
    "Multinomial": 1,
    "OneHot": 1,
    "RandomStandardNormal": 0,
    "RandomUniform": 0,
    "RandomUniformInt": 0,
    "ResizeArea": 1,
    "ResizeBicubic": 1,
    "ResizeBilinear": 1,
    "ResizeNearestNeighbor": 1,
    "ScatterNd": 2,
    "SparseToDense": 1,
    "Tile": 1,
    "TruncatedNormal": 0,
}
"""Operations that make a tensor as large as one of their inputs says, and which that is."""

_LENGTHS = {"EmptyTensorList": 1, "TensorArrayV3": 0, "TensorListReserve": 1, "TensorListResize": 1}
"""The same, of those that make an array or a list of tensors."""


def check_message(data: bytes) -> None:
    """Check that these bytes, of a GraphDef, hold no more messages than a graph may have nodes.

    Parsed, an empty message takes a hundred times the two bytes it has in the file.

    Raises:
        GraphError: there are more.
    """
    count = 0
    for field in fields(data):
        count += 1
        if field.number == 2:  # the library, with a function in each field 1, and its nodes in 3
            library = data[field.content : field.end]
            for function in fields(library):
                count += 1 + sum(1 for _ in fields(library[function.content : function.end]))
        if count > 2 * MOST_NODES:
            raise GraphError(f"more than {MOST_NODES:,} nodes, which no model has")


def check(graph_def: GraphDef) -> None:
    """Check the counts and sizes of a graph whose nodes and functions refer to what exists.

    Raises:
        GraphError: naming the node, the number and what is allowed.
    """
    _check_expansion(graph_def)
    for where, body, _ in bodies(graph_def):
        nodes = {node.name: node for node in body}
        for node in body:
            label = f"node {node.name[:60]!r}{where} ({node.op[:60]})"
            op_def = opdef.find(node.op)
            for what, found, most in _measured(node, nodes, op_def):
                if found > most:
                    raise GraphError(
                        f"{label} has {what} {found:,}, which no model has (allowed: {most:,}). "
                        "The file is damaged or malicious"
                    )
            problem = opdef.problem(node, op_def) if op_def is not None else None
            if problem is not None:
                raise GraphError(f"{label} {problem}: the file is damaged")


def _check_expansion(graph_def: GraphDef) -> None:
    """Each call of a function is a copy of it: two calls from each of 24 functions make 2^24."""
    callees = calls(graph_def)
    sizes = {each.signature.name: len(each.node_def) for each in graph_def.library.function}
    for name in TopologicalSorter(callees).static_order():
        if name in sizes:
            inside = sizes[name] + sum(sizes.get(each, 0) for each in callees[name])
            sizes[name] = min(inside, MOST_NODES + 1)
    called = (each for node in graph_def.node for each in (node.op, *function_arguments(node)))
    total = len(graph_def.node) + sum(sizes.get(each, 0) for each in called)
    if max(total, *sizes.values(), 0) > MOST_NODES:
        raise GraphError(
            f"more than {MOST_NODES:,} nodes, with each call of a function counted, which no model "
            "has. The file is damaged or malicious"
        )


def _measured(
    node: NodeDef, nodes: Mapping[str, NodeDef], op_def: OpDef | None
) -> Iterator[tuple[str, int, int]]:
    """What of a node there could be too much of, how much there is, and how much is allowed."""
    longest = max(map(len, (node.name, node.op, node.device, *node.input)))
    yield "a name of so many letters:", longest, LONGEST_NAME
    yield "inputs:", len(node.input), MOST_TENSORS
    if op_def is not None:
        yield "outputs:", opdef.output_count(node, op_def), MOST_TENSORS
    for key, value in node.attr.items():
        if value.WhichOneof("value") == "tensor":
            yield "dimensions:", len(value.tensor.tensor_shape.dim), MOST_DIMENSIONS
            continue
        yield f"an attribute {key[:60]!r} of so many bytes:", value.ByteSize(), LARGEST_ATTRIBUTE
        for shape in (value.shape, *value.list.shape):
            yield "dimensions:", len(shape.dim), MOST_DIMENSIONS
            yield "a shape of so many numbers:", _product(shape), LARGEST_TENSOR
    for what, places, most in (
        ("a tensor of so many numbers to make:", _SIZES, LARGEST_TENSOR),
        ("a list of so many tensors to make:", _LENGTHS, LONGEST_LIST),
    ):
        if node.op in places:
            yield what, _constant_sizes(node, places[node.op], nodes), most


def _product(shape: TensorShapeProto) -> int:
    # A dimension of 0 doesn't make the others harmless.
    return math.prod(max(1, dim.size) for dim in shape.dim)


def _constant_sizes(node: NodeDef, place: int, nodes: Mapping[str, NodeDef]) -> int:
    """The product of the sizes that a node is told by a constant; 1 if they aren't one."""
    tensor = nodes.get(source(node.input[place])) if place < len(node.input) else None
    for _ in range(8):  # through what stands between
        if tensor is None or tensor.op != "Identity" or not tensor.input:
            break
        tensor = nodes.get(source(tensor.input[0]))
    if tensor is None or tensor.op not in ("Const", "HostConst"):
        return 1
    sizes = opdef.few_integers(opdef.stated(tensor, "value").tensor) or ()
    return math.prod(max(1, abs(size)) for size in sizes)
