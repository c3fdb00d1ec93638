"""A graph as the quantiser reads it: folded, in an order in which it can run, and what is known of
each node without running it.

Only the top graph counts; bodies of functions are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import geometry
from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.fold_batch_norm import fold_batch_norms
from modelzoo_runner.backends.tensorflow.fold_constants import fold_constants
from modelzoo_runner.backends.tensorflow.simplify import (
    forget_places,
    remove_passing_on,
    remove_unneeded,
)
from modelzoo_runner.backends.tensorflow.structure import source, waits_for

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """A folded graph.

    `nodes` come in an order in which they can run. `users` are, for each node, those that take
    something from it or wait for it. `looped` are in a loop or on a branch of TensorFlow 1's;
    `varying` depend on the input. `sizes` are those of image tensors, as numbers or symbols.
    """

    draft: Draft
    nodes: Mapping[str, NodeDef]
    users: Mapping[str, list[str]]
    outputs: frozenset[str]
    looped: frozenset[str]
    varying: frozenset[str]
    sizes: Mapping[str, geometry.Size]

    @property
    def graph_def(self) -> GraphDef:
        """The folded graph, still in float32."""
        return self.draft.graph_def()


def read(graph_def: GraphDef, *, input: str, outputs: Sequence[str]) -> Wiring:
    """The wiring of a graph with batch norms moved into the weights; the original is left alone."""
    draft = Draft(graph_def, fixed=map(source, (input, *outputs)))
    forget_places(draft)
    remove_unneeded(draft)
    remove_passing_on(draft)
    fold_constants(draft)
    fold_batch_norms(draft)
    remove_unneeded(draft)
    remove_passing_on(draft)
    order = TopologicalSorter(waits_for(draft.nodes.values())).static_order()
    users = draft.users()
    return Wiring(
        draft=draft,
        nodes={name: draft.nodes[name] for name in order},
        users=users,
        outputs=frozenset(map(canonical, outputs)),
        looped=frozenset(_looped(draft.nodes, users)),
        varying=frozenset(_behind([source(input)], users)),
        sizes=geometry.sizes(draft.nodes),
    )


def canonical(tensor: str) -> str:
    """A tensor's one name: `name` for the first output of a node, `name:k` for the others.

    >>> canonical("split:0"), canonical("split:1"), canonical("^init")
    ('split', 'split:1', 'init')
    """
    return tensor.removeprefix("^").removesuffix(":0")


def _looped(nodes: Mapping[str, NodeDef], users: Mapping[str, Sequence[str]]) -> set[str]:
    """What runs in a frame of its own (Enter to Exit) or only on one branch (Switch to Merge)."""

    def named(op: str) -> frozenset[str]:
        return frozenset(name for name, node in nodes.items() if node.op == op)

    loops = _behind(named("Enter"), users, named("Exit"))
    # A loop has switches too, with its merges before them.
    return loops | _behind(named("Switch") - loops, users, named("Merge"))


def _behind(
    starts: Iterable[str],
    users: Mapping[str, Sequence[str]],
    ends: frozenset[str] = frozenset(),
) -> set[str]:
    """The nodes that these lead to, with them, as far as the ends, without those."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in ends:
            found.add(name)
            waiting += users.get(name, ())
    return found
