"""Whether this TensorFlow can run a graph: kernels for every operation, none known to crash.

TensorFlow itself finds out only when the first step runs, and names one node at a time.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import geometry, opdef
from modelzoo_runner.backends.tensorflow.structure import bodies, reachable, source
from modelzoo_runner.backends.tensorflow.tensors import upstream
from modelzoo_runner.errors import GraphError
from modelzoo_runner.machine import onednn

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.kernel_def_pb2 import KernelDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.op_def_pb2 import OpDef

    Nodes = Mapping[str, NodeDef]


def check_kernels(graph_def: GraphDef, *, outputs: Iterable[str] = ()) -> None:
    """Check that this TensorFlow has a CPU kernel for every operation with its types.

    `outputs` are the tensors that will be fetched, where they are known.

    Raises:
        GraphError: naming the operations, how many nodes have them, and this TensorFlow; or an
            int8 graph where oneDNN is off; or a graph that is known to crash the process.
    """
    _check_version(graph_def)
    _check_registered(graph_def)
    _check_onednn(graph_def)
    check_crashes(graph_def, outputs=outputs)


def count_int8(graph_def: GraphDef) -> int:
    """How many of the graph's convolutions and matrix products compute in int8."""
    return sum(
        "Quantized" in node.op and ("MatMul" in node.op or geometry.is_convolution(node.op))
        for _, nodes, _ in bodies(graph_def)
        for node in nodes
    )


def _check_version(graph_def: GraphDef) -> None:
    import tensorflow as tf

    oldest, ours = graph_def.versions.min_consumer, tf.version.GRAPH_DEF_VERSION
    if oldest > ours:
        raise GraphError(
            f"the graph needs a TensorFlow of graph version {oldest} at least, and {_version()} "
            f"has {ours}: use a newer TensorFlow"
        )


def _check_registered(graph_def: GraphDef) -> None:
    """Every operation has a kernel, by the registry that TensorFlow itself looks into."""
    functions = {function.signature.name for function in graph_def.library.function}
    missing: Counter[str] = Counter()
    places: dict[str, str] = {}
    for where, nodes, _ in bodies(graph_def):
        for node in nodes:
            # Placeholders are fed, functions are inlined: neither is run by a kernel of its own.
            if node.op in functions or node.op.startswith("Placeholder"):
                continue
            reason = missing_kernel(node, generic=bool(where))
            if reason:
                missing[reason] += 1
                places.setdefault(reason, f"{node.name!r}{where}")
    if missing:
        found = "; ".join(
            f"{reason}: {count} node{'s' * (count > 1)}, the first is {places[reason]}"
            for reason, count in sorted(missing.items())
        )
        raise GraphError(
            f"{_version()} can't run these operations on a CPU: {found}. A graph for a GPU, a TPU, "
            "another TensorFlow or with custom operations won't run here: take one exported for "
            "inference on a CPU"
        )


def missing_kernel(node: NodeDef, *, generic: bool = False) -> str | None:
    """The operation with its types, if this TensorFlow has no kernel for a node, else `None`.

    In a function body (`generic`) a type may be a parameter of the function.
    """
    op_def = opdef.find(node.op)
    if op_def is None:
        return f"{node.op} (not an operation of this TensorFlow)"
    label = node.attr["_kernel"].s.decode() if "_kernel" in node.attr else ""
    candidates = [
        kernel
        for kernel in _registered(node.op)
        if kernel.device_type in ("CPU", "DEFAULT") and kernel.label == label
    ]
    if not candidates:
        return str(node.op)
    if generic or any(_fits(kernel, node, op_def) for kernel in candidates):
        return None
    constrained = sorted({each.name for kernel in candidates for each in kernel.constraint})
    types = [f"{name}={opdef.type_names(_types(node, name, op_def))}" for name in constrained]
    return f"{node.op} of {', '.join(types)}"


@functools.cache
def _registered(op: str) -> tuple[KernelDef, ...]:
    from tensorflow.python.framework import kernels

    return tuple(kernels.get_registered_kernels_for_op(op).kernel)


def _fits(kernel: KernelDef, node: NodeDef, op_def: OpDef) -> bool:
    return all(
        set(_types(node, constraint.name, op_def)) <= set(constraint.allowed_values.list.type)
        for constraint in kernel.constraint
    )


def _types(node: NodeDef, name: str, op_def: OpDef) -> list[int]:
    value = opdef.attribute(node, name, op_def)
    if value is None:
        return []
    return list(value.list.type) or [value.type]


def _check_onednn(graph_def: GraphDef) -> None:
    """Where oneDNN is off, its kernels are there and compute nothing."""
    if onednn.enabled():
        return
    found = Counter(
        node.op for _, nodes, _ in bodies(graph_def) for node in nodes if _needs_onednn(node)
    )
    if found:
        counts = ", ".join(f"{op} ({count})" for op, count in sorted(found.items()))
        raise GraphError(
            f"the graph has operations that only oneDNN computes: {counts}; and oneDNN is off in "
            f"this process ({_version()}). Set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is "
            "imported (without it, oneDNN is on only for some CPUs)"
        )


def _needs_onednn(node: NodeDef) -> bool:
    if node.op.startswith(("QuantizedConv2D", "QuantizedDepthwise", "QuantizedMatMulWithBias")):
        return True
    if node.op.startswith("_FusedQuantized"):
        return True
    return node.op == "_FusedConv2D" and b"Add" in opdef.stated(node, "fused_ops").list.s


def _version() -> str:
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}"


# Operations whose output shares its memory with their input.
_SHARING = frozenset(
    ("Bitcast", "CheckNumerics", "ExpandDims", "Identity", "PreventGradient", "QuantizedReshape")
).union(("Reshape", "Snapshot", "Squeeze", "StopGradient"))

# Operations that allocate their output.
_OWNING = ("QuantizeV2", "Quantized", "Requantize", "_FusedQuantized")

_CONVOLUTIONS = ("QuantizedConv2D", "QuantizedDepthwiseConv2D", "_FusedQuantized")


def check_crashes(graph_def: GraphDef, *, outputs: Iterable[str] = ()) -> None:
    """Check that no quantized convolution of the graph is known to crash the process.

    Measured with TensorFlow 2.21 (constants: 2.14 ... 2.21).
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
