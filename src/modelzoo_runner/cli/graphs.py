"""The commands for graphs: `inspect`, `quantize` and `int8-report`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import modelzoo_runner
from modelzoo_runner.cli import options, output
from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values import atomic, bars
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import with_new_names

_RECIPE = ("per_channel", "ranges", "exclude")
_TENSORS = ("input", "outputs", "allow_unsafe_ops")


def inspect(graph: options.File, /, *, to: output.Output = output.PLAIN) -> None:
    """Describe a frozen graph on one page.

    Args:
        graph: path of a frozen graph (.pb).
    """
    output.show(modelzoo_runner.inspect_graph(graph), to)


@options.like(modelzoo_runner.calibration_batches, modelzoo_runner.quantize)
def quantize(
    model: str,
    /,
    *,
    out: options.File,
    weights: str = "pretrained",
    data_location: str | None = None,
    to: output.Output = output.PLAIN,
    **given: Any,
) -> None:
    """Make the int8 graph of a float32 one.

    Args:
        model: a model's name, or the path of a frozen graph (.pb) or of a preset (.toml).
        out: the int8 graph to write.
        weights: pretrained, random or the path of a graph.
    """
    given = with_new_names(given)
    recipe = {name: given.pop(name) for name in _RECIPE if name in given}
    tensors = {name: given[name] for name in _TENSORS if name in given}
    path = atomic.target("out", out)
    if not isinstance(path, Path):
        raise RequestError(f"out={out!r}: should be a path here: the graph is read again")
    request = Request(kind="benchmark", weights=weights, **tensors)
    with bars.where_seen(to.progress) as progress:
        batches = modelzoo_runner.calibration_batches(
            model, data_location, progress=progress, **given
        )
        preset, request = planner.preset_for(model, request)
        context = Context(offline=given.get("offline", False), progress=progress)
        plan = planner.plan(preset, request, context)
        tensors = {
            "input": plan.graph.input,
            "outputs": plan.graph.outputs,
            "allow_unsafe_ops": plan.allow_unsafe_ops,
        }
        batches, again = itertools.tee(batches)
        int8 = modelzoo_runner.quantize(
            plan.graph.path, batches, **tensors, **recipe, progress=progress
        )
        _write(path, int8.SerializeToString(deterministic=True))
    output.show(modelzoo_runner.int8_report(path, batch=next(again), **tensors), to)


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic.writing(path) as file:
            file.write(content)
    except OSError as error:
        raise RequestError(f"out={str(path)!r}: can't be written: {error.strerror}") from None


@options.like(modelzoo_runner.int8_report, leave_out=("batch",))
def int8_report(graph: options.File, /, *, to: output.Output = output.PLAIN, **given: Any) -> None:
    """Tell what of a graph is int8, and what it brings."""
    output.show(modelzoo_runner.int8_report(graph, **given), to)
