"""A convolution or a matrix product as the start of a unit, or why it has no int8 form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow.opdef import stated
from modelzoo_runner.backends.tensorflow.structure import source
from modelzoo_runner.int8.units import Unit
from modelzoo_runner.int8.wiring import Wiring, canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Pair: TypeAlias = tuple[int, ...]


class Refused(Exception):
    """Why a product stays in float32. Never leaves the quantiser."""


def start(node: NodeDef, wiring: Wiring) -> Unit:
    """The unit that begins with this product.

    Raises:
        Refused: saying why there is none.
    """
    weights = wiring.draft.constant(node.input[1])
    if weights is None:
        raise Refused("its weights aren't constant")
    if weights.dtype.name != "float32":
        raise Refused(f"its weights are {weights.dtype}, not float32")
    if source(node.input[0]) not in wiring.varying:
        raise Refused("it doesn't depend on the graph's input")
    if node.op == "MatMul":
        return _matrix_product(node, weights)
    return _convolution(node, weights, wiring)


def _matrix_product(node: NodeDef, weights: NDArray[Any]) -> Unit:
    if stated(node, "transpose_a").b:
        raise Refused("its input is transposed")
    if stated(node, "transpose_b").b:
        weights = weights.T
    return _unit(node, canonical(node.input[0]), weights, weights.shape[1])


def _convolution(node: NodeDef, weights: NDArray[Any], wiring: Wiring) -> Unit:
    """With the zeros that a Pad operation puts around its input taken in."""
    depthwise = node.op == "DepthwiseConv2dNative"
    data_format = stated(node, "data_format").s.decode() or "NHWC"
    if data_format != "NHWC":
        raise Refused(f"its data format is {data_format}, and int8 has NHWC only")
    if depthwise and weights.shape[3] != 1:
        raise Refused("it has more than one output channel for each input channel")
    image = wiring.sizes[source(node.input[0])]
    if not depthwise and isinstance(image[3], int) and image[3] != weights.shape[2]:
        raise Refused("it is a grouped convolution")
    tensor, padding = canonical(node.input[0]), stated(node, "padding").s.decode()
    strides = tuple(stated(node, "strides").list.i)[1:3]
    dilations = tuple(stated(node, "dilations").list.i)[1:3] or (1, 1)
    pads: Pair | None = ()
    if padding == "EXPLICIT":
        pads = tuple(stated(node, "explicit_paddings").list.i)[2:6]
        if depthwise:
            raise Refused("its padding is explicit, and int8 has SAME and VALID only")
    elif padding == "SAME":
        pads = _same(image[1:3], weights.shape[:2], strides, dilations)
    elif not depthwise:
        pads = _pad_before(node, wiring)
        if pads:
            tensor = canonical(wiring.nodes[source(tensor)].input[0])
    return _unit(
        node,
        tensor,
        weights,
        weights.shape[2 if depthwise else 3],
        strides=strides,
        dilations=dilations,
        padding="SAME" if padding == "SAME" else "VALID",
        pads=pads,
    )


def _unit(node: NodeDef, tensor: str, weights: NDArray[Any], channels: int, **how: Any) -> Unit:
    import numpy as np

    return Unit(
        name=node.name,
        op=node.op,
        input=tensor,
        output=node.name,
        nodes=(node.name,),
        weights=weights,
        bias=np.zeros(channels, np.float32),
        **how,
    )


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


def _pad_before(node: NodeDef, wiring: Wiring) -> Pair:
    """Top, bottom, left, right of a Pad node before this one that pads height and width only."""
    padding = wiring.nodes[source(node.input[0])]
    amounts = wiring.draft.constant(padding.input[1]) if padding.op == "Pad" else None
    if amounts is None or amounts.shape != (4, 2) or amounts[[0, 3]].any():
        return ()
    return tuple(int(amount) for amount in amounts[1:3].flat)
