"""Take out nodes that do nothing for the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.structure import source

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

# These hand on their first input. The last three matter to training and debugging only, and a
# default is what a placeholder holds that nobody feeds.
_PASSING_ON = frozenset(
    ("Identity", "Snapshot", "StopGradient", "PreventGradient", "CheckNumerics")
).union(("CheckNumericsV2", "PlaceholderWithDefault"))

# What moves values between the frames and branches of TensorFlow 1's control flow. A node beside
# one of these may be there for its place and not for its value.
CONTROL_FLOW = frozenset(
    prefix + op
    for prefix in ("", "Ref")
    for op in ("Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch")
)


def remove_unneeded(draft: Draft) -> int:
    """Drop the nodes that no output depends on; returns how many."""
    return draft.keep_only(draft.fixed)


def remove_passing_on(draft: Draft) -> int:
    """Take out nodes that hand on their input as it is; returns how many.

    One that waits for another node stays, and so does one beside control flow: what runs before
    what, and in which branch or turn of a loop, is as before.
    """
    users = draft.users()
    instead = {
        node.name: node.input[0]
        for node in draft.nodes.values()
        if node.op in _PASSING_ON
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


def forget_places(draft: Draft) -> None:
    """Drop the devices that the graph was exported on, and which nodes had to share one."""
    for node in draft.nodes.values():
        node.device = ""
        node.attr.pop("_class", None)


def _reconnect(node: NodeDef, instead: dict[str, str]) -> None:
    """Let a node take its inputs from where the nodes in between got them."""
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
