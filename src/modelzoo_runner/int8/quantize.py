"""Quantize a float32 graph to int8, with the operations that oneDNN has for it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from modelzoo_runner.backends.tensorflow import load
from modelzoo_runner.errors import DataError, GraphError, RequestError, did_you_mean
from modelzoo_runner.int8 import calibrate, encodings
from modelzoo_runner.int8.analysis import analyze
from modelzoo_runner.int8.find import find
from modelzoo_runner.int8.rewrite import rewrite
from modelzoo_runner.values.context import QUIET, Context

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef


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
    context: Context = QUIET,
    tried: Callable[[Sequence[int]], object] | None = None,
) -> GraphDef:
    """The graph in int8, as the public function of this name describes it.

    `tried` is called with the shape of a batch before the graph is run.
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
    shape = getattr(batches[0], "shape", ())
    if tried is not None and shape:
        tried(shape)
    observed = calibrate.observe(
        analysis.graph_def,
        encodings.tensors_to_calibrate(findings),
        list(findings.layers.values()),
        batches,
        input=input,
        method=ranges,
        progress=context.callback,
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
