"""Remove nodes that do nothing for the outputs, and compute constants ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.structure import predecessors, source

if TYPE_CHECKING:
    import numpy as np
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Array: TypeAlias = np.ndarray[Any, Any]

_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "AddV2": lambda a, b: a + b,
    "Mul": lambda a, b: a * b,
    "Neg": lambda a: -a,
    "RealDiv": lambda a, b: a / b,
    "Rsqrt": lambda a: 1 / a**0.5,
    "Sqrt": lambda a: a**0.5,
    "Square": lambda a: a * a,
    "Sub": lambda a, b: a - b,
    "Reshape": lambda a, shape: a.reshape(shape),
}


def fold_constants(draft: Draft) -> int:
    """Make nodes constants whose inputs are constants; returns how many."""
    import numpy as np

    count = 0
    for name in list(TopologicalSorter(predecessors(draft.nodes.values())).static_order()):
        node = draft.nodes[name]
        compute = _ARITHMETIC.get(node.op)
        if compute is None or not node.input or name in draft.fixed:
            continue
        values = _constants(draft, list(node.input))
        if values is None or values[0].dtype not in (np.float32, np.float64):
            continue
        # In float64 and rounded once: the basic operations come out as float32 has them.
        with np.errstate(all="ignore"):
            wide = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in values]
            result = np.asarray(compute(*wide)).astype(values[0].dtype)
        if result.size <= max(value.size for value in values):
            draft.set_constant(name, result)
            count += 1
    return count


def _constants(draft: Draft, tensors: list[str]) -> list[Array] | None:
    found = []
    for tensor in tensors:
        value = draft.constant(tensor)
        if value is None:
            return None
        found.append(value)
    return found


# Their output is their first input. Some matter to training and debugging only;
# PlaceholderWithDefault is the default when it isn't fed.
_PASS_THROUGH = frozenset(
    ("Identity", "Snapshot", "StopGradient", "PreventGradient", "CheckNumerics")
).union(("CheckNumericsV2", "PlaceholderWithDefault"))

# TensorFlow 1's control flow. An Identity beside one of these may matter for its frame or branch.
CONTROL_FLOW = frozenset(
    prefix + op
    for prefix in ("", "Ref")
    for op in ("Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch")
)


def prune(draft: Draft) -> int:
    """Drop the nodes that no output depends on; returns how many."""
    return draft.keep_only(draft.fixed)


def remove_pass_through(draft: Draft) -> int:
    """Remove pass-through ops; returns how many.

    Those with control inputs and those beside control flow stay, so that the order of execution,
    branches and loop iterations don't change.
    """
    users = draft.users()
    instead = {
        node.name: node.input[0]
        for node in draft.nodes.values()
        if node.op in _PASS_THROUGH
        and node.name not in draft.fixed
        and len(node.input) == 1
        and not node.input[0].startswith("^")
        and draft.nodes[source(node.input[0])].op not in CONTROL_FLOW
        and not any(draft.nodes[user].op in CONTROL_FLOW for user in users.get(node.name, ()))
    }
    if instead:
        for node in draft.nodes.values():
            _reconnect(node, instead)
        for name in instead:
            del draft.nodes[name]
    return len(instead)


def clear_devices(draft: Draft) -> None:
    """Remove device placement and colocation."""
    for node in draft.nodes.values():
        node.device = ""
        node.attr.pop("_class", None)


def _reconnect(node: NodeDef, instead: dict[str, str]) -> None:
    """Connect a node to the inputs of the removed nodes in between."""
    if not any(source(tensor) in instead for tensor in node.input):
        return
    inputs: list[str] = []
    for tensor in node.input:
        waits = tensor.startswith("^")
        while source(tensor) in instead:
            tensor = instead[source(tensor)]
        tensor = f"^{source(tensor)}" if waits else tensor
        # TensorFlow refuses to wait for the same node twice.
        if not (waits and tensor in inputs):
            inputs.append(tensor)
    node.ClearField("input")
    node.input.extend(inputs)
