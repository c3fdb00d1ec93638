"""Finds the units and carriers of a graph: one walk through it, from its input to its outputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.opdef import stated
from modelzoo_runner.backends.tensorflow.tensors import upstream
from modelzoo_runner.int8.products import Refused, start
from modelzoo_runner.int8.units import PRODUCTS, Carrier, Findings, Unit
from modelzoo_runner.int8.wiring import Wiring, canonical

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_SUMS = ("Add", "AddV2", "AddN")

# DataType in tensorflow/core/framework/types.proto.
_QUINT8 = 12

# An average over more values than this uses too few of the 256 steps of its input's range.
_WIDEST_AVERAGE = 25


def find(wiring: Wiring, *, exclude: Collection[str] = ()) -> Findings:
    """All that can be int8. `exclude` are names of nodes and of operations that stay float32."""
    walk = _Walk(wiring)
    for name, node in wiring.nodes.items():
        if name in exclude or node.op in exclude:
            walk.leave(node, "it was excluded")
        elif name in wiring.looped:
            walk.leave(node, "it is in a loop or on a branch")
        else:
            walk.visit(node)
    return walk.findings()


class _Walk:
    """What was found so far; nodes are visited after all those they depend on."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.units: dict[str, Unit] = {}
        self.carriers: dict[str, Carrier] = {}
        self.left: dict[str, str] = {}
        self.positive: set[str] = set()

    def findings(self) -> Findings:
        return Findings(
            units=self.units,
            carriers=self.carriers,
            left=self.left,
            positive=frozenset(self.positive),
        )

    def leave(self, node: NodeDef, reason: str) -> None:
        if node.op in PRODUCTS:
            self.left[node.name] = reason

    def visit(self, node: NodeDef) -> None:
        inputs = [canonical(tensor) for tensor in node.input if not tensor.startswith("^")]
        if node.op in PRODUCTS:
            self._start(node)
        elif node.op in ("MaxPool", "AvgPool"):
            self._pool(node, inputs)
        elif node.op == "ConcatV2":
            self._concatenate(node, inputs)
        elif node.op in ("Relu", "Relu6"):
            self._activate(node, inputs[0])
        elif node.op == "BiasAdd":
            self._bias(node, *inputs)
        elif node.op in _SUMS and len(inputs) == 2:
            self._sum(node, inputs)
        elif node.op == "Dequantize":
            self._turn_back(node)

    def _start(self, node: NodeDef) -> None:
        try:
            unit = start(node, self.wiring)
            if unit.op == "DepthwiseConv2dNative" and not self._can_be_unsigned(unit):
                raise Refused("its input has values below zero, with zeros padded around them")
        except Refused as refusal:
            self.leave(node, str(refusal))
        else:
            self.units[unit.output] = unit

    def _bias(self, node: NodeDef, tensor: str, constant: str) -> bool:
        """Takes in a constant that is added to each channel, if it is one."""
        unit, bias = self._open(tensor, node), self.wiring.draft.constant(constant)
        if unit is None or bias is None or bias.ndim > len(unit.weights.shape):
            return False
        if bias.size not in (1, unit.channels) or bias.shape[-1:] not in ((), (bias.size,)):
            return False
        self._extend(unit, unit.then(node.name, bias=unit.bias + bias.ravel()))
        return True

    def _activate(self, node: NodeDef, tensor: str) -> None:
        unit = self._open(tensor, node)
        if unit is not None and unit.op != "MatMul":
            self._extend(unit, unit.then(node.name, activation=node.op))
            self.positive.add(node.name)

    def _sum(self, node: NodeDef, inputs: list[str]) -> None:
        for tensor, summand in (inputs, reversed(inputs)):
            if self._bias(node, tensor, summand):
                return
            unit = self._open(tensor, node)
            if unit is not None and self._can_add(unit, summand, node):
                self._extend(unit, unit.then(node.name, summand=summand))
                return

    def _pool(self, node: NodeDef, inputs: list[str]) -> None:
        window = list(stated(node, "ksize").list.i)
        plain = window[0] == window[3] == 1 and stated(node, "data_format").s in (b"", b"NHWC")
        plain &= stated(node, "padding").s in (b"SAME", b"VALID")
        wide = node.op == "AvgPool" and window[1] * window[2] > _WIDEST_AVERAGE
        if plain and not wide:
            self._carry(node, inputs)

    def _concatenate(self, node: NodeDef, inputs: list[str]) -> None:
        *parts, _ = inputs
        axis = self.wiring.draft.constant(node.input[len(parts)])
        # Shifted integers of several ranges couldn't stand side by side.
        if axis is not None and int(axis) in (3, -1) and self.positive.issuperset(parts):
            self._carry(node, parts)

    def _carry(self, node: NodeDef, inputs: list[str]) -> None:
        findings = self.findings()
        if all(findings.is_int8(tensor) for tensor in inputs):
            self.carriers[node.name] = Carrier(name=node.name, op=node.op, inputs=tuple(inputs))
            if self.positive.issuperset(inputs):
                self.positive.add(node.name)

    def _turn_back(self, node: NodeDef) -> None:
        """Unsigned integers from 0 on, in a graph that is int8 in part already."""
        low = self.wiring.draft.constant(node.input[1])
        if low is not None and low >= 0 and stated(node, "T").type == _QUINT8:
            self.positive.add(node.name)

    def _open(self, tensor: str, node: NodeDef) -> Unit | None:
        """The unit that puts a tensor out, if this node may be taken into it."""
        unit = self.units.get(tensor)
        if unit is None or unit.activation:
            return None
        return unit if self.wiring.draft.only_user(tensor, self.wiring.users) is node else None

    def _extend(self, old: Unit, new: Unit) -> None:
        del self.units[old.output]
        self.units[new.output] = new

    def _can_be_unsigned(self, unit: Unit) -> bool:
        """Whether a unit's input can be unsigned integers, which some operations insist on."""
        return unit.pads is not None or unit.input in self.positive

    def _can_add(self, unit: Unit, summand: str, node: NodeDef) -> bool:
        """Whether a unit can add a tensor to its result: it is written over, so it must be of the
        same size, and nobody may need it later.
        """
        if unit.op != "Conv2D" or unit.summand or not self._can_be_unsigned(unit):
            return False
        if not self.findings().is_int8(summand) or summand in (unit.input, *self.wiring.outputs):
            return False
        if self.wiring.sizes[unit.output] != self.wiring.sizes[summand]:
            return False
        earlier = upstream(self.wiring.nodes, self.wiring.nodes[unit.name].input)
        return {*self.wiring.users[summand]} - {node.name} <= earlier
