"""Check a GraphDef: frozen, unique names, existing inputs, no cycles, no huge constants.

TensorFlow finds some of this later or not at all; a few would hang it or allocate terabytes.
Function bodies are checked too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeAlias

from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    Body: TypeAlias = tuple[str, Sequence[NodeDef], Sequence[str]]

VARIABLES = frozenset(
    ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable", "_VarHandlesOp")
)
"""What a graph has where a frozen one has a constant."""

CONTROL_FLOW = frozenset(
    prefix + op
    for prefix in ("", "Ref")
    for op in ("Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch")
)
"""TensorFlow 1's loops and branches."""

LARGEST_FILL = 2**30
"""Bytes that all constants together may expand to beyond what is in the file."""

# What an entry of a string tensor takes in TensorFlow's memory, when empty.
_STRING_BYTES = 24


def check(graph_def: GraphDef, *, frozen: bool = True) -> None:
    """Check that the graph is well formed, and without variables if it should be `frozen`.

    Raises:
        GraphError: naming the nodes that are wrong, and how.
    """
    if not graph_def.node:
        raise GraphError("not a frozen graph: there are no nodes in it")
    if frozen:
        _check_frozen(graph_def)
    for where, nodes, arguments in bodies(graph_def):
        _check_names(nodes, arguments, where)
        _check_cycles(predecessors(nodes), f"nodes feed themselves{where}")
    _check_cycles(calls(graph_def), "functions call themselves")
    _check_fills(graph_def)


def bodies(graph_def: GraphDef) -> Iterator[Body]:
    """The graph and each function of its library: (where, nodes, names of the arguments)."""
    yield "", graph_def.node, ()
    for function in graph_def.library.function:
        signature = function.signature
        arguments = tuple(argument.name for argument in signature.input_arg)
        yield f" in function {signature.name!r}", function.node_def, arguments


def source(tensor: str) -> str:
    """The node that an input of a node comes from.

    >>> source("^init"), source("split:1"), source("relu")
    ('init', 'split', 'relu')
    """
    return tensor.removeprefix("^").partition(":")[0]


def predecessors(nodes: Collection[NodeDef]) -> dict[str, list[str]]:
    """For each node those that run before it, without the back edges of TensorFlow 1 loops."""
    back_edges = {node.name for node in nodes if node.op in ("NextIteration", "RefNextIteration")}
    before = {node.name: [source(tensor) for tensor in node.input] for node in nodes}
    for node in nodes:
        if node.op in ("Merge", "RefMerge"):
            before[node.name] = [name for name in before[node.name] if name not in back_edges]
    return before


def reachable(starts: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """The starts, what follows each of them, what follows those, and so on."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += following(name)
    return found


def _check_frozen(graph_def: GraphDef) -> None:
    found = Counter(
        node.op for _, nodes, _ in bodies(graph_def) for node in nodes if node.op in VARIABLES
    )
    if found:
        raise GraphError(
            f"not frozen: {found.total()} variables ({', '.join(sorted(found))}), whose values are "
            "in a checkpoint and not in this file. Freeze it with its checkpoint: "
            "tf.compat.v1.graph_util.convert_variables_to_constants"
        )


def _check_names(nodes: Sequence[NodeDef], arguments: Sequence[str], where: str) -> None:
    """Every node has a name of its own and takes its inputs from nodes that exist."""
    counts = Counter(node.name for node in nodes)
    counts.update(arguments)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise GraphError(f"{len(twice)} names are used twice{where}, the first is {twice[0]!r}")
    for node in nodes:
        if not node.name or not node.op:
            raise GraphError(
                f"a node without a name or an operation{where} (name {node.name!r}, operation "
                f"{node.op!r}): the file is damaged"
            )
        for tensor in node.input:
            if source(tensor) not in counts:
                raise GraphError(
                    f"node {node.name!r}{where} takes its input from {source(tensor)!r}, and there "
                    "is no such node: the file is damaged or truncated"
                )


def calls(graph_def: GraphDef) -> dict[str, list[str]]:
    """For each function of the library those that it calls, as operations or as arguments."""
    return {
        function.signature.name: [
            called for node in function.node_def for called in (node.op, *function_arguments(node))
        ]
        for function in graph_def.library.function
    }


def function_arguments(node: NodeDef) -> Iterator[str]:
    """The functions that a node calls through its attributes."""
    for value in node.attr.values():
        if value.WhichOneof("value") == "func":
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _check_cycles(before: Mapping[str, Iterable[str]], what: str) -> None:
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        cycle = [str(name) for name in error.args[1]]
        shown = cycle if len(cycle) <= 6 else [*cycle[:3], "...", *cycle[-2:]]
        raise GraphError(
            f"{what} in a cycle: {' -> '.join(shown)}. Only TensorFlow 1 loops may, through "
            "NextIteration and Merge"
        ) from None


def _check_fills(graph_def: GraphDef) -> None:
    """Check that no constant is of an impossible type or shape, or expands to gigabytes.

    A constant of any shape can be stored as one repeated value, which TensorFlow expands in full.
    """
    total = 0
    for where, nodes, _ in bodies(graph_def):
        for node in nodes:
            for tensor in _tensors(node):
                total += _fill(tensor, f"node {node.name!r}{where}")
                if total > LARGEST_FILL:
                    shape = [dim.size for dim in tensor.tensor_shape.dim]
                    raise GraphError(
                        f"node {node.name!r}{where} declares a constant of shape {shape}: "
                        f"{total:,} bytes beyond what is in the file (allowed: {LARGEST_FILL:,}). "
                        "The file is damaged or malicious"
                    )


def _tensors(node: NodeDef) -> Iterator[TensorProto]:
    for value in node.attr.values():
        if value.WhichOneof("value") == "tensor":
            yield value.tensor
        yield from value.list.tensor


def _fill(tensor: TensorProto, where: str) -> int:
    """How many bytes more a constant takes in memory than in the file."""
    from tensorflow.python.framework.dtypes import DType, as_dtype

    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise GraphError(f"{where} has a constant of unknown shape {shape}: the file is damaged")
    try:
        dtype: DType = as_dtype(tensor.dtype)
    except TypeError:
        raise GraphError(f"{where} has a constant of unknown type number {tensor.dtype}") from None
    if dtype.name in ("resource", "variant"):
        raise GraphError(f"{where} has a constant of type {dtype.name}, which may hold anything")
    size: int = math.prod(shape) * (_STRING_BYTES if dtype.name == "string" else dtype.size)
    stored: int = len(tensor.tensor_content) or tensor.ByteSize()
    if tensor.tensor_content and stored != size:
        raise GraphError(
            f"{where} has a constant of shape {shape} and type {dtype.name}, {size:,} bytes, of "
            f"which {stored:,} are in the file: it is damaged"
        )
    return max(0, size - stored)
