"""Fold batch norms into the weights of the layer before them.

In inference a batch norm is a factor and a summand for each channel, however it was frozen:
as FusedBatchNorm (slim, Keras 2), or as Mul, Sub and Add with arithmetic on constants around it
(older slim, Keras 3), which `fold_constants` has made two constants of. All of them are chains of
`x * factor + summand` behind a convolution, and so are a bias, in whatever way it is added, and the
scaling of a residual branch. The chain becomes one BiasAdd, with the factor in the filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow.draft import Draft, data
from modelzoo_runner.backends.tensorflow.opdef import data_format, stated

if TYPE_CHECKING:
    import numpy as np
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Affine:
    """`x * factor + summand`, for each channel or for all, in float64; nothing is no factor."""

    factor: Array | None
    summand: Array | float
    is_batch_norm: bool = False


@dataclass(frozen=True)
class _Layer:
    """A convolution or matrix product with constant weights, and its output's layout."""

    node: NodeDef
    weights: Array
    channels: int
    rank: int
    channel_axis: int


_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def fold_batch_norms(draft: Draft) -> dict[str, int]:
    """Fold them; returns how many layers took up a batch norm, only a factor, or only biases."""
    import numpy as np

    users = draft.users()
    counts = {"folded_batch_norms": 0, "folded_factors": 0, "merged_biases": 0}
    for node in list(draft.nodes.values()):
        layer = _layer(draft, node)
        if layer is None:
            continue
        with np.errstate(all="ignore"):
            chain = list(_chain(draft, layer, users))
            while chain and chain[-1][1] is None:
                chain.pop()
            kind = _kind(chain)
            if kind is not None and _replace(draft, layer, chain):
                counts[kind] += 1
    return counts


def _kind(chain: list[tuple[NodeDef, _Affine | None]]) -> str | None:
    """What there is to fold: nothing in an empty chain, or in one that is a single bias."""
    steps = [step for _, step in chain if step is not None]
    if any(step.is_batch_norm for step in steps):
        return "folded_batch_norms"
    if any(step.factor is not None for step in steps):
        return "folded_factors"
    plain = [node.op for node, step in chain if step is not None] in ([], ["BiasAdd"])
    return None if plain else "merged_biases"


def _chain(
    draft: Draft, layer: _Layer, users: Mapping[str, list[str]]
) -> Iterator[tuple[NodeDef, _Affine | None]]:
    """The nodes that follow a layer one by one, with what each does to a channel.

    The way back from a dilated convolution's space-to-batch moves values without changing any
    (nothing, in place of a step): it only cuts padding off.
    """
    node = layer.node
    while (following := draft.only_user(node.name, users)) is not None:
        if any(tensor.startswith("^") for tensor in following.input):
            return
        if _moves_places(draft, layer, following, node.name):
            step = None
        else:
            step = _step(draft, layer, following, node.name)
            if step is None:
                return
        yield following, step
        node = following


def _moves_places(draft: Draft, layer: _Layer, node: NodeDef, of: str) -> bool:
    if node.op != "BatchToSpaceND" or data(node.input[0]) != of or layer.channel_axis != 3:
        return False
    block = draft.constant(node.input[1])
    return block is not None and block.size == 2


def _step(draft: Draft, layer: _Layer, node: NodeDef, of: str) -> _Affine | None:
    """What a node does to each channel of `of`, if it is a factor and a summand."""
    import numpy as np

    if node.op in _BATCH_NORMS:
        return _batch_norm(draft, layer, node, of)
    if node.op not in ("Add", "AddV2", "BiasAdd", "Mul", "RealDiv", "Sub"):
        return None
    is_first = data(node.input[0]) == of
    value = draft.constant(node.input[1 if is_first else 0])
    if value is None or (node.op == "BiasAdd" and not is_first):
        return None
    if node.op == "BiasAdd":
        return (
            _Affine(None, value.astype("f8"))
            if data_format(node) == data_format(layer.node)
            else None
        )
    other = _per_channel(value.astype("f8"), layer)
    if other is None:
        return None
    if node.op == "Mul":
        return _Affine(other, 0.0, is_batch_norm=value.ndim > 0)
    if node.op == "RealDiv":
        return _Affine(1 / other, 0.0, is_batch_norm=value.ndim > 0) if is_first else None
    if node.op == "Sub":
        return _Affine(None, -other) if is_first else _Affine(-np.ones(1), other)
    return _Affine(None, other)


def _batch_norm(draft: Draft, layer: _Layer, node: NodeDef, of: str) -> _Affine | None:
    # Absent means true: the operation's default.
    trains = "is_training" not in node.attr or node.attr["is_training"].b
    if trains or data(node.input[0]) != of or data_format(node) != data_format(layer.node):
        return None
    values = [draft.constant(tensor) for tensor in node.input[1:5]]
    if any(value is None or value.shape != (layer.channels,) for value in values):
        return None
    gamma, beta, mean, variance = (value.astype("f8") for value in values if value is not None)
    epsilon = node.attr["epsilon"].f if "epsilon" in node.attr else 1e-4
    factor = gamma / (variance + epsilon) ** 0.5
    return _Affine(factor, beta - mean * factor, is_batch_norm=True)


def _replace(draft: Draft, layer: _Layer, chain: list[tuple[NodeDef, _Affine | None]]) -> bool:
    """One filter and one BiasAdd, under the name of the chain's last node.

    Not (false) where a number would be too large: what is infinite times zero isn't what was.
    """
    import numpy as np

    factor, summand = np.ones(layer.channels), np.zeros(layer.channels)
    for step in (step for _, step in chain if step is not None):
        scale = 1.0 if step.factor is None else step.factor
        factor, summand = factor * scale, summand * scale + step.summand
    dtype = layer.weights.dtype
    weights = (layer.weights * _spread(factor, layer)).astype(dtype)
    bias = summand.astype(dtype)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        return False
    if (factor != 1).any():
        layer.node.input[1] = draft.add_constant(f"{layer.node.name}/folded_filter", weights)
    before = layer.node.name
    for node in (node for node, step in chain if step is None):
        node.input[0] = before
        before = node.name
    last = chain[-1][0].name
    if not bias.any():
        draft.nodes[last] = draft.new("Identity", last, before)
    else:
        name = draft.add_constant(f"{layer.node.name}/folded_bias", bias)
        draft.nodes[last] = draft.new("BiasAdd", last, before, name)
        if "data_format" in layer.node.attr:
            draft.nodes[last].attr["data_format"].CopyFrom(layer.node.attr["data_format"])
    draft.nodes[last].attr["T"].CopyFrom(layer.node.attr["T"])
    return True


def _layer(draft: Draft, node: NodeDef) -> _Layer | None:
    """The node as a layer that can take up factors, if it is one."""
    if node.op not in ("Conv2D", "DepthwiseConv2dNative", "MatMul") or len(node.input) != 2:
        return None
    weights = draft.constant(node.input[1])
    if weights is None or weights.dtype.name not in ("float32", "float64"):
        return None
    if weights.ndim != (2 if node.op == "MatMul" else 4):
        return None
    if node.op == "MatMul":
        channels = weights.shape[0 if stated(node, "transpose_b").b else 1]
        return _Layer(node, weights, channels, rank=2, channel_axis=1)
    channels = weights.shape[3] * (weights.shape[2] if node.op == "DepthwiseConv2dNative" else 1)
    axis = 1 if data_format(node) == "NCHW" else 3
    return _Layer(node, weights, channels, rank=4, channel_axis=axis)


def _spread(factor: Array, layer: _Layer) -> Array:
    """One factor a channel in a shape that multiplies the weights."""
    if layer.node.op == "DepthwiseConv2dNative":
        return factor.reshape(layer.weights.shape[2:])
    if layer.node.op == "MatMul" and stated(layer.node, "transpose_b").b:
        return factor[:, None]
    return factor


def _per_channel(value: Array, layer: _Layer) -> Array | None:
    """A constant as one number a channel, or one for all, if that is how it broadcasts."""
    if value.ndim > layer.rank:
        return None
    shape = (1,) * (layer.rank - value.ndim) + value.shape
    others = shape[: layer.channel_axis] + shape[layer.channel_axis + 1 :]
    if any(size != 1 for size in others):
        return None
    return value.reshape(-1) if shape[layer.channel_axis] in (1, layer.channels) else None
