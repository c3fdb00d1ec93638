"""The same verbs as a command: `modelzoo-runner benchmark resnet50 --weights random`.

Exit codes: 0 done, 2 bad request, 1 failure, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import modelzoo_runner
from modelzoo_runner.api import calls
from modelzoo_runner.cli import (
    int8 as cli_int8,
)
from modelzoo_runner.cli import (
    legacy as cli_original,
)
from modelzoo_runner.cli import (
    options,
)
from modelzoo_runner.cli import (
    storage as cli_storage,
)
from modelzoo_runner.errors import Interrupted, PresetError, RequestError, RunnerError
from modelzoo_runner.results import sweep as sweep_results
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.values.progress import COUNTS, Progress

DONE, FAILURE, BAD_REQUEST, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for and return the exit code."""
    # SIGTERM, as a batch system sends it, ends a run as Ctrl-C does: with what has been measured.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = _parser().parse_args(arguments)
    try:
        asked.run(asked)
    except Interrupted as interrupted:
        _show(interrupted.result, asked.json)
        return INTERRUPTED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except RunnerError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return BAD_REQUEST if isinstance(error, (RequestError, PresetError)) else FAILURE
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelzoo-runner", description=modelzoo_runner.__doc__.splitlines()[0]
    )
    parser.add_argument("--version", action="version", version=modelzoo_runner.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, says in (
        ("benchmark", modelzoo_runner.benchmark, "measure how fast a model runs here"),
        ("accuracy", modelzoo_runner.accuracy, "score a model on labelled data"),
    ):
        command = _command(commands, name, says, _run_model(function))
        command.add_argument("model", help=options.described(modelzoo_runner.benchmark)["model"])
        command.add_argument("--json", metavar="FILE", help="save the result there")
        options.add(command, function, leave_out=("progress",))
    cli_original.add_run(commands, _bar, _show)
    command = _command(commands, "sweep", "do many runs, and print one table", _sweep)
    command.add_argument(
        "runs",
        metavar="FILE",
        help="TOML: tables [[runs]], or one table [grid] (see docs/scaling.md)",
    )
    command.add_argument("--json", metavar="FILE", help="save the results there")
    options.add(command, modelzoo_runner.sweep, leave_out=("progress",))
    command = _command(commands, "models", "list the models", _models)
    command.add_argument(
        "--verify", action="store_true", help="ask every location of every model instead"
    )
    cli_storage.add_cache(commands, _bar)
    command = _command(commands, "machine", "show the CPUs here and what may be used", _machine)
    command = _command(commands, "inspect", "describe a frozen graph on one page", _inspect)
    command.add_argument("graph", help="path of a frozen graph (.pb)")
    cli_int8.add(commands, _bar)
    _add_convert(commands)
    _add_score(commands)
    command = _command(commands, "show", "print saved results", _show_saved)
    command.add_argument("results", nargs="+", metavar="FILE")
    command = _command(commands, "compare", "compare two saved results", _compare)
    command.add_argument("first")
    command.add_argument("second")
    return parser


def _command(
    commands: Any, name: str, says: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=says, description=says)
    command.set_defaults(run=run)
    return command


def _add_convert(commands: Any) -> None:
    says = "convert a folder of images to TFRecords"
    command: argparse.ArgumentParser = commands.add_parser("convert", help=says, description=says)
    kinds = command.add_subparsers(required=True, metavar="KIND")
    for name, function, places in (
        ("imagenet", modelzoo_runner.convert_imagenet, ("images", "labels", "out")),
        ("coco", modelzoo_runner.convert_coco, ("images", "annotations", "out")),
    ):
        kind = _command(kinds, name, says, _convert(function, places))
        _add_places(kind, function, places)
        options.add(kind, function, leave_out=("progress",))


def _add_score(commands: Any) -> None:
    function, places = modelzoo_runner.score_detections, ("detections", "annotations")
    says = "score saved detections by COCO's rules, without running anything"
    command = _command(commands, "score", says, _score)
    _add_places(command, function, places)
    options.add(command, function, leave_out=())


def _add_places(
    command: argparse.ArgumentParser, function: Callable[..., object], places: Sequence[str]
) -> None:
    """The function's positional arguments, with the words of its docstring."""
    said = options.described(function)
    for place in places:
        command.add_argument(place, help=said[place])


def _run_model(function: Callable[..., Result]) -> Callable[[argparse.Namespace], None]:
    def run(asked: argparse.Namespace) -> None:
        given = vars(asked).copy()
        model, path = given.pop("model"), given.pop("json")
        del given["run"]
        with _bar() as progress:
            result = function(model, **given, progress=progress)
        _show(result, path)

    return run


def _sweep(asked: argparse.Namespace) -> None:
    with _bar() as progress:
        found = modelzoo_runner.sweep(
            calls.read(asked.runs),
            client=asked.client,
            checkpoint=asked.checkpoint,
            progress=progress,
        )
    _show(found, asked.json)
    if found.failures:
        raise RunnerError(f"{len(found.failures)} of {len(found)} runs failed")


def _show(result: Result | SweepResult, path: str | None) -> None:
    # Printed before it is saved: a path that can't be written doesn't cost the numbers.
    print(result)
    if path is not None:
        print(f"saved to {result.save(path)}", file=sys.stderr)


def _models(asked: argparse.Namespace) -> None:
    if asked.verify:
        cli_storage.verify_models()
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in ("model", "precisions", "batches"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it is")
    for preset in modelzoo_runner.models().values():
        runs = [each for runs in preset.run.values() for each in runs.values()]
        batches = sorted({run.batch_size for run in runs}, reverse=True)
        table.add_row(
            preset.name,
            " ".join(preset.precisions),
            " ".join(str(each) for each in batches),
            preset.description,
        )
    Console().print(table)


def _machine(asked: argparse.Namespace) -> None:
    print(modelzoo_runner.machine())


def _inspect(asked: argparse.Namespace) -> None:
    from modelzoo_runner.backends.tensorflow import inspect

    print(inspect.inspect_graph(asked.graph))


def _convert(
    function: Callable[..., object], places: Sequence[str]
) -> Callable[[argparse.Namespace], None]:
    def run(asked: argparse.Namespace) -> None:
        given = vars(asked).copy()
        del given["run"]
        where = [given.pop(place) for place in places]
        with _bar() as progress:
            tell = None if progress is None else functools.partial(progress, "images")
            report = function(*where, **given, progress=tell)
        print(report)

    return run


def _score(asked: argparse.Namespace) -> None:
    scores = modelzoo_runner.score_detections(
        asked.detections, asked.annotations, legacy=asked.legacy, iou_type=asked.iou_type
    )
    print(scores)


def _show_saved(asked: argparse.Namespace) -> None:
    print("\n\n".join(str(sweep_results.load_any(path)) for path in asked.results))


def _compare(asked: argparse.Namespace) -> None:
    print(
        modelzoo_runner.compare(
            modelzoo_runner.load(asked.first), modelzoo_runner.load(asked.second)
        )
    )


@contextlib.contextmanager
def _bar() -> Iterator[Progress | None]:
    """A progress callback that draws a bar for each thing counted; `None` where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def tell(name: str, done: int, total: int | None) -> None:
        if name not in bars:
            for bar in bars.values():
                bar.close()
            is_bytes = name not in COUNTS
            bars[name] = tqdm(
                desc=name,
                total=total,
                leave=False,
                unit="B" if is_bytes else "",
                unit_scale=is_bytes,
            )
        bars[name].update(done - bars[name].n)

    try:
        yield tell
    finally:
        for bar in bars.values():
            bar.close()
