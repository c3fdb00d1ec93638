"""A folded graph and what is known of each node without running it, as the quantizer needs it.

Only the top-level graph is analyzed; function bodies stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import geometry
from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.prepare import fold
from modelzoo_runner.backends.tensorflow.structure import predecessors, reachable, source

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A folded graph.

    `nodes` are in topological order. `users` are, for each node, the nodes with an edge from it.
    `in_control_flow` are inside a TensorFlow 1 loop or conditional; `input_dependent` depend on the
    graph's input. `sizes` are those of image tensors, as numbers or symbols.
    """

    draft: Draft
    nodes: Mapping[str, NodeDef]
    users: Mapping[str, list[str]]
    outputs: frozenset[str]
    in_control_flow: frozenset[str]
    input_dependent: frozenset[str]
    sizes: Mapping[str, geometry.Size]

    @property
    def graph_def(self) -> GraphDef:
        """The folded graph, still in float32."""
        return self.draft.graph_def()


def analyze(graph_def: GraphDef, *, input: str, outputs: Sequence[str]) -> Analysis:
    """Fold a copy of the graph, and analyze it."""
    draft, _ = fold(graph_def, input=input, outputs=outputs)
    order = TopologicalSorter(predecessors(draft.nodes.values())).static_order()
    users = draft.users()
    return Analysis(
        draft=draft,
        nodes={name: draft.nodes[name] for name in order},
        users=users,
        outputs=frozenset(map(canonical, outputs)),
        in_control_flow=frozenset(_looped(draft.nodes, users)),
        input_dependent=frozenset(reachable([source(input)], lambda name: users.get(name, ()))),
        sizes=geometry.sizes(draft.nodes),
    )


def canonical(tensor: str) -> str:
    """A tensor's one name: `name` for the first output of a node, `name:k` for the others.

    >>> canonical("split:0"), canonical("split:1"), canonical("^init")
    ('split', 'split:1', 'init')
    """
    return tensor.removeprefix("^").removesuffix(":0")


def _looped(nodes: Mapping[str, NodeDef], users: Mapping[str, Sequence[str]]) -> set[str]:
    """Nodes inside a loop (Enter to Exit) or a conditional (Switch to Merge)."""

    def between(starts: Iterable[str], end: str) -> set[str]:
        return reachable(
            starts, lambda name: [user for user in users.get(name, ()) if nodes[user].op != end]
        )

    loops = between([name for name, node in nodes.items() if node.op == "Enter"], "Exit")
    # A loop has Switch nodes too, downstream of its Merge nodes.
    switches = [name for name, node in nodes.items() if node.op == "Switch"]
    return loops | between([name for name in switches if name not in loops], "Merge")
