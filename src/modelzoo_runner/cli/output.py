"""What commands print and save: results, and progress bars."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from modelzoo_runner.errors import Interrupted, RunnerError
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.values import atomic
from modelzoo_runner.values.progress import COUNTS, Progress


def run(do: Callable[[Progress | None], Result | SweepResult], json: str | None) -> None:
    """Do it with a progress bar, save what came of it to `json` and print it.

    Raises:
        RequestError: `json` can't be written; nothing has been run.
        Interrupted: Ctrl-C; the partial result has been saved and printed.
        RunnerError: runs of a sweep failed.
    """
    if json is not None and json != "-":
        atomic.target("json", json)
    try:
        with bar() as progress:
            found = do(progress)
    except Interrupted as interrupted:
        show(interrupted.result, json)
        raise
    show(found, json)
    if isinstance(found, SweepResult) and found.failures:
        raise RunnerError(f"{len(found.failures)} of {len(found)} runs failed")


def show(result: Result | SweepResult, json: str | None) -> None:
    """Save the result, then print it: what is printed may go to a pipe that has been closed.

    `json` may be `-` for standard output; the page then goes to standard error. If the file can't
    be written, the page is printed all the same.
    """
    try:
        if json == "-":
            result.save("/dev/stdout")
        elif json is not None:
            print(f"saved to {result.save(json)}", file=sys.stderr)
    finally:
        print(result, file=sys.stderr if json == "-" else sys.stdout, flush=True)


@contextlib.contextmanager
def bar() -> Iterator[Progress | None]:
    """A progress callback that draws a bar for each thing counted; `None` without a terminal."""
    if not sys.stderr.isatty():
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
        for each in bars.values():
            each.close()
