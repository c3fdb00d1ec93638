"""Calibration: the ranges and means of a graph's tensors over a number of batches.

All reductions are done inside the graph, so that a step returns a few numbers and not tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modelzoo_runner.backends.tensorflow.session import imported, open_step
from modelzoo_runner.errors import DataError
from modelzoo_runner.int8.clipping import BINS, Range, entropy, percentile
from modelzoo_runner.int8.fused import FusedLayer
from modelzoo_runner.values.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef

    Batches: TypeAlias = Sequence[NDArray[Any]]

Method: TypeAlias = Literal["minmax", "percentile", "entropy"]

_CLIP = {"percentile": percentile, "entropy": entropy}


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The range of each tensor, and by layer name the mean input of each weight, in the weights'
    shape without the last axis.
    """

    ranges: Mapping[str, Range]
    means: Mapping[str, NDArray[Any]]


def observe(
    graph_def: GraphDef,
    tensors: Sequence[str],
    layers: Collection[FusedLayer],
    batches: Batches,
    *,
    input: str,
    method: Method = "minmax",
    progress: Progress | None = None,
) -> Statistics:
    """The ranges of the tensors and the mean inputs of the layers, each batch with equal weight.

    Percentile and entropy take a second pass. `progress` is called after each batch.

    Raises:
        DataError: a tensor isn't finite.
        RequestError: a batch isn't what the graph takes.
    """
    import numpy as np

    total = len(batches) * (2 if method in _CLIP else 1)

    def tell(done: int) -> None:
        if progress is not None:
            progress("calibration batches", done, total)

    seen = _run(graph_def, lambda of: _statistics(of, tensors, layers), batches, input, tell)
    low = np.min([each[0] for each in seen], axis=0)
    high = np.max([each[1] for each in seen], axis=0)
    _check_finite(tensors, low, high)
    ranges = {
        tensor: Range(float(bottom), float(top))
        for tensor, bottom, top in zip(tensors, low, high, strict=True)
    }
    if method in _CLIP:
        counts = _run(
            graph_def,
            lambda of: _histograms(of, ranges),
            batches,
            input,
            lambda done: tell(len(batches) + done),
        )
        ranges = {
            tensor: _CLIP[method](np.sum(per_batch, axis=0), ranges[tensor])
            for tensor, per_batch in zip(tensors, zip(*counts, strict=True), strict=True)
        }
    # A detector's second stage may get no boxes in a batch, which gives NaN.
    means = {
        layer.name: np.nanmean(per_batch, axis=0)
        for layer, per_batch in zip(
            layers, zip(*(each[2:] for each in seen), strict=True), strict=True
        )
    }
    return Statistics(ranges=ranges, means=means)


def _run(
    graph_def: GraphDef,
    statistics: Callable[[Callable[[str], Any]], Sequence[Any]],
    batches: Batches,
    input: str,
    tell: Callable[[int], None],
) -> list[list[NDArray[Any]]]:
    """For each batch the tensors that `statistics` adds to the graph."""
    graph = imported(graph_def)
    with graph.as_default():
        fetched = statistics(
            lambda name: graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
        )
    names = [tensor.name for tensor in fetched]
    found = []
    # For a few steps, TensorFlow's optimization costs more time and memory than it saves.
    with open_step(graph, input=input, outputs=names, rewrite=False) as step:
        for number, batch in enumerate(batches, start=1):
            found.append(step(batch))
            tell(number)
    return found


def _statistics(
    of: Callable[[str], Any], tensors: Sequence[str], layers: Collection[FusedLayer]
) -> list[Any]:
    import tensorflow as tf

    return [
        tf.stack([tf.reduce_min(of(tensor)) for tensor in tensors]),
        tf.stack([tf.reduce_max(of(tensor)) for tensor in tensors]),
        *(_mean_at(layer, of(layer.input)) for layer in layers),
    ]


def _mean_at(layer: FusedLayer, values: Any) -> Any:
    """The mean input of each weight, zero padding included."""
    import tensorflow as tf

    # The mean of all patches is the patches' mean of the mean example.
    mean = tf.reduce_mean(values, axis=0, keepdims=True)
    if layer.op == "MatMul":
        return mean[0]
    height, width, channels, _ = layer.weights.shape
    if layer.padding == "VALID" and layer.pads:
        mean = tf.pad(mean, [(0, 0), layer.pads[:2], layer.pads[2:], (0, 0)])
    patches = tf.image.extract_patches(
        mean,
        sizes=[1, height, width, 1],
        strides=[1, *layer.strides, 1],
        rates=[1, *layer.dilations, 1],
        padding=layer.padding,
    )
    return tf.reshape(tf.reduce_mean(patches, axis=(0, 1, 2)), [height, width, channels])


def _histograms(of: Callable[[str], Any], ranges: Mapping[str, Range]) -> list[Any]:
    import tensorflow as tf

    return [
        # A range of no width would be refused.
        tf.histogram_fixed_width(of(tensor), [span.low, max(span.high, span.low + 1e-6)], BINS)
        for tensor, span in ranges.items()
    ]


def _check_finite(tensors: Sequence[str], low: NDArray[Any], high: NDArray[Any]) -> None:
    import numpy as np

    broken = [
        tensor
        for tensor, bottom, top in zip(tensors, low, high, strict=True)
        if not (np.isfinite(bottom) and np.isfinite(top))
    ]
    if broken:
        raise DataError(
            f"{len(broken)} tensors aren't finite over the calibration batches, the first is "
            f"{broken[0]!r}: look whether the batches are what the graph expects"
        )
