"""What commands print and save: results, and progress bars."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, TypeVar

from modelzoo_runner.errors import Interrupted, RunnerError, visible
from modelzoo_runner.results import saved
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.values import atomic
from modelzoo_runner.values.progress import COUNTS, Progress

Value = TypeVar("Value", bound=Exportable)


def run(
    do: Callable[[Progress | None], Value],
    json: str | None,
    *,
    csv: str | None = None,
    html: str | None = None,
) -> Value:
    """Do it with a progress bar, save what came of it to the files given, print and return it.

    Raises:
        RequestError: `json` can't be written; nothing has been run.
        Interrupted: Ctrl-C; the partial result has been saved and printed.
        RunnerError: runs of a sweep failed.
    """
    for name, path in (("json", json), ("csv", csv), ("html", html)):
        if path is not None and path != "-":
            atomic.target(name, path)
    try:
        with bar() as progress:
            found = do(progress)
    except Interrupted as interrupted:
        show(interrupted.result, json, csv, html)
        raise
    show(found, json, csv, html)
    if isinstance(found, SweepResult) and found.failures:
        raise RunnerError(f"{len(found.failures)} of {len(found)} runs failed")
    return found


def show(
    result: Exportable, json: str | None, csv: str | None = None, html: str | None = None
) -> None:
    """Save the result, then print it: what is printed may go to a pipe that has been closed.

    A file may be `-` for standard output; the page then goes to standard error. What can't be
    written doesn't keep the rest from being written, nor the page from being printed.
    """
    makers: tuple[tuple[str | None, Callable[[], str]], ...] = (
        (json, result.json_text),
        (csv, result.csv_text),
        (html, lambda: getattr(result, "_repr_html_", lambda: "")()),
    )
    with contextlib.ExitStack() as last:
        page = sys.stderr if "-" in (json, csv, html) else sys.stdout
        last.callback(print_page, str(result), page)
        for path, text in makers:
            if path is not None:
                last.callback(write, text(), path)


def say(value: object) -> None:
    """Print the text of a value on standard output, as all commands do."""
    print_page(str(value), sys.stdout)


def print_page(text: str, stream: TextIO | None) -> None:
    """Print text; control characters, and letters that the encoding doesn't have, are escaped.

    Raises:
        BrokenPipeError: nobody reads any more.
        RunnerError: it can't be written, as to a full disk.
    """
    if stream is None:  # closed before the command began
        return
    encoding = stream.encoding or "utf-8"
    text = visible(text)
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise RunnerError(f"the page can't be printed: {error.strerror or error}") from None


def write(text: str, path: str) -> None:
    """Write text to a file, or to standard output if the path is `-`.

    Raises:
        ResultError: the file can't be written; says why.
    """
    if path == "-":
        saved.write_text(visible(text) if sys.stdout.isatty() else text, "/dev/stdout")
        return
    saved_to(saved.write_text(text, path))


def saved_to(where: object) -> None:
    """Say so on standard error."""
    # Standard error may be closed; the file is what matters.
    with contextlib.suppress(OSError, ValueError, RunnerError):
        print_page(f"saved to {where}", sys.stderr)


@contextlib.contextmanager
def bar() -> Iterator[Progress | None]:
    """A progress callback that draws a bar for each thing counted; `None` without a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def tell(name: str, done: int, total: int | None) -> None:
        if name not in bars:
            for each in bars.values():
                each.close()
            is_bytes = name not in COUNTS
            bars[name] = tqdm(
                desc=visible(name),
                total=total,
                leave=False,
                unit="B" if is_bytes else "",
                unit_scale=is_bytes,
            )
        bars[name].update(done - bars[name].n)

    try:
        yield tell
    finally:
        for each in bars.values():
            each.close()
