"""The command `run`: the original pipeline's parameters, or all runs that are recommended."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import modelzoo_runner
from modelzoo_runner.cli import options
from modelzoo_runner.errors import RequestError, RunnerError
from modelzoo_runner.legacy import pipeline
from modelzoo_runner.legacy import run as original
from modelzoo_runner.planning.recommended import recommended
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.values.progress import Progress

Bar = Callable[[], contextlib.AbstractContextManager[Progress | None]]
Show = Callable[[Result | SweepResult, "str | None"], None]

ALL = "all"

OF_EACH_RUN = ("model_name", "batch_size", "benchmark_or_accuracy", "data_location")
"""Parameters that a recommended run has of its own."""


def add_run(commands: Any, bar: Bar, show: Show) -> None:
    """Add `run` to the commands."""
    says = "run a model by the original pipeline's parameters, or all that is recommended"
    command: argparse.ArgumentParser = commands.add_parser("run", help=says, description=says)
    command.set_defaults(run=lambda asked: _run(asked, bar, show))
    options.add(command, original.run, leave_out=())
    # What wasn't given is left to the function, whose defaults the help shows.
    command.set_defaults(**dict.fromkeys(pipeline.PARAMETERS))
    command.add_argument("--json", metavar="FILE", help="save the result, or all of them, there")
    table = command.add_argument_group(
        "all recommended runs in one table",
        "with --precision, --socket-id, --extra-model-args and --docker-image for all of them",
    )
    table.add_argument(
        "--best-known", metavar="MODEL", help=f"do the recommended runs of a model, or of `{ALL}`"
    )
    table.add_argument(
        "--weights",
        metavar="NAME|PATH",
        help="the graphs of all: pretrained (the default) or random",
    )
    for name, what in (("imagenet", "classifiers"), ("coco", "detectors")):
        table.add_argument(
            f"--{name}", metavar="PATH", help=f"data of the {what}; without it none is scored"
        )


def _run(asked: argparse.Namespace, bar: Bar, show: Show) -> None:
    given = {
        name: value for name in pipeline.PARAMETERS if (value := getattr(asked, name)) is not None
    }
    if asked.best_known is None:
        for name in ("weights", "imagenet", "coco"):
            if getattr(asked, name) is not None:
                raise RequestError(_only(name))
        show(original.run(**given), asked.json)
        return
    runs = _runs(asked, given)
    with bar() as progress:
        found = modelzoo_runner.sweep(runs, progress=progress)
    show(found, asked.json)
    if found.failures:
        raise RunnerError(f"{len(found.failures)} of {len(found)} runs failed")


def _runs(asked: argparse.Namespace, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recommended runs as calls of the verbs."""
    own = [name for name in OF_EACH_RUN if name in given]
    if own:
        raise RequestError(
            f"{own[0]}={given[own[0]]!r}: each recommended run has its own; leave it out with "
            "--best-known, and give data as --imagenet and --coco"
        )
    model = None if asked.best_known == ALL else asked.best_known
    calls = []
    for run in recommended(
        model, given.get("precision"), imagenet=asked.imagenet or "", coco=asked.coco or ""
    ):
        call = pipeline.translate(**{**given, **run})
        weights = {} if asked.weights is None else {"weights": asked.weights}
        calls.append({"verb": call.verb, "model": call.model, **call.arguments, **weights})
    return calls


def _only(name: str) -> str:
    instead = {"weights": '--extra-model-args "weights=..."'}.get(name, "--data-location")
    return f"{name}: goes with --best-known; of a single run it is {instead}"
