"""Let a convolution add the other branch of a residual block itself.

oneDNN computes `Relu(Add(BiasAdd(Conv2D(x, w), b), shortcut))` in one pass over the image, as one
`_FusedConv2D`, bit for bit the same. TensorFlow's own rewriting does that only where it can tell
that both summands have one shape: not for images of any size, and not for all additions of a
ResNet-50 (13 of the 16 in slim's, none in one that Keras froze). Here sizes are compared as symbols
(`geometry`), so that all of them are found. Only oneDNN has that kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import geometry
from modelzoo_runner.backends.tensorflow.draft import Draft, data
from modelzoo_runner.backends.tensorflow.opdef import data_format, stated
from modelzoo_runner.backends.tensorflow.structure import source

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_ADDITIONS = ("Add", "AddV2", "AddN")
_ACTIVATIONS = ("Relu", "Relu6", "Elu", "LeakyRelu")
_FLOAT = 1  # DT_FLOAT in TensorFlow's types.proto
_COPIED = ("T", "strides", "padding", "explicit_paddings", "data_format", "dilations")


def fuse_residual_adds(draft: Draft) -> int:
    """Fuse them; returns how many additions are gone."""
    users = draft.users()
    sizes = geometry.sizes(draft.nodes)
    count = 0
    for addition in list(draft.nodes.values()):
        if addition.op not in _ADDITIONS or len(addition.input) != 2:
            continue
        for branch, shortcut in (addition.input, reversed(addition.input)):
            found = _convolution(draft, branch, users)
            if found is None or not _equal_sizes(addition, branch, shortcut, sizes):
                continue
            convolution, bias = found
            activation = draft.only_user(addition.name, users)
            if activation is None or not _follows(activation, addition):
                activation = None
            _fuse(draft, convolution, bias, shortcut, activation, (activation or addition).name)
            count += 1
            break
    return count


def _convolution(
    draft: Draft, tensor: str, users: Mapping[str, list[str]]
) -> tuple[NodeDef, str] | None:
    """The convolution and the bias that make this tensor, if they make nothing else."""
    biased = draft.nodes.get(data(tensor) or "")
    if biased is None or biased.op != "BiasAdd" or draft.only_user(biased.name, users) is None:
        return None
    convolution = draft.nodes[source(biased.input[0])]
    if convolution.op != "Conv2D" or draft.only_user(convolution.name, users) is None:
        return None
    if len(biased.input) != 2 or len(convolution.input) != 2:
        return None  # one of them waits for something else
    is_nhwc = data_format(convolution) == "NHWC"
    is_float = stated(convolution, "T").type == _FLOAT
    return (convolution, biased.input[1]) if is_float and is_nhwc else None


def _equal_sizes(
    addition: NodeDef, branch: str, shortcut: str, sizes: Mapping[str, geometry.Size]
) -> bool:
    """Whether the addition is one of equal shapes: the fused one doesn't broadcast."""
    if data(shortcut) is None:
        return False
    return addition.op == "AddN" or sizes[source(branch)] == sizes[source(shortcut)]


def _follows(activation: NodeDef, addition: NodeDef) -> bool:
    return activation.op in _ACTIVATIONS and [data(each) for each in activation.input] == [
        addition.name
    ]


def _fuse(
    draft: Draft,
    convolution: NodeDef,
    bias: str,
    shortcut: str,
    activation: NodeDef | None,
    name: str,
) -> None:
    """Put the fused convolution in the place, and under the name, of the last node of the four."""
    image, weights = convolution.input
    fused = draft.new("_FusedConv2D", name, image, weights, bias, shortcut)
    for key in _COPIED:
        if key in convolution.attr:
            fused.attr[key].CopyFrom(convolution.attr[key])
    fused.attr["num_args"].i = 2
    fused.attr["TArgs"].list.type.extend([_FLOAT, _FLOAT])
    fused.attr["fused_ops"].list.s.extend([b"BiasAdd", b"Add"])
    if activation is not None:
        fused.attr["fused_ops"].list.s.append(activation.op.encode())
        if "alpha" in activation.attr:
            fused.attr["leakyrelu_alpha"].f = activation.attr["alpha"].f
    draft.nodes[name] = fused
