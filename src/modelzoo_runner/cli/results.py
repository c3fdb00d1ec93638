"""The commands for saved results: `show`, `report`, and `history`, which keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts import App

import modelzoo_runner
from modelzoo_runner.api import history as api
from modelzoo_runner.cli import gates, options, output
from modelzoo_runner.results import frames
from modelzoo_runner.results.export import Exportable


def show(results: list[str], /, *, csv: options.Json = None) -> None:
    """Print saved results.

    Args:
        results: files that --json wrote.
        csv: save a row for each result to this file; - for standard output.
    """
    found = [modelzoo_runner.load(path, Exportable) for path in results]
    if csv is not None:
        rows = [row for each in found for row in each.rows()]
        output.write(frames.csv_text(rows), csv)
    page = "\n\n".join(map(str, found))
    output.print_page(page, sys.stderr if csv == "-" else sys.stdout)


def report(results: list[str], /, *, out: str = "report.html", title: str = "Results") -> None:
    """Write saved results as one HTML page.

    Args:
        results: files that --json wrote, or a history's.
        out: the file to write.
        title: of the page.
    """
    output.saved_to(modelzoo_runner.report(results, out, title=title))


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
        output.say(f"{each}: {kept.add(each, label=label)} new")


@history.command(name="show")
def history_show(
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
    output.print_page(page, sys.stderr if csv == "-" else sys.stdout)


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
    output.say("no regression")
