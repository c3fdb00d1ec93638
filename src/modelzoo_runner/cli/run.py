"""The commands that run models: `benchmark`, `accuracy`, `run` and `sweep`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Group, Parameter

import modelzoo_runner
from modelzoo_runner.api import calls
from modelzoo_runner.cli import gates, options, output
from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.legacy import pipeline
from modelzoo_runner.planning.recommended import recommended

ALL = "all"

OF_EACH_RUN = ("model_name", "batch_size", "benchmark_or_accuracy", "data_location")
"""Parameters that a recommended run has of its own."""

_TABLE = Group(
    "All recommended runs in one table",
    help="With --precision, --socket-id, --extra-model-args and --docker-image for all of them.",
    sort_key=9,
)


@options.like(modelzoo_runner.benchmark)
def benchmark(
    model: str,
    /,
    *,
    json: options.Json = None,
    csv: options.Json = None,
    fail_on: gates.FailOn = None,
    **given: Any,
) -> None:
    """Measure how fast a model runs here.

    Args:
        json: save the result to this file before it is printed; - for standard output.
        csv: save it as a row of CSV to this file; - for standard output.
        fail_on: exit with 4 where the verdict is invalid, or at least noisy; --strict refuses what
            is invalid anyway.
    """
    found = output.run(
        lambda progress: modelzoo_runner.benchmark(model, **given, progress=progress), json, csv=csv
    )
    gates.check(found, fail_on or ("invalid" if given.get("strict") else None))


@options.like(modelzoo_runner.accuracy)
def accuracy(
    model: str, /, *, json: options.Json = None, csv: options.Json = None, **given: Any
) -> None:
    """Score a model on labelled data.

    Args:
        json: save the result to this file before it is printed; - for standard output.
        csv: save it as a row of CSV to this file; - for standard output.
    """
    found = output.run(
        lambda progress: modelzoo_runner.accuracy(model, **given, progress=progress), json, csv=csv
    )
    gates.check(found, None)


@options.like(modelzoo_runner.doctor)
def doctor(
    model: str, /, *, json: options.Json = None, csv: options.Json = None, **given: Any
) -> None:
    """Look for mistakes on a few images before a long run.

    Args:
        json: save the findings to this file before they are printed; - for standard output.
        csv: save a row for each way that was tried to this file; - for standard output.
    """
    found = output.run(
        lambda progress: modelzoo_runner.doctor(model, **given, progress=progress), json, csv=csv
    )
    if found.errors:
        raise DataError("; ".join(each.what for each in found.errors))


@options.like(modelzoo_runner.sweep)
def sweep(
    runs: str,
    /,
    *,
    json: options.Json = None,
    csv: options.Json = None,
    fail_on: gates.FailOn = None,
    **given: Any,
) -> None:
    """Do many runs and print one table.

    Args:
        runs: a TOML file with tables [[runs]], or one table [grid] (see docs/scaling.md).
        json: save the results to this file before they are printed; - for standard output.
        csv: save a row for each run to this file; - for standard output.
        fail_on: exit with 4 where a verdict is invalid, or at least noisy.
    """
    found = output.run(
        lambda progress: modelzoo_runner.sweep(calls.read(runs), **given, progress=progress),
        json,
        csv=csv,
    )
    gates.check(found, fail_on)


@options.like(pipeline.run)
def run(
    *,
    json: options.Json = None,
    best_known: Annotated[str | None, Parameter(group=_TABLE)] = None,
    weights: Annotated[str | None, Parameter(group=_TABLE)] = None,
    imagenet: Annotated[str | None, Parameter(group=_TABLE)] = None,
    coco: Annotated[str | None, Parameter(group=_TABLE)] = None,
    **given: Any,
) -> None:
    """Do a run of the original pipeline, or all recommended ones.

    Args:
        json: save the result, or all of them, to this file; - for standard output.
        best_known: do the recommended runs of this model, or of all.
        weights: the graphs of all runs: pretrained (the default), random or a path.
        imagenet: data of the classifiers; without it none is scored.
        coco: data of the detectors; without it none is scored.
    """
    if best_known is not None:
        runs = _runs(best_known, weights, given, imagenet=imagenet or "", coco=coco or "")
        output.run(lambda progress: modelzoo_runner.sweep(runs, progress=progress), json)
        return
    for name, value in (("weights", weights), ("imagenet", imagenet), ("coco", coco)):
        if value is not None:
            instead = '--extra-model-args "weights=..."' if name == "weights" else "--data-location"
            raise RequestError(f"{name}: goes with --best-known; of a single run it is {instead}")
    output.run(lambda _: pipeline.run(**given), json)


def _runs(
    best_known: str, weights: str | None, given: Mapping[str, Any], **data: str
) -> list[dict[str, Any]]:
    """The recommended runs as calls of the verbs."""
    own = [name for name in OF_EACH_RUN if name in given]
    if own:
        raise RequestError(
            f"{own[0]}={given[own[0]]!r}: each recommended run has its own; leave it out with "
            "--best-known, and give data as --imagenet and --coco"
        )
    model = None if best_known == ALL else best_known
    chosen = {} if weights is None else {"weights": weights}
    found = []
    for each in recommended(model, given.get("precision"), **data):
        call = pipeline.translate(pipeline.Parameters(**{**given, **each}))
        found.append({"verb": call.verb, "model": call.model, **call.arguments, **chosen})
    return found
