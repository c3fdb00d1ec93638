"""What a graph's tensors are like over a number of batches: their ranges and means.

All reductions are done inside the graph, so that what leaves a step is a few numbers and not the
tensors themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.errors import DataError
from modelzoo_runner.int8.cutoff import BINS, Range, entropy, percentile
from modelzoo_runner.int8.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef

    Batches: TypeAlias = Sequence[NDArray[Any]]

Method: TypeAlias = Literal["minmax", "percentile", "entropy"]

Progress: TypeAlias = Callable[[str, int, "int | None"], None]
"""Called with what is being counted, how many are done, and how many there are."""

_CUTS = {"percentile": percentile, "entropy": entropy}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The range of each tensor, and for each unit, by name, the means of what its weights are
    multiplied with, in the weights' shape less the last axis.
    """

    ranges: Mapping[str, Range]
    means: Mapping[str, NDArray[Any]]


def observe(
    graph_def: GraphDef,
    tensors: Sequence[str],
    units: Collection[Unit],
    batches: Batches,
    *,
    input: str,
    method: Method = "minmax",
    progress: Progress | None = None,
) -> Observed:
    """The ranges of the tensors and the means at the units over all batches, every batch counting
    the same. Percentile and entropy take a second pass. `progress` is told after each batch.

    Raises:
        DataError: a tensor isn't finite.
        RequestError: a batch isn't what the graph takes.
    """
    import numpy as np

    total = len(batches) * (2 if method in _CUTS else 1)

    def tell(done: int) -> None:
        if progress is not None:
            progress("calibration batches", done, total)

    seen = _run(graph_def, lambda of: _statistics(of, tensors, units), batches, input, tell)
    low = np.min([each[0] for each in seen], axis=0)
    high = np.max([each[1] for each in seen], axis=0)
    _check_finite(tensors, low, high)
    ranges = {
        tensor: Range(float(bottom), float(top))
        for tensor, bottom, top in zip(tensors, low, high, strict=True)
    }
    if method in _CUTS:
        counts = _run(
            graph_def,
            lambda of: _histograms(of, ranges),
            batches,
            input,
            lambda done: tell(len(batches) + done),
        )
        ranges = {
            tensor: _CUTS[method](np.sum(per_batch, axis=0), ranges[tensor])
            for tensor, per_batch in zip(tensors, zip(*counts, strict=True), strict=True)
        }
    # A detector's second stage may have had nothing to look at, which has no mean.
    means = {
        unit.name: np.nanmean(per_batch, axis=0)
        for unit, per_batch in zip(
            units, zip(*(each[2:] for each in seen), strict=True), strict=True
        )
    }
    return Observed(ranges=ranges, means=means)


def _run(
    graph_def: GraphDef,
    statistics: Callable[[Callable[[str], Any]], Sequence[Any]],
    batches: Batches,
    input: str,
    tell: Callable[[int], None],
) -> list[list[NDArray[Any]]]:
    """What is computed of the graph's tensors, which `statistics` gets by name, for each batch."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
        fetched = statistics(
            lambda name: graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
        )
    names = [tensor.name for tensor in fetched]
    found = []
    # A graph that runs a few times isn't worth the time and the memory of rewriting it.
    with open_step(graph, input=input, outputs=names, rewrite=False) as step:
        for number, batch in enumerate(batches, start=1):
            found.append(step(batch))
            tell(number)
    return found


def _statistics(
    of: Callable[[str], Any], tensors: Sequence[str], units: Collection[Unit]
) -> list[Any]:
    import tensorflow as tf

    return [
        tf.stack([tf.reduce_min(of(tensor)) for tensor in tensors]),
        tf.stack([tf.reduce_max(of(tensor)) for tensor in tensors]),
        *(_mean_at(unit, of(unit.input)) for unit in units),
    ]


def _mean_at(unit: Unit, values: Any) -> Any:
    """The mean of what each weight is multiplied with, padded zeros among it."""
    import tensorflow as tf

    # The mean example stands for all: patches are cut out of each in the same way.
    mean = tf.reduce_mean(values, axis=0, keepdims=True)
    if unit.op == "MatMul":
        return mean[0]
    height, width, channels, _ = unit.weights.shape
    if unit.padding == "VALID" and unit.pads:
        mean = tf.pad(mean, [(0, 0), unit.pads[:2], unit.pads[2:], (0, 0)])
    patches = tf.image.extract_patches(
        mean,
        sizes=[1, height, width, 1],
        strides=[1, *unit.strides, 1],
        rates=[1, *unit.dilations, 1],
        padding=unit.padding,
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
