"""Find what can be int8: one walk through a graph, from its input to its outputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.opdef import data_format, stated
from modelzoo_runner.backends.tensorflow.tensors import upstream
from modelzoo_runner.int8.analysis import Analysis, canonical
from modelzoo_runner.int8.fused import (
    QUANTIZABLE,
    Findings,
    FusedLayer,
    NotQuantizable,
    match_layer,
)

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_SUMS = ("Add", "AddV2", "AddN")

# DataType in tensorflow/core/framework/types.proto.
_QUINT8 = 12

# An average over more values than this uses too few of the 256 steps of its input's range.
_WIDEST_AVERAGE = 25


def find(analysis: Analysis, *, exclude: Collection[str] = ()) -> Findings:
    """What can be int8. `exclude` are names of nodes and of operations that stay float32."""
    walk = _Walk(analysis)
    for name, node in analysis.nodes.items():
        if name in exclude or node.op in exclude:
            walk.leave(node, "it was excluded")
        elif name in analysis.in_control_flow:
            walk.leave(node, "it is in a loop or on a branch")
        else:
            walk.visit(node)
    return walk.findings


class _Walk:
    """What was found so far; nodes are visited in topological order."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.findings = Findings()

    def leave(self, node: NodeDef, reason: str) -> None:
        if node.op in QUANTIZABLE:
            self.findings.float_reasons[node.name] = reason

    def visit(self, node: NodeDef) -> None:
        inputs = [canonical(tensor) for tensor in node.input if not tensor.startswith("^")]
        if node.op in QUANTIZABLE:
            self._match(node)
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
            self._dequantize(node)

    def _match(self, node: NodeDef) -> None:
        try:
            layer = match_layer(node, self.analysis)
            if layer.op == "DepthwiseConv2dNative" and not self._can_be_unsigned(layer):
                raise NotQuantizable(
                    "its input has values below zero, with zeros padded around them"
                )
        except NotQuantizable as refusal:
            self.leave(node, str(refusal))
        else:
            self.findings.layers[layer.output] = layer

    def _bias(self, node: NodeDef, tensor: str, constant: str) -> bool:
        """Fuse an addition of one constant a channel; false if it is none."""
        layer, bias = self._open(tensor, node), self.analysis.draft.constant(constant)
        if layer is None or bias is None or bias.ndim > len(layer.weights.shape):
            return False
        if bias.size not in (1, layer.channels) or bias.shape[-1:] not in ((), (bias.size,)):
            return False
        self._extend(layer, layer.then(node.name, bias=layer.bias + bias.ravel()))
        return True

    def _activate(self, node: NodeDef, tensor: str) -> None:
        layer = self._open(tensor, node)
        if layer is not None and layer.op != "MatMul":
            self._extend(layer, layer.then(node.name, activation=node.op))
            self.findings.positive.add(node.name)

    def _sum(self, node: NodeDef, inputs: list[str]) -> None:
        for tensor, summand in (inputs, reversed(inputs)):
            if self._bias(node, tensor, summand):
                return
            layer = self._open(tensor, node)
            if layer is not None and self._can_add(layer, summand, node):
                self._extend(layer, layer.then(node.name, summand=summand))
                return

    def _pool(self, node: NodeDef, inputs: list[str]) -> None:
        window = list(stated(node, "ksize").list.i)
        plain = window[0] == window[3] == 1 and data_format(node) == "NHWC"
        plain &= stated(node, "padding").s in (b"SAME", b"VALID")
        wide = node.op == "AvgPool" and window[1] * window[2] > _WIDEST_AVERAGE
        if plain and not wide:
            self._add_pass_through(node, inputs)

    def _concatenate(self, node: NodeDef, inputs: list[str]) -> None:
        *parts, _ = inputs
        axis = self.analysis.draft.constant(node.input[len(parts)])
        # Shifted integers of several ranges can't share one tensor.
        if axis is not None and int(axis) in (3, -1) and self.findings.positive.issuperset(parts):
            self._add_pass_through(node, parts)

    def _add_pass_through(self, node: NodeDef, inputs: list[str]) -> None:
        if all(map(self.findings.is_int8, inputs)):
            self.findings.pass_through[node.name] = tuple(inputs)
            if self.findings.positive.issuperset(inputs):
                self.findings.positive.add(node.name)

    def _dequantize(self, node: NodeDef) -> None:
        """Unsigned integers without shift, in a graph that is partly int8 already."""
        low = self.analysis.draft.constant(node.input[1])
        if low is not None and low >= 0 and stated(node, "T").type == _QUINT8:
            self.findings.positive.add(node.name)

    def _open(self, tensor: str, node: NodeDef) -> FusedLayer | None:
        """The layer that makes a tensor, if this node may be fused into it."""
        layer = self.findings.layers.get(tensor)
        if layer is None or layer.activation:
            return None
        return layer if self.analysis.draft.only_user(tensor, self.analysis.users) is node else None

    def _extend(self, old: FusedLayer, new: FusedLayer) -> None:
        del self.findings.layers[old.output]
        self.findings.layers[new.output] = new

    def _can_be_unsigned(self, layer: FusedLayer) -> bool:
        """Whether a layer's input can be unsigned, which some operations require."""
        return layer.pads is not None or layer.input in self.findings.positive

    def _can_add(self, layer: FusedLayer, summand: str, node: NodeDef) -> bool:
        """Whether a layer can add a tensor to its result, which overwrites it: it must have
        the same size, and nothing may need it later.
        """
        if layer.op != "Conv2D" or layer.summand or not self._can_be_unsigned(layer):
            return False
        if not self.findings.is_int8(summand) or summand in (layer.input, *self.analysis.outputs):
            return False
        if self.analysis.sizes[layer.output] != self.analysis.sizes[summand]:
            return False
        earlier = upstream(self.analysis.nodes, self.analysis.nodes[layer.name].input)
        return {*self.analysis.users[summand]} - {node.name} <= earlier
