"""The nodes of an int8 graph, one function for each kind.

They are the operations of the published int8 graphs. A quantized tensor comes with two more, which
hold the float values of its smallest and largest integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from modelzoo_runner.int8.encodings import Encoding, Weights
from modelzoo_runner.int8.fused import FusedLayer

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray
    from tensorflow.core.framework.node_def_pb2 import NodeDef


class QuantizedTensor(NamedTuple):
    """A quantized tensor by name, and the two that hold its range without the shift."""

    values: str
    low: str
    high: str
    signed: bool

    @property
    def dtype(self) -> tf.DType:
        """The type of the integers."""
        import tensorflow as tf

        return tf.qint8 if self.signed else tf.quint8


def quantized_tensor(name: str, encoding: Encoding) -> tuple[QuantizedTensor, list[NodeDef]]:
    """The output of an operation of this name, and the constants that hold its range."""
    made = QuantizedTensor(name, f"{name}/min", f"{name}/max", encoding.signed)
    bottom = -encoding.span if encoding.signed else 0.0
    return made, [constant(made.low, bottom), constant(made.high, encoding.span)]


def quantize(made: QuantizedTensor, tensor: str, encoding: Encoding) -> list[NodeDef]:
    """Float values to a quantized tensor: rounded to nearest, clipped to the range."""
    if encoding.signed:
        how: dict[str, Any] = {"mode": "SCALED", "round_mode": "HALF_TO_EVEN"}
    else:
        # SCALED has no place for a shift, and is no faster without one.
        how = {"mode": "MIN_COMBINED", "round_mode": "HALF_AWAY_FROM_ZERO"}
    span = (encoding.low, encoding.high)
    return _between("QuantizeV2", made.values, tensor, span, T=made.dtype, **how)


def dequantize(name: str, given: QuantizedTensor, encoding: Encoding) -> list[NodeDef]:
    """A quantized tensor to float values.

    The published graphs use mode SCALED, whose oneDNN kernel crashes on an empty tensor, as in a
    detector whose second stage gets no boxes. MIN_COMBINED has no such kernel and is as fast.
    """
    # Its lower end is -128, where -127 stands for -high.
    low = -encoding.high * 128 / 127 if encoding.signed else encoding.low
    span = (low, encoding.high)
    return _between("Dequantize", name, given.values, span, T=given.dtype, mode="MIN_COMBINED")


def pad(name: str, tensor: str, pads: tuple[int, ...]) -> list[NodeDef]:
    """Zero padding of float images: top, bottom, left, right."""
    import numpy as np
    import tensorflow as tf

    amounts = np.array([(0, 0), pads[:2], pads[2:], (0, 0)], np.int32)
    return [
        constant(f"{name}/amounts", amounts),
        node("Pad", name, [tensor, f"{name}/amounts"], T=tf.float32, Tpaddings=tf.int32),
    ]


def convolution(
    layer: FusedLayer,
    given: QuantizedTensor,
    weights: Weights,
    bias: NDArray[Any],
    summand: QuantizedTensor | None,
    made: QuantizedTensor,
) -> list[NodeDef]:
    """A fused convolution that reads `given` and writes `made`.

    Unsigned results are clipped at the integer 0: for values of one sign that is ReLU, for shifted
    ones the lower end of their range.
    """
    import tensorflow as tf

    name = made.values
    inputs = [given.values, f"{name}/weights", f"{name}/bias", given.low, given.high]
    inputs += [f"{name}/weights_min", f"{name}/weights_max", made.low, made.high]
    attributes: dict[str, Any] = {"Tinput": given.dtype, "out_type": made.dtype}
    if summand is not None:
        inputs += [summand.values, summand.low, summand.high]
        attributes["Tsummand"] = summand.dtype
    if layer.padding == "VALID" and layer.pads:
        attributes["padding_list"] = [0, 0, *layer.pads, 0, 0]
    what = "DepthwiseConv2D" if layer.op == "DepthwiseConv2dNative" else "Conv2D"
    then = ("" if summand is None else "Sum") + ("" if made.signed else "AndRelu")
    attributes |= {"strides": [1, *layer.strides, 1], "dilations": [1, *layer.dilations, 1]}
    attributes |= {"padding": layer.padding, "Tfilter": tf.qint8, "Tbias": tf.float32}
    return [
        constant(f"{name}/weights", weights.integers, tf.qint8),
        constant(f"{name}/bias", bias),
        constant(f"{name}/weights_min", -weights.largest),
        constant(f"{name}/weights_max", weights.largest),
        node(f"Quantized{what}WithBias{then}AndRequantize", name, inputs, **attributes),
    ]


def matrix_product(
    layer: FusedLayer, given: QuantizedTensor, weights: Weights, bias: NDArray[Any]
) -> list[NodeDef]:
    """A matrix product with a float result. The operation takes one range for all weights, so each
    channel's own scale is multiplied in afterwards.
    """
    import numpy as np
    import tensorflow as tf

    name, result = f"{layer.output}/int8", layer.output
    inputs = [given.values, f"{name}/weights", f"{name}/no_bias", given.low, given.high]
    # It takes an output range too, and ignores it.
    inputs += [f"{name}/weights_min", f"{name}/weights_max"] * 2
    attributes = {"T1": given.dtype, "T2": tf.qint8, "Tbias": tf.float32, "Toutput": tf.float32}
    attributes["input_quant_mode"] = "SCALED"
    return [
        constant(f"{name}/weights", weights.integers, tf.qint8),
        constant(f"{name}/no_bias", np.zeros_like(bias)),
        constant(f"{name}/weights_min", -1.0),
        constant(f"{name}/weights_max", 1.0),
        node("QuantizedMatMulWithBiasAndDequantize", name, inputs, **attributes),
        constant(f"{name}/scale", weights.largest),
        node("Mul", f"{name}/scaled", [name, f"{name}/scale"], T=tf.float32),
        constant(f"{name}/bias", bias),
        node("AddV2", result, [f"{name}/scaled", f"{name}/bias"], T=tf.float32),
    ]


def pass_through(old: NodeDef, given: Sequence[QuantizedTensor], made: QuantizedTensor) -> NodeDef:
    """A pooling or concatenation of quantized tensors with one encoding."""
    inputs = [each.values for each in given]
    attributes: dict[str, Any] = {"T": made.dtype}
    copied: tuple[str, ...] = ("ksize", "strides", "padding")
    if old.op == "ConcatV2":
        inputs.append(old.input[len(given)])
        attributes["N"] = len(given)
        copied = ("Tidx",)
    inputs += [*(each.low for each in given), *(each.high for each in given)]
    written = node(f"Quantized{old.op}", made.values, inputs, **attributes)
    for key in copied:
        written.attr[key].CopyFrom(old.attr[key])
    return written


def constant(name: str, value: Any, dtype: tf.DType | None = None) -> NodeDef:
    """A constant: float32, or integers, which may be stored as another type."""
    import numpy as np
    import tensorflow as tf

    array = np.asarray(value)
    tensor = tf.make_tensor_proto(array if array.dtype.kind == "i" else array.astype(np.float32))
    if dtype is not None:
        tensor.dtype = dtype.as_datatype_enum
    return node("Const", name, [], value=tensor, dtype=tf.as_dtype(tensor.dtype))


def node(op: str, name: str, inputs: Sequence[str], **attributes: Any) -> NodeDef:
    """A node, with attributes from Python values: int, str, types, tensors, lists of int."""
    import tensorflow as tf
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    made = NodeDef(op=op, name=name, input=inputs)
    for key, value in attributes.items():
        attribute = made.attr[key]
        if isinstance(value, TensorProto):
            attribute.tensor.CopyFrom(value)
        elif isinstance(value, tf.DType):
            attribute.type = value.as_datatype_enum
        elif isinstance(value, str):
            attribute.s = value.encode()
        elif isinstance(value, int):
            attribute.i = value
        else:
            attribute.list.i.extend(value)
    return made


def _between(
    op: str, name: str, tensor: str, span: tuple[float, float], **attributes: Any
) -> list[NodeDef]:
    """QuantizeV2 or Dequantize, with its range as constants."""
    ends = [
        constant(f"{name}/{end}", value) for end, value in zip(("low", "high"), span, strict=True)
    ]
    return [*ends, node(op, name, [tensor, f"{name}/low", f"{name}/high"], **attributes)]
