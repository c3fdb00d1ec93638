"""A graph while it is being rewritten: its nodes by name, their users, and which must stay.

A pass takes a `Draft`, changes it in place and returns how often it did something. Edges are text,
as in a NodeDef: `node`, `node:1` (its second output) or `^node` (only wait for it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow.structure import source
from modelzoo_runner.backends.tensorflow.tensors import upstream

if TYPE_CHECKING:
    import numpy as np
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Array: TypeAlias = np.ndarray[Any, Any]


READ_TIMES, READ_LEAST = 4, 2**28
"""Bytes of constants that passes may read: so many times the graph's, and so many besides."""


class Draft:
    """A copy of a graph that passes may change.

    Attributes:
        nodes: the nodes by name.
        fixed: names of the nodes that are fed or fetched: they stay, with what they compute.
    """

    def __init__(self, graph_def: GraphDef, fixed: Iterable[str]) -> None:
        """Copies the graph; the original stays as it is."""
        self._graph_def = type(graph_def)()
        self._graph_def.CopyFrom(graph_def)
        self.nodes: dict[str, NodeDef] = {node.name: node for node in self._graph_def.node}
        self.fixed = frozenset(fixed)
        self._bytes_left = READ_TIMES * graph_def.ByteSize() + READ_LEAST

    def users(self) -> Mapping[str, list[str]]:
        """For each node the edges that start at it, as the names of the nodes where they end."""
        found: dict[str, list[str]] = defaultdict(list)
        for node in self.nodes.values():
            for tensor in node.input:
                found[source(tensor)].append(node.name)
        return found

    def only_user(self, name: str, users: Mapping[str, list[str]]) -> NodeDef | None:
        """The one node that takes this one's first output, if nothing else needs this node."""
        found = users.get(name, [])
        if name in self.fixed or len(found) != 1:
            return None
        user = self.nodes[found[0]]
        return user if name in map(data, user.input) else None

    def constant(self, tensor: str) -> Array | None:
        """The value of a tensor that is a constant wherever it is used, or nothing.

        In a loop of TensorFlow 1 constants wait for a node inside it; those are left alone. So are
        all, once so many were asked for: thousands of nodes may share one large constant, and each
        would get its own.
        """
        from tensorflow.python.framework.tensor_util import MakeNdarray

        if not self.is_constant(tensor):
            return None
        value: Array = MakeNdarray(self.nodes[data(tensor) or ""].attr["value"].tensor)
        self._bytes_left -= value.nbytes
        return value

    def is_constant(self, tensor: str) -> bool:
        """Whether `constant` has a value."""
        node = self.nodes.get(data(tensor) or "")
        return node is not None and node.op == "Const" and not node.input and self._bytes_left > 0

    def add_constant(self, name: str, value: Array) -> str:
        """A new constant with a free name near this one; returns the name."""
        free = self.free(name)
        self.set_constant(free, value)
        return free

    def free(self, name: str) -> str:
        """A name near this one that no node has."""
        free = name
        number = 1
        while free in self.nodes:
            free = f"{name}_{number}"
            number += 1
        return free

    def set_constant(self, name: str, value: Array) -> None:
        """Make the node a constant of this value."""
        from tensorflow.python.framework.tensor_util import make_tensor_proto

        node = self.new("Const", name)
        node.attr["value"].tensor.CopyFrom(make_tensor_proto(value))
        node.attr["dtype"].type = node.attr["value"].tensor.dtype
        self.nodes[name] = node

    def new(self, op: str, name: str, *inputs: str) -> NodeDef:
        """A new node, not yet added to the graph."""
        from tensorflow.core.framework.node_def_pb2 import NodeDef

        return NodeDef(op=op, name=name, input=inputs)

    def keep_only(self, names: Iterable[str]) -> int:
        """Drop the nodes that these don't need; returns how many."""
        needed = upstream(self.nodes, names)
        dropped = [name for name in self.nodes if name not in needed and name not in self.fixed]
        for name in dropped:
            del self.nodes[name]
        return len(dropped)

    def graph_def(self) -> GraphDef:
        """The graph as it is now."""
        result = type(self._graph_def)()
        for part in ("versions", "library"):
            if self._graph_def.HasField(part):
                getattr(result, part).CopyFrom(getattr(self._graph_def, part))
        result.node.extend(self.nodes.values())
        return result


def data(tensor: str) -> str | None:
    """The node whose first output this edge carries, or nothing if it carries another thing.

    >>> data("conv"), data("conv:0"), data("split:1"), data("^init")
    ('conv', 'conv', None, None)
    """
    name, _, number = tensor.partition(":")
    return None if name.startswith("^") or number not in ("", "0") else name
