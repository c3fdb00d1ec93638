"""The command `modelzoo-runner`: the list of its commands, exit codes and signals.

A command is a function with a signature and a docstring in the module of its group, and
a line in `COMMANDS`.
"""

# Little is imported here: Ctrl-C while the rest is loaded is met in main().
from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.execution import stopping

if TYPE_CHECKING:
    from cyclopts import App

DONE, FAILURE, BAD_REQUEST, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 bad request, 3 slower or lower than a gate allows, "
    "4 a gate can't be told, 130 interrupted."
)

COMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Run models": {
        "benchmark": ("run:benchmark", "Measure how fast a model runs here."),
        "max-rate": ("run:max_rate", "Find how many queries a second a model serves in time."),
        "accuracy": ("run:accuracy", "Score a model on labelled data."),
        "doctor": ("run:doctor", "Look for mistakes on a few images before a long run."),
        "run": ("run:run", "Do a run of the original pipeline, or all recommended ones."),
        "translate": (
            "run:translate",
            "Translate old launch_benchmark.py commands.",
        ),
        "sweep": ("run:sweep", "Do many runs and print one table."),
    },
    "Results": {
        "show": ("results:show", "Print saved results."),
        "report": ("results:report", "Write saved results as one HTML page."),
        "compare": ("compare:compare", "Compare two saved results or sweeps."),
        "compare-predictions": (
            "compare:compare_predictions",
            "Tell whether two accuracy runs really differ.",
        ),
        "ab": ("compare:ab", "Measure two or more ways to run a model in turns."),
        "runtimes": ("compare:runtimes", "Measure a model in each runtime and precision."),
        "tune": ("compare:tune", "Find the settings with which a model runs fastest here."),
        "history": ("results:history", "Keep results over time and find regressions."),
    },
    "Graphs": {
        "inspect": ("graphs:inspect", "Describe a frozen graph on one page."),
        "quantize": ("graphs:quantize", "Make the int8 graph of a float32 one."),
        "int8-report": ("graphs:int8_report", "Tell what of a graph is int8, and what it brings."),
    },
    "Data": {
        "convert": ("data:convert", "Convert a folder of images to TFRecords."),
        "score": ("data:score", "Score saved detections without running anything."),
        "cache": ("storage:cache", "Look after the files that were fetched."),
    },
    "What there is": {
        "models": ("run:models", "List the models."),
        "machine": ("run:machine", "Show the CPUs here and which of them may be used."),
        "completion": ("completion:completion", "Print or install the completion of a shell."),
    },
}
"""Panel of the help page -> command -> module in this room with the name in it; the first line of
its docstring, which is here too so that the page loads none of them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for and return the exit code."""
    _open_standard_streams()
    try:
        with stopping.watched(INTERRUPTED, is_last=arguments is None) as received:
            try:
                return _do(list(sys.argv[1:] if arguments is None else arguments))
            except KeyboardInterrupt as error:
                # What there is of a result has been printed then.
                return _interrupted(silent=hasattr(error, "result"))
            except BrokenPipeError:
                # Whoever read standard output has had enough; there is nobody to tell.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return FAILURE
            except Exception as error:  # noqa: BLE001 - raised again unless it is ours or Ctrl-C's
                # An interrupted import may raise anything.
                return _interrupted() if received else _failed(error)
    except KeyboardInterrupt:  # while the watch was being set up, or after it
        return _interrupted()


def _open_standard_streams() -> None:
    """Open what was closed (`>&-`), so that no file gets its number and what is printed there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _interrupted(*, silent: bool = False) -> int:
    if not silent:
        print("interrupted", file=sys.stderr)
    # If Ctrl-C ended code that a C extension ran, CPython remembers it and at last kills itself by
    # SIGINT in place of an exit code, unless other code is run in the same way.
    exec("")
    return INTERRUPTED


def _failed(error: Exception) -> int:
    from modelzoo_runner.errors import PresetError, RequestError, RunnerError

    if not isinstance(error, RunnerError):
        raise error
    _say(type(error).__name__, str(error))
    is_request = isinstance(error, (RequestError, PresetError))
    return getattr(error, "exit_code", BAD_REQUEST if is_request else FAILURE)


def _say(kind: str, message: str) -> None:
    from modelzoo_runner.cli import terminal

    # Standard error may be closed; the exit code is left.
    with contextlib.suppress(OSError, ValueError):
        terminal.print_error(kind, message, sys.stderr)


def _do(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from modelzoo_runner.machine import runtime_log

    app = build_app()
    try:
        command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command_line = " ".join(["modelzoo-runner", *(error.command_chain or ()), "--help"])
        _say("RequestError", f"{error} See `{command_line}`.")
        return BAD_REQUEST
    with runtime_log.held_back():
        command(*bound.args, **bound.kwargs)
    # Without a command there is its help page, but nothing has been done.
    is_help = command.__name__ == "help_print"
    return BAD_REQUEST if is_help and not {*arguments} & {*app.help_flags} else DONE


def build_app() -> App:
    """The command with all its subcommands."""
    from cyclopts import App, Group, Parameter

    import modelzoo_runner

    app = App(
        name="modelzoo-runner",
        help=f"{(modelzoo_runner.__doc__ or '').splitlines()[0]}\n\n{EXIT_CODES}",
        version=modelzoo_runner.__version__,
        help_format="plaintext",
        # Only an option that is on by itself can be switched off.
        default_parameter=Parameter(negative=()),
        group_parameters=Group("Options", sort_key=0),
    )
    for place, (title, commands) in enumerate(COMMANDS.items()):
        group = Group(title, sort_key=place)
        for order, (name, (target, summary)) in enumerate(commands.items()):
            app.command(
                f"modelzoo_runner.cli.{target}",
                name=name,
                help=summary,
                group=group,
                sort_key=order,
            )
    app["--help"].group = app["--version"].group = Group("Options", sort_key=len(COMMANDS))
    return app
