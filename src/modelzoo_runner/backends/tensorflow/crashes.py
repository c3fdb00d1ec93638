"""Recognize int8 graphs that crash the process instead of raising an error, before they run.

oneDNN's quantized convolutions make two assumptions. What happens where they don't hold was
measured with TensorFlow 2.21 (constants: 2.14 ... 2.21).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import opdef
from modelzoo_runner.backends.tensorflow.structure import bodies, reachable, source
from modelzoo_runner.backends.tensorflow.tensors import upstream
from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Nodes = Mapping[str, NodeDef]

# Operations whose output shares its memory with their input.
_SHARING = frozenset(
    ("Bitcast", "CheckNumerics", "ExpandDims", "Identity", "PreventGradient", "QuantizedReshape")
).union(("Reshape", "Snapshot", "Squeeze", "StopGradient"))

# Operations that allocate their output.
_OWNING = ("QuantizeV2", "Quantized", "Requantize", "_FusedQuantized")

_CONVOLUTIONS = ("QuantizedConv2D", "QuantizedDepthwiseConv2D", "_FusedQuantized")


def check_crashes(graph_def: GraphDef, *, outputs: Iterable[str] = ()) -> None:
    """Check that no quantized convolution of the graph is known to crash the process.

    A filter has to be a constant, because it is prepared only once. The tensor that a convolution
    adds to its result (the "summand") is overwritten with the sum: where its memory is a constant's
    or the input's, is needed later, or is fetched (`outputs`), TensorFlow passes a null pointer and
    the process ends with a segmentation fault.

    Raises:
        GraphError: naming the node and the tensor.
    """
    fetched = {source(tensor) for tensor in outputs}
    for where, body, _ in bodies(graph_def):
        convolutions = [node for node in body if node.op.startswith(_CONVOLUTIONS)]
        nodes = {node.name: node for node in body}
        consumers = _consumers(body) if convolutions else defaultdict[str, set[str]](set)
        for node in convolutions:
            label = f"node {node.name!r}{where} ({node.op})"
            _check_filter(node, nodes, label)
            summand = _summand(node)
            reason = summand and _not_free(summand, node, nodes, consumers, fetched)
            if reason:
                raise GraphError(
                    f"{label} writes its sum over {summand!r}, which {reason}: TensorFlow crashes "
                    "on this. Quantize the graph again and leave this node in float32"
                )


def _check_filter(node: NodeDef, nodes: Nodes, label: str) -> None:
    name = source(node.input[1]) if len(node.input) > 1 else ""
    while name in nodes and nodes[name].op == "Identity":
        name = source(nodes[name].input[0])
    op = nodes[name].op if name in nodes else "an argument"
    if op not in ("Const", "HostConst"):
        raise GraphError(
            f"{label} has a filter that isn't a constant but comes from {name!r} ({op}): oneDNN "
            "can't run it. Freeze the graph before quantizing it"
        )


def _summand(node: NodeDef) -> str | None:
    """The tensor that a quantized convolution adds to its result, if it is of that kind."""
    if node.op.startswith("_FusedQuantized"):
        fused = list(opdef.stated(node, "fused_ops").list.s)
        # Inputs: image, filter, then the bias if there is one, then the summand.
        return node.input[2 + (b"BiasAdd" in fused)] if b"Sum" in fused else None
    op_def = opdef.find(node.op)
    return opdef.input_named(node, op_def, "summand") if op_def is not None else None


def _not_free(
    summand: str,
    node: NodeDef,
    nodes: Nodes,
    consumers: defaultdict[str, set[str]],
    fetched: set[str],
) -> str | None:
    """Why the memory of a tensor can't be written over when `node` runs, or nothing."""
    owner = source(summand)
    while owner in nodes and nodes[owner].op in _SHARING:
        owner = source(nodes[owner].input[0])
    op = nodes[owner].op if owner in nodes else "an argument"
    if not op.startswith(_OWNING):
        return f"is in memory of {owner!r} ({op})"
    sharing = reachable(
        [owner], lambda name: (user for user in consumers[name] if nodes[user].op in _SHARING)
    )
    users = {user for name in sharing for user in consumers[name]}
    if sharing & fetched:
        return "is fetched as an output"
    if source(node.input[0]) in sharing:
        return "is its input as well"
    late = sorted(users - sharing - {node.name} - upstream(nodes, node.input))
    return f"{late[0]!r} may need later" if late else None


def _consumers(body: Iterable[NodeDef]) -> defaultdict[str, set[str]]:
    """For each node those that take its first output, which is the data."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for node in body:
        for tensor in node.input:
            if not tensor.startswith("^") and tensor.partition(":")[2] in ("", "0"):
                found[source(tensor)].add(node.name)
    return found
