"""What one int8 operation can compute: a layer and what is fused into it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modelzoo_runner.backends.tensorflow.opdef import data_format, stated
from modelzoo_runner.backends.tensorflow.structure import source
from modelzoo_runner.int8.analysis import Analysis, canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Pair: TypeAlias = tuple[int, ...]

QUANTIZABLE = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
"""The operations that have an int8 form."""


@dataclass(frozen=True, kw_only=True)
class FusedLayer:
    """A convolution or matrix product with constant weights, and the ops fused into it.

    `input`, `summand` and `output` are tensors, `name` is the node of the convolution or product,
    and `nodes` are all fused nodes. `weights` are `[height, width, in, out]`, depthwise
    `[height, width, in, 1]`, of a matrix product `[in, out]`.
    `pads` are the rows and columns of zero padding (top, bottom, left, right), by `padding` or by a
    Pad node; None where SAME depends on a size that isn't fixed.
    """

    name: str
    op: str
    input: str
    output: str
    nodes: tuple[str, ...]
    weights: NDArray[Any]
    bias: NDArray[Any]
    strides: tuple[int, ...] = (1, 1)
    dilations: tuple[int, ...] = (1, 1)
    padding: Literal["SAME", "VALID"] = "VALID"
    pads: tuple[int, ...] | None = ()
    summand: str | None = None
    activation: str = ""

    @property
    def channel_axis(self) -> int:
        """The output channels' axis in `weights`."""
        return 2 if self.op == "DepthwiseConv2dNative" else self.weights.ndim - 1

    @property
    def pairs_axis(self) -> int | None:
        """The axis of `weights` along which a CPU sums neighbours first, if any."""
        return {"Conv2D": 2, "MatMul": 0}.get(self.op)

    @property
    def channels(self) -> int:
        """How many channels the output has."""
        return int(self.weights.shape[self.channel_axis])

    @property
    def sees_padding(self) -> bool:
        """Whether zero padding enters the sums."""
        return self.pads is None or any(self.pads)

    def by_channel(self, weighted: NDArray[Any]) -> NDArray[Any]:
        """Sums over each output channel of an array in the weights' shape."""
        axes = tuple(axis for axis in range(weighted.ndim) if axis != self.channel_axis)
        sums: NDArray[Any] = weighted.sum(axis=axes)
        return sums

    def then(self, node: str, **changes: Any) -> FusedLayer:
        """This layer with one more node fused, which makes the output."""
        return replace(self, nodes=(*self.nodes, node), output=node, **changes)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What can be int8 in a graph, by output tensor.

    `pass_through` has the inputs of each pooling and concatenation that is quantized in and out,
    with one encoding. `float_reasons` says by node why a layer can't be int8; `positive` are
    tensors that are never negative because of the op that makes them.
    """

    layers: dict[str, FusedLayer] = field(default_factory=dict)
    pass_through: dict[str, tuple[str, ...]] = field(default_factory=dict)
    float_reasons: dict[str, str] = field(default_factory=dict)
    positive: set[str] = field(default_factory=set)

    def is_int8(self, tensor: str) -> bool:
        """Whether a tensor will be quantized; a matrix product's result isn't."""
        layer = self.layers.get(tensor)
        return tensor in self.pass_through or (layer is not None and layer.op != "MatMul")


class NotQuantizable(Exception):
    """Why a layer stays in float32. Never leaves the quantizer."""


def match_layer(node: NodeDef, analysis: Analysis) -> FusedLayer:
    """The layer that starts at this convolution or matrix product.

    Raises:
        NotQuantizable: with the reason.
    """
    weights = analysis.draft.constant(node.input[1])
    if weights is None:
        raise NotQuantizable("its weights aren't constant")
    if weights.dtype.name != "float32":
        raise NotQuantizable(f"its weights are {weights.dtype}, not float32")
    if source(node.input[0]) not in analysis.input_dependent:
        raise NotQuantizable("it doesn't depend on the graph's input")
    if node.op == "MatMul":
        return _matrix_product(node, weights)
    return _convolution(node, weights, analysis)


def _matrix_product(node: NodeDef, weights: NDArray[Any]) -> FusedLayer:
    if stated(node, "transpose_a").b:
        raise NotQuantizable("its input is transposed")
    if stated(node, "transpose_b").b:
        weights = weights.T
    return _layer(node, canonical(node.input[0]), weights)


def _convolution(node: NodeDef, weights: NDArray[Any], analysis: Analysis) -> FusedLayer:
    """With a Pad node before it fused."""
    depthwise = node.op == "DepthwiseConv2dNative"
    if data_format(node) != "NHWC":
        raise NotQuantizable(f"its data format is {data_format(node)}, and int8 has NHWC only")
    if depthwise and weights.shape[3] != 1:
        raise NotQuantizable("it has more than one output channel for each input channel")
    image = analysis.sizes[source(node.input[0])]
    if not depthwise and isinstance(image[3], int) and image[3] != weights.shape[2]:
        raise NotQuantizable("it is a grouped convolution")
    tensor, padding = canonical(node.input[0]), stated(node, "padding").s.decode()
    strides = tuple(stated(node, "strides").list.i)[1:3]
    dilations = tuple(stated(node, "dilations").list.i)[1:3] or (1, 1)
    pads: Pair | None = ()
    if padding == "EXPLICIT":
        pads, padding = tuple(stated(node, "explicit_paddings").list.i)[2:6], "VALID"
        if depthwise:
            raise NotQuantizable("its padding is explicit, and int8 has SAME and VALID only")
    elif padding == "SAME":
        pads = _same(image[1:3], weights.shape[:2], strides, dilations)
    elif not depthwise and (pads := _pad_before(node, analysis)):
        tensor = canonical(analysis.nodes[source(tensor)].input[0])
    how = {"strides": strides, "dilations": dilations, "padding": padding, "pads": pads}
    return _layer(node, tensor, weights, **how)


def _layer(node: NodeDef, tensor: str, weights: NDArray[Any], **how: Any) -> FusedLayer:
    import numpy as np

    name, bias = node.name, np.zeros(1, np.float32)
    layer = FusedLayer(
        name=name,
        op=node.op,
        input=tensor,
        output=name,
        nodes=(name,),
        weights=weights,
        bias=bias,
        **how,
    )
    return replace(layer, bias=np.zeros(layer.channels, np.float32))


def _same(image: tuple[Any, ...], kernel: Pair, strides: Pair, dilations: Pair) -> Pair | None:
    """Top, bottom, left, right of SAME, by TensorFlow's rule; None where a size isn't fixed."""
    pads: list[int] = []
    for size, length, stride, dilation in zip(image, kernel, strides, dilations, strict=True):
        if length == 1:
            pads += [0, 0]
        elif not isinstance(size, int):
            return None
        else:
            reach = (length - 1) * dilation + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pads += [total // 2, total - total // 2]
    return tuple(pads)


def _pad_before(node: NodeDef, analysis: Analysis) -> Pair:
    """Top, bottom, left, right of a Pad node before this one that pads height and width only."""
    padding = analysis.nodes[source(node.input[0])]
    amounts = analysis.draft.constant(padding.input[1]) if padding.op == "Pad" else None
    if amounts is None or amounts.shape != (4, 2) or amounts[[0, 3]].any():
        return ()
    return tuple(int(amount) for amount in amounts[1:3].flat)
