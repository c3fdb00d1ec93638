"""Quantize a float32 graph to int8, with the operations that oneDNN has for it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from modelzoo_runner.backends.tensorflow import load
from modelzoo_runner.errors import DataError, GraphError, RequestError, did_you_mean
from modelzoo_runner.int8 import calibrate, encodings
from modelzoo_runner.int8.analysis import analyze
from modelzoo_runner.int8.calibrate import Progress
from modelzoo_runner.int8.find import find
from modelzoo_runner.int8.rewrite import rewrite
from modelzoo_runner.machine import runtime_log
from modelzoo_runner.values.deprecated import accepts_former_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef


@runtime_log.held_back()
@accepts_former_names
def quantize(
    graph: GraphDef | str | os.PathLike[str],
    calibration: Iterable[NDArray[Any]],
    *,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    per_channel: bool = True,
    ranges: Literal["minmax", "percentile", "entropy"] = "minmax",
    exclude: Collection[str] = (),
    allow_unsafe_ops: bool = False,
    progress: Progress | None = None,
) -> GraphDef:
    """A graph with its convolutions and matrix products in int8, fed and fetched as before.

    Batch norms are folded first. Each layer is fused with the bias, residual addition, ReLU or
    ReLU6 that follow it. Pooling and concatenation in between work on quantized tensors too.
    Weights are signed 8-bit integers, chosen so that no CPU's sums overflow (without VNNI, two
    products are added up in 16 bits; where there is VNNI, this costs nothing measurable). What
    rounding the weights shifts results by, on average, is put into the bias. See `docs/int8.md`.

    Whether int8 has cost accuracy has to be measured, with images that weren't calibrated with.
    Calibrating runs the graph in this process, with as many threads as TensorFlow likes; a
    benchmark that follows in the same process with others will be run in a child.

    Args:
        graph: a frozen float32 graph, or the path of its file. It isn't changed.
        calibration: batches as the graph takes them, kept in memory; 50 real images are a start.
            `calibration_batches` has those of a preset.
        input: the tensor that they are fed to; found in the graph if it isn't named.
        outputs: role -> tensor that will be fetched; found in the graph if they aren't named.
        per_channel: whether each output channel's weights have a scale of their own.
        ranges: how the range of a tensor follows from its values: from the smallest and the largest
            ("minmax"), without the outermost 0.01 % ("percentile"), or clipped where the most
            information is kept ("entropy").
        exclude: names of nodes, or of operations as `ConcatV2`, that stay float32.
        allow_unsafe_ops: take a graph with operations outside the allow-list.
        progress: called with (what, done, total).

    Returns:
        A GraphDef; `SerializeToString()` of it is what a `.pb` file holds.

    Raises:
        RequestError: an argument is invalid, or a batch isn't what the graph takes.
        DataError: there is no batch, or a tensor isn't finite for a batch.
        GraphError: the graph can't be read, a tensor isn't there, or there is nothing that can be
            int8, with the reasons.

    Examples:
        >>> from modelzoo_runner import calibration_batches, quantize
        >>> images = calibration_batches("mobilenet_v1", "imagenet")  # doctest: +SKIP
        >>> int8 = quantize("mobilenet_v1.pb", images)  # doctest: +SKIP
    """
    if ranges not in get_args(calibrate.Method):
        raise RequestError(
            f"ranges={ranges!r}: should be one of {', '.join(get_args(calibrate.Method))}"
        )
    graph_def, input, outputs = load.resolve_graph(
        graph, input=input, outputs=outputs, allow_unsafe_ops=allow_unsafe_ops
    )
    _check_excluded(exclude, graph_def)
    fetched = list(outputs.values())
    analysis = analyze(graph_def, input=input, outputs=fetched)
    findings = find(analysis, exclude=exclude)
    if not findings.layers:
        raise GraphError(_nothing(findings.float_reasons))
    # Read last: it may take minutes, and none of the above needs it.
    batches = list(calibration)
    if not batches:
        raise DataError("calibration: there is no batch: give one or more, as the graph takes them")
    observed = calibrate.observe(
        analysis.graph_def,
        encodings.tensors_to_calibrate(findings),
        list(findings.layers.values()),
        batches,
        input=input,
        method=ranges,
        progress=progress,
    )
    chosen = encodings.choose(findings, observed.ranges)
    return rewrite(analysis, findings, chosen, observed.means, per_channel=per_channel)


def _check_excluded(exclude: Collection[str], graph_def: GraphDef) -> None:
    if isinstance(exclude, str):
        raise RequestError(f"exclude={exclude!r}: should be a list of names, as [{exclude!r}]")
    operations = sorted({node.op for node in graph_def.node})
    names = {node.name for node in graph_def.node}.union(operations)
    for name in exclude:
        if name not in names:
            raise RequestError(
                f"exclude={name!r}: the graph has no node and no operation of this name. "
                + did_you_mean(name, names)
            )


def _nothing(reasons: Mapping[str, str]) -> str:
    if not reasons:
        return (
            "there is nothing to quantize: the graph has no float32 convolution or matrix product"
        )
    counts = Counter(reasons.values()).most_common()
    return f"nothing can be int8: {'; '.join(f'{why} ({count})' for why, count in counts)}"
