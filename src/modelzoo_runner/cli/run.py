"""The commands that run models, and those that say which models and CPUs there are."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

import modelzoo_runner
from modelzoo_runner.api import ab, calls
from modelzoo_runner.cli import gates, options, output
from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.legacy import originals, pipeline
from modelzoo_runner.planning.recommended import recommended
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.values.progress import Told

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
    to: output.Table = output.PLAIN,
    fail_on: gates.FailOn = None,
    **given: Any,
) -> None:
    """Measure how fast a model runs here.

    Args:
        fail_on: exit with 4 where the verdict is invalid, or at least noisy; --strict refuses what
            is invalid anyway.
    """
    found = output.run(
        lambda progress: modelzoo_runner.benchmark(model, **given, progress=progress), to
    )
    gates.check(found, fail_on or ("invalid" if given.get("strict") else None))


@options.like(
    modelzoo_runner.max_rate,
    modelzoo_runner.benchmark,
    leave_out=(*ab.NOT_OF_A_SIDE, "shared"),
)
def max_rate(
    model: str,
    /,
    *,
    latency_p99: float,
    offline: bool = False,
    to: output.Page = output.PLAIN,
    **given: Any,
) -> None:
    """Find how many queries a second a model serves in time.

    Args:
        offline: never touch the network.
    """
    output.run(
        lambda progress: modelzoo_runner.max_rate(
            model, latency_p99=latency_p99, offline=offline, progress=progress, **given
        ),
        to,
    )


@options.like(modelzoo_runner.accuracy)
def accuracy(model: str, /, *, to: output.Table = output.PLAIN, **given: Any) -> None:
    """Score a model on labelled data."""
    found = output.run(
        lambda progress: modelzoo_runner.accuracy(model, **given, progress=progress), to
    )
    gates.check(found, None)


@options.like(modelzoo_runner.doctor)
def doctor(model: str, /, *, to: output.Table = output.PLAIN, **given: Any) -> None:
    """Look for mistakes on a few images before a long run."""
    found = output.run(
        lambda progress: modelzoo_runner.doctor(model, **given, progress=progress), to
    )
    if found.errors:
        raise DataError("; ".join(each.what for each in found.errors))


@options.like(modelzoo_runner.sweep)
def sweep(
    runs: options.File,
    /,
    *,
    to: output.Table = output.PLAIN,
    fail_on: gates.FailOn = None,
    **given: Any,
) -> None:
    """Do many runs and print one table.

    Args:
        runs: a TOML file with tables [[runs]], or one table [grid] (see docs/scaling.md).
        fail_on: exit with 4 where a verdict is invalid, or at least noisy.
    """
    found = output.run(
        lambda progress: modelzoo_runner.sweep(calls.read(runs), **given, progress=progress),
        to,
    )
    gates.check(found, fail_on)


@options.like(pipeline.run)
def run(
    *,
    to: output.Table = output.PLAIN,
    best_known: Annotated[str | None, Parameter(group=_TABLE)] = None,
    weights: Annotated[str | None, Parameter(group=_TABLE)] = None,
    imagenet: Annotated[str | None, Parameter(group=_TABLE)] = None,
    coco: Annotated[str | None, Parameter(group=_TABLE)] = None,
    **given: Any,
) -> None:
    """Do a run of the original pipeline, or all recommended ones.

    Args:
        best_known: do the recommended runs of this model, or of all.
        weights: the graphs of all runs: pretrained (the default), random or a path.
        imagenet: data of the classifiers; without it none is scored.
        coco: data of the detectors; without it none is scored.
    """
    if best_known is not None:
        calls = _calls(best_known, weights, given, imagenet=imagenet or "", coco=coco or "")
        output.run(lambda progress: _sweep(calls, progress), to)
        return
    for name, value in (("weights", weights), ("imagenet", imagenet), ("coco", coco)):
        if value is not None:
            instead = '--extra-model-args "weights=..."' if name == "weights" else "--data-location"
            raise RequestError(f"{name}: goes with --best-known; of a single run it is {instead}")
    output.run(lambda _: pipeline.run(**given), to)


def _calls(
    best_known: str, weights: str | None, given: Mapping[str, Any], **data: str
) -> list[pipeline.Call]:
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
        call = pipeline.translate(**{**given, **each})
        found.append(dataclasses.replace(call, arguments={**call.arguments, **chosen}))
    return found


def _sweep(calls: Sequence[pipeline.Call], progress: Told) -> SweepResult:
    """The outcomes of the calls; the notes of each are warnings of its result."""
    runs = [{"verb": each.verb, "model": each.model, **each.arguments} for each in calls]
    found = modelzoo_runner.sweep(runs, progress=progress)
    outcomes = tuple(
        dataclasses.replace(each, warnings=(*map(str, call.notes), *each.warnings))
        if isinstance(each, Result)
        else each
        for call, each in zip(calls, found, strict=False)
    )
    return dataclasses.replace(found, outcomes=outcomes)


def translate(
    command: str,
    /,
    *,
    release: str = originals.NEWEST,
    run: bool = False,
    to: output.Output = output.PLAIN,
) -> None:
    """Translate old launch_benchmark.py commands.

    With --run, --json saves the result of the command instead of its translation.

    Args:
        command: the command in quotes, or the path of a shell script (.sh).
        release: the release of the Model Zoo that it is of; its defaults are taken.
        run: run it, too.
    """
    is_path = command.endswith(".sh") and "\n" not in command and " -" not in command
    found = modelzoo_runner.from_launch_command(
        Path(command) if is_path else command, release=release
    )
    calls = found if isinstance(found, list) else [found]
    page = "\n\n".join(_page(call, is_one=len(calls) == 1) for call in calls)
    if not run:
        output.show(calls, to, page)
        return
    if to.json is not None and len(calls) > 1:
        raise RequestError(
            f"json: with --run it goes with a single command, and there are {len(calls)}"
        )
    output.show(None, dataclasses.replace(to, json=None), page)
    for call in calls:
        output.run(call.run, to)


def _page(call: pipeline.Call, *, is_one: bool) -> str:
    """A call in Python and in shell, and its notes as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = [str(call) if is_one else f"# line {call.line}\n{call}", call.shell()]
    if not call.notes:
        return "\n".join((*found, "Nothing means another thing than it did."))
    table = Table("was", "is", "why", box=box.SIMPLE_HEAD)
    for note in call.notes:
        table.add_row(Text(note.was), Text(note.now), Text(note.why))
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    console = Console(width=width, color_system=None)
    with console.capture() as printed:
        console.print(table)
    return "\n".join((*found, _without_padding(printed.get())))


def _without_padding(page: str) -> str:
    """Lines without spaces at their ends, and no empty ones."""
    return "\n".join(filter(None, (line.rstrip() for line in page.splitlines())))


def models(*, verify: bool = False, to: output.Output = output.PLAIN) -> None:
    """List the models.

    Args:
        verify: ask every location of every model instead.
    """
    if verify:
        from modelzoo_runner.cli import storage

        storage.verify_models(to)
        return
    from rich.console import Console
    from rich.table import Table

    presets = modelzoo_runner.models()
    table = Table(box=None, pad_edge=False)
    for name in ("model", "precisions", "batches"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it is")
    for preset in presets.values():
        table.add_row(
            preset.name,
            " ".join(preset.precisions),
            " ".join(map(str, preset.batch_sizes)),
            preset.description,
        )
    console = Console(color_system=None)
    with console.capture() as page:
        console.print(table)
    output.show(presets, to, _without_padding(page.get()))


def machine(*, to: output.Output = output.PLAIN) -> None:
    """Show the CPUs here and which of them may be used."""
    output.show(modelzoo_runner.machine(), to)
