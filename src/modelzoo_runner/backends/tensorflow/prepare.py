"""Load-time optimization: the same results from fewer nodes.

In this order: prune nodes that the outputs don't need, remove pass-through ops, fold batch norms
into the weights before them, fuse residual additions into convolutions. int8 operations stay as
they are. TensorFlow's own optimization still follows when a session opens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.fold_batch_norm import fold_batch_norms
from modelzoo_runner.backends.tensorflow.fuse_residual import fuse_residual_adds
from modelzoo_runner.backends.tensorflow.opdef import find, stated
from modelzoo_runner.backends.tensorflow.structure import CONTROL_FLOW, predecessors, source
from modelzoo_runner.machine import onednn

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@dataclass(frozen=True)
class Prepared:
    """A graph that is ready for inference.

    `changes` counts what was done: `removed_nodes`, `folded_constants`, and layers with
    `folded_batch_norms`, `folded_factors` (as residual branches are scaled by), `merged_biases`,
    `fused_residual_adds`; in bfloat16 `stated_shapes` of inputs.
    """

    graph_def: GraphDef
    changes: Mapping[str, int]


def prepare(
    graph_def: GraphDef, *, input: str, outputs: Sequence[str], bfloat16: bool = False
) -> Prepared:
    """The graph made smaller for inference, with the same tensors to feed and fetch.

    The original isn't changed. Outputs are equal up to the rounding of folded weights: within 1e-5
    of their range on every graph tested, and bit for bit where no batch norm or factor was folded.
    Residual additions are fused only where oneDNN is on, which alone has that kernel; and not for
    `bfloat16`, because TensorFlow's conversion to it leaves fused convolutions in float32: there
    TensorFlow fuses them itself, as it is told the shape of the input.
    """
    draft, changes = fold(graph_def, input=input, outputs=outputs)
    fuse = onednn.enabled() and not bfloat16
    changes["fused_residual_adds"] = fuse_residual_adds(draft) if fuse else 0
    if bfloat16:
        clear_unknown_attributes(draft)
        changes["stated_shapes"] = state_shape(draft, source(input))
    prune(draft)
    return Prepared(draft.graph_def(), changes)


def fold(
    graph_def: GraphDef, *, input: str, outputs: Sequence[str]
) -> tuple[Draft, dict[str, int]]:
    """A copy of the graph, pruned and with batch norms folded, and counts of what was changed."""
    draft = Draft(graph_def, fixed=map(source, (input, *outputs)))
    clear_devices(draft)
    removed = prune(draft) + remove_pass_through(draft)
    changes = {"removed_nodes": removed, "folded_constants": fold_constants(draft)}
    changes |= fold_batch_norms(draft)
    prune(draft)
    remove_pass_through(draft)
    return draft, changes


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
        if not all(map(draft.is_constant, node.input)):
            continue
        found = list(map(draft.constant, node.input))
        values = [value for value in found if value is not None]
        if len(values) < len(found) or values[0].dtype not in (np.float32, np.float64):
            continue
        # In float64 and rounded once: the basic operations come out as float32 has them.
        with np.errstate(all="ignore"):
            wide = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in values]
            try:
                shape = wide[0].shape if node.op == "Reshape" else np.broadcast(*wide).shape
                if math.prod(shape) > max(value.size for value in values):
                    continue
                result = np.asarray(compute(*wide)).astype(values[0].dtype)
            except (TypeError, ValueError):
                continue  # they don't fit together, as TensorFlow says when the graph is opened
        draft.set_constant(name, result)
        count += 1
    return count


# Their output is their first input. Some matter to training and debugging only;
# PlaceholderWithDefault is the default when it isn't fed.
_PASS_THROUGH = frozenset(
    """Identity Snapshot StopGradient PreventGradient CheckNumerics CheckNumericsV2
    PlaceholderWithDefault""".split()  # noqa: SIM905
)


def prune(draft: Draft) -> int:
    """Drop the nodes that no output depends on; returns how many."""
    return draft.keep_only(draft.fixed)


def remove_pass_through(draft: Draft) -> int:
    """Remove pass-through ops; returns how many.

    Those with control inputs and those beside control flow stay, so that the order of execution,
    branches and loop iterations don't change: there, an Identity may be what a branch waits for.
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
    for name in instead:
        # Each from where the last one ended: a chain of thousands isn't walked once for each.
        passed = []
        while name in instead:
            passed.append(name)
            name = source(instead[name])
        end = instead[passed[-1]]
        instead.update(dict.fromkeys(passed, end))
    if instead:
        for node in draft.nodes.values():
            _reconnect(node, instead)
        for name in instead:
            del draft.nodes[name]
    return len(instead)


def state_shape(draft: Draft, placeholder: str) -> int:
    """State the shape that a placeholder has for all that take it; returns how often, once or not.

    TensorFlow's own optimization expects any shape of what is fed, and fuses an addition only where
    it can tell that both summands have one shape.
    """
    fed = draft.nodes[placeholder]
    shape = stated(fed, "shape").shape
    is_known = len(shape.dim) > 1 and all(dim.size > 0 for dim in shape.dim[1:])
    if fed.op != "Placeholder" or not is_known:
        return 0
    name = draft.free(f"{placeholder}/shape")
    ensured = draft.new("EnsureShape", name, placeholder)
    ensured.attr["shape"].shape.CopyFrom(shape)
    ensured.attr["T"].CopyFrom(fed.attr["dtype"])
    for node in draft.nodes.values():
        _reconnect(node, {placeholder: name})
    draft.nodes[name] = ensured
    return 1


def clear_unknown_attributes(draft: Draft) -> None:
    """Remove attributes that operations don't have, as other versions of TensorFlow leave them.

    TensorFlow ignores them, but its conversion to bfloat16 gives up, without a word to the caller.
    """
    for node in draft.nodes.values():
        definition = find(node.op)
        if definition is None:
            continue  # a function of the graph
        for name in set(node.attr).difference(each.name for each in definition.attr):
            if not name.startswith("_"):
                del node.attr[name]


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
