"""Quantize a float32 graph to int8, after it has been run elsewhere if nobody knows it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelzoo_runner.int8 import quantize as int8
from modelzoo_runner.machine import runtime_log
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values import bars
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import accepts_former_names
from modelzoo_runner.values.progress import Told

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef


@bars.shown
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
    progress: Told = None,
) -> GraphDef:
    """A graph with its convolutions and matrix products in int8, fed and fetched as before.

    Batch norms are folded first. Each layer is fused with the bias, residual addition, ReLU or
    ReLU6 that follow it. Pooling and concatenation in between work on quantized tensors too.
    Weights are signed 8-bit integers, chosen so that no CPU's sums overflow (without VNNI, two
    products are added up in 16 bits; where there is VNNI, this costs nothing measurable). What
    rounding the weights shifts results by, on average, is put into the bias. See `docs/int8.md`.

    Whether int8 has cost accuracy has to be measured, with images that weren't calibrated with.
    Calibrating runs the graph in this process, with as many threads as TensorFlow likes; a
    benchmark that follows in the same process with others will be run in a child. The file of a
    graph that isn't known is run in a child for a step before (see `docs/graphs.md`).

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
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.

    Returns:
        A GraphDef; `SerializeToString()` of it is what a `.pb` file holds.

    Raises:
        RequestError: an argument is invalid, or a batch isn't what the graph takes.
        DataError: there is no batch, or a tensor isn't finite for a batch.
        GraphError: the graph can't be read, a tensor isn't there, or there is nothing that can be
            int8, with the reasons.
        WorkerError: the graph isn't known, and ended the process in which it was tried.

    Examples:
        >>> from modelzoo_runner import calibration_batches, quantize
        >>> images = calibration_batches("mobilenet_v1", "imagenet")  # doctest: +SKIP
        >>> int8 = quantize("mobilenet_v1.pb", images)  # doctest: +SKIP
    """
    context = Context(progress=progress)
    return int8.quantize(
        graph,
        calibration,
        input=input,
        outputs=outputs,
        per_channel=per_channel,
        ranges=ranges,
        exclude=exclude,
        allow_unsafe_ops=allow_unsafe_ops,
        context=context,
        tried=lambda shape: try_graph(
            graph,
            shape,
            context,
            input=input,
            outputs=outputs,
            allow_unsafe_ops=allow_unsafe_ops,
        ),
    )


def try_graph(
    graph: GraphDef | str | os.PathLike[str],
    shape: Sequence[int],
    context: Context,
    *,
    input: str | None,
    outputs: Mapping[str, str] | None,
    allow_unsafe_ops: bool,
) -> None:
    """Run the file of a graph that isn't known for a step in a child, with a batch of that shape.

    Raises:
        GraphError, WorkerError: it can't be run, or ended the child.
    """
    if not isinstance(graph, (str, os.PathLike)):
        return  # the caller made it, or has read it
    from modelzoo_runner.execution import host, trust

    asked = {
        "runtime": "tensorflow",
        "steps": 1,
        "warmup_steps": 0,
        "batch_size": shape[0],
        "input_shape": tuple(shape[1:]) or None,
        "input": input or None,
        "outputs": outputs or None,
        "allow_unsafe_ops": allow_unsafe_ops,
        "isolation": "child",
    }
    request = Request.of("benchmark", asked)
    preset, request = planner.preset_for(Path(graph).expanduser().absolute(), request)
    plan = planner.plan(preset, request, context)
    if not trust.known(plan):
        host.run(plan, context)
