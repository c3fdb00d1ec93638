"""The commands that make int8 graphs and look into them: `quantize` and `int8-report`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelzoo_runner
from modelzoo_runner.cli import options
from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values import atomic
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import Progress

Bar = Callable[[], contextlib.AbstractContextManager[Progress | None]]

_OF_GRAPH = ("input", "outputs", "allow_unsafe_ops", "progress")


def add(commands: Any, bar: Bar) -> None:
    """Add both commands."""
    says = "make the int8 graph of a float32 one"
    command: argparse.ArgumentParser = commands.add_parser("quantize", help=says, description=says)
    command.set_defaults(run=lambda asked: _quantize(asked, bar))
    batches, quantize = modelzoo_runner.calibration_batches, modelzoo_runner.quantize
    command.add_argument(
        "model", help="a model's name, or the path of a frozen graph (.pb) or of a preset (.toml)"
    )
    command.add_argument("--out", metavar="FILE", required=True, help="the int8 graph to write")
    weights = options.described(modelzoo_runner.benchmark)["weights"].replace("`", "")
    command.add_argument("--weights", metavar="NAME", default="pretrained", help=weights)
    command.add_argument(
        "--data-location", metavar="PATH", help=options.described(batches)["data_location"]
    )
    options.add(command, batches, leave_out=("progress",))
    options.add(command, quantize, leave_out=_OF_GRAPH)

    says = "tell what of a graph is int8, and compare it with the float32 one"
    report = commands.add_parser("int8-report", help=says, description=says)
    report.set_defaults(run=_report)
    report.add_argument("graph", help="path of a frozen graph (.pb)")
    options.add(report, modelzoo_runner.int8_report, leave_out=("batch",))


def _quantize(asked: argparse.Namespace, bar: Bar) -> None:
    given = vars(asked).copy()
    del given["run"]
    model, weights, out = given.pop("model"), given.pop("weights"), given.pop("out")
    recipe = {name: given.pop(name) for name in ("per_channel", "ranges", "exclude")}
    tensors = {name: given[name] for name in ("input", "outputs", "allow_unsafe_ops")}
    path = atomic.target("out", out)
    request = Request(kind="benchmark", weights=weights, **tensors)
    with bar() as progress:
        batches = modelzoo_runner.calibration_batches(model, progress=progress, **given)
        preset, request = planner.preset_for(model, request)
        plan = planner.plan(preset, request, Context(offline=given["offline"], progress=progress))
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
    print(modelzoo_runner.int8_report(path, batch=next(again), **tensors))


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic.writing(path) as file:
            file.write(content)
    except OSError as error:
        raise RequestError(f"out={str(path)!r}: can't be written: {error.strerror}") from None


def _report(asked: argparse.Namespace) -> None:
    given = vars(asked).copy()
    del given["run"]
    print(modelzoo_runner.int8_report(given.pop("graph"), **given))
