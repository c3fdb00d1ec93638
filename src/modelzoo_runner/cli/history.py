"""The command `history`: results kept over time in one file."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts import App

from modelzoo_runner.api import history as api
from modelzoo_runner.cli import gates, options, output
from modelzoo_runner.results import frames

history = App(name="history", help="Keep results over time and find regressions.")


@history.command
def add(file: str, results: list[str], /, *, label: str = "") -> None:
    """Add saved results.

    Args:
        file: the history; it is made if it isn't there.
        results: files that --json wrote.
        label: what they are added under, such as a commit.
    """
    kept = api.History(file)
    for each in results:
        print(f"{each}: {kept.add(each, label=label)} new")


@history.command
def show(
    file: str,
    model: str | None = None,
    /,
    *,
    csv: options.Json = None,
    plot: str | None = None,
) -> None:
    """Print all results, or those of one model, and the changes in each series.

    Args:
        file: the history.
        model: the name of one model.
        csv: save a row for each result to this file; - for standard output.
        plot: draw the throughput of each series to this file (.png, .svg, .pdf).
    """
    kept = api.History(file)
    page = "\n".join((kept.table(model), *(str(c) for t in kept.trend(model) for c in t.changes)))
    if csv is not None:
        output.write(frames.csv_text(kept.rows(model)), csv)
    if plot is not None:
        kept.plot(model).savefig(Path(plot).expanduser())
    print(page, file=sys.stderr if csv == "-" else sys.stdout, flush=True)


@history.command
def check(
    file: str, model: str | None = None, /, *, min_effect: gates.Share = api.MIN_EFFECT
) -> None:
    """Exit with 3 if a model is slower now than before.

    Args:
        file: the history.
        model: the name of one model.
        min_effect: the smallest change of speed that matters.
    """
    found = api.History(file).regressions(model, min_effect=min_effect)
    if found:
        raise gates.Regressed("\n".join(map(str, found)))
    print("no regression")
