"""Write the int8 graph: fused layers and pass-through ops quantized, the rest unchanged.

Between quantized operations tensors stay quantized. Where anything else reads one it is dequantized
once, under the tensor's original name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow.tensors import upstream
from modelzoo_runner.errors import GraphError
from modelzoo_runner.int8 import nodes
from modelzoo_runner.int8.analysis import Analysis, canonical
from modelzoo_runner.int8.encodings import Encoding, quantize_weights, real_weights
from modelzoo_runner.int8.fused import Findings, FusedLayer
from modelzoo_runner.int8.nodes import QuantizedTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef


def rewrite(
    analysis: Analysis,
    findings: Findings,
    encodings: Mapping[str, Encoding],
    means: Mapping[str, NDArray[Any]],
    *,
    per_channel: bool = True,
) -> GraphDef:
    """The quantized graph, pruned.

    `means` are by layer name the mean inputs that its weights are multiplied with.

    Raises:
        GraphError: the name of a new node is taken.
    """
    writer = _Writer(findings, encodings, means, per_channel)
    taken = {name for layer in findings.layers.values() for name in layer.nodes}
    for name, old in analysis.nodes.items():
        if name in findings.layers:
            writer.layer(findings.layers[name])
        elif name in findings.pass_through:
            writer.pass_through(old, findings.pass_through[name])
        elif name not in taken:
            writer.copy(old)
    for output in analysis.outputs:
        writer.as_float(output)
    _share_numbers(writer.made)
    needed = upstream(writer.nodes, analysis.draft.fixed)
    written = analysis.graph_def
    del written.node[:]
    written.node.extend(node for name, node in writer.nodes.items() if name in needed)
    return written


def _share_numbers(made: Sequence[NodeDef]) -> None:
    """Share equal scalar constants: each costs time in every step, and most ranges begin at 0."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for node in made:
        if node.op == "Const" and not node.attr["value"].tensor.tensor_shape.dim:
            value = node.attr["value"].SerializeToString(deterministic=True)
            same[node.name] = first.setdefault(value, node.name)
    for node in made:
        node.input[:] = [same.get(tensor, tensor) for tensor in node.input]


class _Writer:
    """The nodes so far, which of them are new, and each tensor's quantized forms."""

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
        self.have: dict[tuple[str, Encoding], QuantizedTensor] = {}

    def copy(self, old: NodeDef) -> None:
        """Keep a node, which reads float values."""
        for tensor in old.input:
            self.as_float(canonical(tensor))
        self._name(old)

    def layer(self, layer: FusedLayer) -> None:
        """Write a fused layer as one quantized operation."""
        encoding, given, layer = self._given(layer)
        weights = quantize_weights(
            layer.weights,
            channel_axis=layer.channel_axis,
            pairs_axis=None if encoding.signed else layer.pairs_axis,
            per_channel=self.per_channel,
        )
        real = real_weights(weights, layer.channel_axis)
        # The bias compensates for the input's shift, and for the mean error of rounded weights
        # (M. Nagel et al., Data-free quantization through weight equalization and bias correction,
        # ICCV 2019; the logits of MobileNet v1 correlate with float32's by 0.998 with it, by 0.969
        # without).
        lost = (layer.weights - real) * self.means[layer.name][..., None]
        bias = layer.bias + layer.by_channel(encoding.shift * real + lost)
        if layer.op == "MatMul":
            self._add(nodes.matrix_product(layer, given, weights, bias))
            return
        summand = None
        if layer.summand is not None:
            summand = self._quantized(layer.summand, self.encodings[layer.summand])
            bias = bias + self.encodings[layer.summand].shift
        result = self.encodings[layer.output]
        made = self._result(layer.output, result)
        bias = bias - result.shift
        self._add(nodes.convolution(layer, given, weights, bias, summand, made))

    def pass_through(self, old: NodeDef, inputs: Sequence[str]) -> None:
        """Write a pass-through op, quantized."""
        encoding = self.encodings[old.name]
        given = [self._quantized(tensor, encoding) for tensor in inputs]
        self._add([nodes.pass_through(old, given, self._result(old.name, encoding))])

    def as_float(self, tensor: str) -> str:
        """The tensor as float, dequantized if needed."""
        if self.findings.is_int8(tensor) and tensor not in self.nodes:
            encoding = self.encodings[tensor]
            self._add(nodes.dequantize(tensor, self.have[tensor, encoding], encoding))
        return tensor

    def _given(self, layer: FusedLayer) -> tuple[Encoding, QuantizedTensor, FusedLayer]:
        """A layer's input quantized as it can read it, and the layer that reads it.

        Zero padding around shifted integers can't be compensated, so the float values are padded
        instead; where the amount isn't known, the input is quantized with a sign.
        """
        tensor, encoding = layer.input, self.encodings[layer.input]
        if encoding.shift and layer.pads is None:
            encoding = encoding.with_sign()
        elif encoding.shift and layer.pads and any(layer.pads):
            tensor = f"{layer.name}/padded"
            self._add(nodes.pad(tensor, self.as_float(layer.input), layer.pads))
            layer = replace(layer, input=tensor, padding="VALID", pads=())
        return encoding, self._quantized(tensor, encoding), layer

    def _quantized(self, tensor: str, encoding: Encoding) -> QuantizedTensor:
        """The tensor quantized with this encoding, from float if needed."""
        if (tensor, encoding) not in self.have:
            real = self.as_float(tensor)
            self._add(nodes.quantize(self._result(tensor, encoding), real, encoding))
        return self.have[tensor, encoding]

    def _result(self, tensor: str, encoding: Encoding) -> QuantizedTensor:
        """Names for a tensor quantized with this encoding."""
        name = f"{tensor.replace(':', '_')}/{'qint8' if encoding.signed else 'quint8'}"
        made, constants = nodes.quantized_tensor(name, encoding)
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
                f"for another node ({node.op}). Rename it, or exclude its layer"
            )
