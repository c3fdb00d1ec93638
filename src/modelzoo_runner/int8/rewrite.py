"""Writes the int8 graph: units and carriers as quantised operations, the rest as it was.

Between two quantised operations the values stay integers. Where anything else reads them they are
turned back once, under the name that the graph has for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow.tensors import upstream
from modelzoo_runner.errors import GraphError
from modelzoo_runner.int8 import nodes
from modelzoo_runner.int8.encodings import Encoding
from modelzoo_runner.int8.nodes import Integers
from modelzoo_runner.int8.units import Carrier, Findings, Unit
from modelzoo_runner.int8.weights import quantize_weights, real_weights
from modelzoo_runner.int8.wiring import Wiring, canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def rewrite(
    wiring: Wiring,
    findings: Findings,
    encodings: Mapping[str, Encoding],
    means: Mapping[str, NDArray[Any]],
    *,
    per_channel: bool = True,
) -> GraphDef:
    """The graph with every unit and carrier as a quantised operation, and nothing unneeded.

    `means` are, for each unit by name, the means of what its weights are multiplied with.

    Raises:
        GraphError: a name that is needed for a new node is taken.
    """
    writer = _Writer(findings, encodings, means, per_channel)
    taken = {name for unit in findings.units.values() for name in unit.nodes}
    for name, old in wiring.nodes.items():
        if name in findings.units:
            writer.unit(findings.units[name])
        elif name in findings.carriers:
            writer.carrier(findings.carriers[name], old)
        elif name not in taken:
            writer.copy(old)
    for output in wiring.outputs:
        writer.real(output)
    _share_numbers(writer.made)
    needed = upstream(writer.nodes, wiring.draft.fixed)
    written = wiring.graph_def
    del written.node[:]
    written.node.extend(node for name, node in writer.nodes.items() if name in needed)
    return written


def _share_numbers(made: Sequence[NodeDef]) -> None:
    """Takes each number from the first constant that holds it: each constant costs time in every
    step, and most ranges begin at 0.
    """
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for node in made:
        if node.op == "Const" and not node.attr["value"].tensor.tensor_shape.dim:
            value = node.attr["value"].SerializeToString(deterministic=True)
            same[node.name] = first.setdefault(value, node.name)
    for node in made:
        node.input[:] = [same.get(tensor, tensor) for tensor in node.input]


class _Writer:
    """The nodes so far, which of them are new, and where each tensor is to be had as integers."""

    def __init__(
        self,
        findings: Findings,
        encodings: Mapping[str, Encoding],
        means: Mapping[str, NDArray[Any]],
        per_channel: bool,
    ) -> None:
        self.findings = findings
        self.encodings = encodings
        self.means = means
        self.per_channel = per_channel
        self.nodes: dict[str, NodeDef] = {}
        self.made: list[NodeDef] = []
        self.have: dict[tuple[str, Encoding], Integers] = {}

    def copy(self, old: NodeDef) -> None:
        """A node that stays as it is, and reads real values."""
        for tensor in old.input:
            self.real(canonical(tensor))
        self._name(old)

    def unit(self, unit: Unit) -> None:
        """A product, and all that follows it, as one quantised operation."""
        encoding, given, unit = self._given(unit)
        weights = quantize_weights(
            unit.weights,
            channel_axis=unit.channel_axis,
            pairs_axis=None if encoding.signed else unit.pairs_axis,
            per_channel=self.per_channel,
        )
        real = real_weights(weights, unit.channel_axis)
        # The integers leave something out, and it is given back here: of the values the shift, and
        # of the weights what rounding took, as far as it doesn't average out (M. Nagel et al.,
        # Data-free quantization through weight equalization and bias correction, ICCV 2019; the
        # logits of MobileNet v1 correlate with float32's by 0.998 with it, by 0.969 without).
        lost = (unit.weights - real) * self.means[unit.name][..., None]
        bias = unit.bias + unit.by_channel(encoding.shift * real + lost)
        if unit.op == "MatMul":
            self._add(nodes.matrix_product(unit, given, weights, bias))
            return
        summand = None
        if unit.summand is not None:
            summand = self._integers(unit.summand, self.encodings[unit.summand])
            bias = bias + self.encodings[unit.summand].shift
        result = self.encodings[unit.output]
        made = self._result(unit.output, result)
        bias = bias - result.shift
        self._add(nodes.convolution(unit, given, weights, bias, summand, made))

    def carrier(self, carrier: Carrier, old: NodeDef) -> None:
        """A pooling or a concatenation of integers."""
        encoding = self.encodings[carrier.name]
        given = [self._integers(tensor, encoding) for tensor in carrier.inputs]
        self._add([nodes.carrier(old, given, self._result(carrier.name, encoding))])

    def real(self, tensor: str) -> str:
        """The tensor as real values, turned back from integers where need be."""
        if self.findings.is_int8(tensor) and tensor not in self.nodes:
            encoding = self.encodings[tensor]
            self._add(nodes.dequantize(tensor, self.have[tensor, encoding], encoding))
        return tensor

    def _given(self, unit: Unit) -> tuple[Encoding, Integers, Unit]:
        """A unit's input as integers that it can read, and the unit that reads them.

        A shift can't be taken back in zeros that are padded around integers, so they are put around
        the real values before; where it isn't known how many, the integers are signed.
        """
        tensor, encoding = unit.input, self.encodings[unit.input]
        if encoding.shift and unit.pads is None:
            encoding = encoding.with_sign()
        elif encoding.shift and unit.pads and any(unit.pads):
            tensor = f"{unit.name}/padded"
            self._add(nodes.pad(tensor, self.real(unit.input), unit.pads))
            unit = replace(unit, input=tensor, padding="VALID", pads=())
        return encoding, self._integers(tensor, encoding), unit

    def _integers(self, tensor: str, encoding: Encoding) -> Integers:
        """The tensor as integers of this encoding, made from real values where need be."""
        if (tensor, encoding) not in self.have:
            real = self.real(tensor)
            self._add(nodes.quantize(self._result(tensor, encoding), real, encoding))
        return self.have[tensor, encoding]

    def _result(self, tensor: str, encoding: Encoding) -> Integers:
        """Names for a tensor's integers in this encoding."""
        name = f"{tensor.replace(':', '_')}/{'qint8' if encoding.signed else 'quint8'}"
        made, constants = nodes.integers(name, encoding)
        self._add(constants)
        self.have[tensor, encoding] = made
        return made

    def _add(self, made: list[NodeDef]) -> None:
        self.made += made
        for node in made:
            self._name(node)

    def _name(self, node: NodeDef) -> None:
        if self.nodes.setdefault(node.name, node) is not node:
            raise GraphError(
                f"node {node.name!r} ({self.nodes[node.name].op}): the int8 graph needs this name "
                f"for another node ({node.op}). Rename it, or exclude what it belongs to"
            )
