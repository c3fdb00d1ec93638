"""What commands print and save."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TextIO, TypeVar

from cyclopts import Group, Parameter

from modelzoo_runner.cli import options, terminal
from modelzoo_runner.errors import Interrupted, RequestError, RunnerError, visible
from modelzoo_runner.execution import stopping
from modelzoo_runner.results import saved
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.values import atomic, codec, markup, remote
from modelzoo_runner.values.progress import Told

Value = TypeVar("Value", bound=Exportable)


def _check_file(_: Any, value: str | None) -> None:
    if value is not None and value.startswith("-") and value != "-":
        raise ValueError(f"{value!r} is an option where a file should be")


def _file(said: str) -> Parameter:
    return Parameter(
        help=f"{said} to this file; - for standard output.",
        metavar="FILE",
        converter=options.word,
        allow_leading_hyphen=True,
        validator=_check_file,
    )


_PANEL = Group("Output", sort_key=7)

Quiet = Annotated[
    bool,
    Parameter(
        show_default=False,
        group=_PANEL,
        help="print errors alone, no result and no progress.",
    ),
]


@Parameter(name="*", group=_PANEL)
@dataclass(frozen=True, kw_only=True)
class Output:
    """Where what a command found goes, besides being printed."""

    json: Annotated[options.File | None, _file("save what was found as JSON")] = None
    quiet: Quiet = False

    @property
    def progress(self) -> Told:
        """What the library's functions take: bars where somebody sees them."""
        return False if self.quiet else None

    @property
    def files(self) -> dict[str, str]:
        """The files asked for, by the name of the option."""
        names = ("json", "csv", "html")
        given = {name: getattr(self, name, None) for name in names}
        return {name: path for name, path in given.items() if path is not None}


@Parameter(name="*", group=_PANEL)
@dataclass(frozen=True, kw_only=True)
class Table(Output):
    """Of a command whose result has rows."""

    csv: Annotated[options.File | None, _file("save it as rows of CSV")] = None


@Parameter(name="*", group=_PANEL)
@dataclass(frozen=True, kw_only=True)
class Page(Table):
    """Of a command whose result has a page of its own."""

    html: Annotated[options.File | None, _file("save it as a page of HTML")] = None


PLAIN = Page()
"""To be printed, and no more."""


def run(do: Callable[[Told], Value], to: Output) -> Value:
    """Do it, save what came of it, print and return it.

    Raises:
        RequestError: a file can't be written; nothing has been run.
        Interrupted: Ctrl-C; the partial result has been saved and printed.
        RunnerError: runs of a sweep failed.
    """
    for name, path in to.files.items():
        if remote.scheme_of(path) == "memory":
            raise RequestError(f"{name}={path!r}: memory:// ends with the command; give a file")
        if path != "-":
            atomic.target(name, path)
    try:
        with stopping.kept(lambda partial: show(partial, to)):
            found = do(to.progress)
    except Interrupted as interrupted:
        show(interrupted.result, to)
        raise
    show(found, to)
    if isinstance(found, SweepResult) and found.failures:
        raise RunnerError(f"{len(found.failures)} of {len(found)} runs failed")
    return found


def show(value: Any, to: Output, page: str | None = None) -> None:
    """Save what was found, then print it: what is printed may go to a pipe that has been closed.

    A file may be `-` for standard output; the page then goes to standard error. What can't be
    written doesn't keep the rest from being written, nor the page from being printed.

    Args:
        value: a result, or plain values and dataclasses.
        to: where it goes.
        page: what is printed, if it isn't `str(value)`.
    """
    with contextlib.ExitStack() as last:
        if not to.quiet and page != "":
            stream = sys.stderr if "-" in to.files.values() else sys.stdout
            last.callback(print_page, str(value) if page is None else page, stream)
        for name, path in to.files.items():
            last.callback(write, _MAKERS[name](value), path, quiet=to.quiet)


def _json(value: Any) -> str:
    if isinstance(value, Exportable):
        return value.json_text()

    def plain(other: Any) -> Any:
        """A path as text, and a number of numpy's as Python's."""
        return other.item() if hasattr(other, "item") else str(other)

    return json.dumps(codec.to_dict(value), indent=1, default=plain) + "\n"


_MAKERS: dict[str, Callable[[Any], str]] = {
    "json": _json,
    "csv": lambda value: value.csv_text(),
    "html": lambda value: markup.page(value._repr_html_()),
}


def print_page(text: str, stream: TextIO | None) -> None:
    """Print text.

    Raises:
        BrokenPipeError: nobody reads any more.
        RunnerError: it can't be written, as to a full disk.
    """
    if stream is None:  # closed before the command began
        return
    try:
        terminal.print_page(text, stream)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise RunnerError(f"the page can't be printed: {error.strerror or error}") from None


def write(text: str, path: str, *, quiet: bool = False) -> None:
    """Write text to a file, or to standard output if the path is `-`.

    Raises:
        ResultError: the file can't be written; says why.
    """
    if path == "-":
        saved.write_text(visible(text) if sys.stdout.isatty() else text, "/dev/stdout")
        return
    where = saved.write_text(text, path)
    if not quiet:
        saved_to(where)


def saved_to(where: object) -> None:
    """Say so on standard error."""
    # Standard error may be closed; the file is what matters.
    with contextlib.suppress(OSError, ValueError, RunnerError):
        print_page(f"saved to {where}", sys.stderr)
