"""What TensorFlow knows of a node's operation: its arguments, its outputs, its types.

A NodeDef holds its inputs as one flat list and leaves out attributes that have their default. The
operation's OpDef, from TensorFlow's registry or from the graph's own library, says what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.op_def_pb2 import OpDef
    from tensorflow.core.framework.tensor_pb2 import TensorProto


def find(op: str, graph_def: GraphDef | None = None) -> OpDef | None:
    """The definition of an operation, or of a function in the graph's library."""
    from tensorflow.python.framework import op_def_registry

    for function in graph_def.library.function if graph_def is not None else ():
        if function.signature.name == op:
            return function.signature
    return op_def_registry.get(op)


def attribute(node: NodeDef, name: str, op_def: OpDef | None = None) -> AttrValue | None:
    """A node's attribute, or the operation's default for it, or nothing."""
    if name in node.attr:
        return node.attr[name]
    op_def = op_def or find(node.op)
    for attr in op_def.attr if op_def is not None else ():
        if attr.name == name and attr.HasField("default_value"):
            return attr.default_value
    return None


def stated(node: NodeDef, name: str) -> AttrValue:
    """A node's own attribute, empty if it has none: reading `node.attr[name]` would add one."""
    from tensorflow.core.framework.attr_value_pb2 import AttrValue

    return node.attr[name] if name in node.attr else AttrValue()


def few_integers(tensor: TensorProto) -> tuple[int, ...] | None:
    """The whole numbers of a constant, flat, if it has 254 at most: as many as a shape can."""
    from tensorflow.python.framework.tensor_util import MakeNdarray

    count = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    if count > 254 or tensor.dtype not in _INTEGERS:
        return None
    return tuple(int(number) for number in MakeNdarray(tensor).flat)


def problem(node: NodeDef, op_def: OpDef) -> str | None:
    """What of a node isn't as its operation has it: an attribute, or the number of inputs.

    TensorFlow finds that out when the graph is opened; what looks at a graph before relies on it.
    """
    for attr in op_def.attr:
        value = attribute(node, attr.name, op_def)
        if value is None:
            return f"has no attribute {attr.name!r}"
        kind = value.WhichOneof("value")
        if kind == "placeholder":
            return None  # in a function whose callers decide
        if kind != _KINDS.get(attr.type, "list"):
            return f"has an attribute {attr.name!r} that should be of type {attr.type}"
        types = [value.type] if kind == "type" else value.list.type
        for number in types if "type" in attr.type else ():
            if not _is_type(number):
                return f"has an attribute {attr.name!r} of unknown type number {number}"
        if attr.has_minimum and kind == "i" and value.i < attr.minimum:
            return f"has an attribute {attr.name!r} of {value.i}, below {attr.minimum}"
    expected = sum(_width(node, argument, op_def) for argument in op_def.input_arg)
    found = sum(not tensor.startswith("^") for tensor in node.input)
    return None if found == expected else f"has {found} inputs and takes {expected}"


_INTEGERS = (3, 9)
"""DT_INT32 and DT_INT64 in TensorFlow's types.proto."""

_KINDS = {
    "bool": "b",
    "float": "f",
    "func": "func",
    "int": "i",
    "shape": "shape",
    "string": "s",
    "tensor": "tensor",
    "type": "type",
}
"""An attribute's type -> the field of an AttrValue that holds it."""


def _is_type(number: int) -> bool:
    from tensorflow.python.framework.dtypes import as_dtype

    try:
        as_dtype(number)
    except TypeError:
        return False
    return True


def data_format(node: NodeDef) -> str:
    """The layout of a node's images: `NHWC`, which is the default, or `NCHW`."""
    return stated(node, "data_format").s.decode(errors="replace") or "NHWC"


def output_count(node: NodeDef, op_def: OpDef) -> int:
    """How many tensors a node puts out."""
    return sum(_width(node, argument, op_def) for argument in op_def.output_arg)


def input_named(node: NodeDef, op_def: OpDef, name: str) -> str | None:
    """The tensor that goes in as the argument `name` (the first, where the argument is a list)."""
    position = 0
    for argument in op_def.input_arg:
        if argument.name == name:
            return node.input[position] if position < len(node.input) else None
        position += _width(node, argument, op_def)
    return None


def type_names(numbers: Sequence[int]) -> str:
    """Type numbers as a person reads them: `float32`, `qint8 and quint8`."""
    from tensorflow.python.framework.dtypes import as_dtype

    return " and ".join(as_dtype(number).name for number in numbers)


def _width(node: NodeDef, argument: OpDef.ArgDef, op_def: OpDef) -> int:
    """How many tensors one argument stands for."""
    if argument.number_attr:
        value = attribute(node, argument.number_attr, op_def)
        return value.i if value is not None else 1
    if argument.type_list_attr:
        value = attribute(node, argument.type_list_attr, op_def)
        return len(value.list.type) if value is not None else 1
    return 1
