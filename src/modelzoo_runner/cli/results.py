"""The commands for saved results: `show`, `report`, and `history`, which keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import App

import modelzoo_runner
from modelzoo_runner.api import history as api
from modelzoo_runner.cli import gates, options, output
from modelzoo_runner.results import frames
from modelzoo_runner.results.export import Exportable


@dataclass(frozen=True)
class _Several(Exportable):
    """What is at hand of several results, to be printed and saved together."""

    record: Any
    table: list[frames.Row]
    page: str

    def to_dict(self) -> Any:
        return self.record

    def rows(self) -> list[frames.Row]:
        return self.table

    def __str__(self) -> str:
        return self.page


def show(results: list[options.File], /, *, to: output.Table = output.PLAIN) -> None:
    """Print saved results.

    Args:
        results: files that --json wrote.
    """
    found = [modelzoo_runner.load(path, Exportable) for path in results]
    records = [each.to_dict() for each in found]
    rows = [row for each in found for row in each.rows()]
    page = "\n\n".join(map(str, found))
    output.show(_Several(records[0] if len(records) == 1 else records, rows, page), to)


def report(
    results: list[options.File],
    /,
    *,
    out: options.File = "report.html",
    title: str = "Results",
    quiet: output.Quiet = False,
) -> None:
    """Write saved results as one HTML page.

    Args:
        results: files that --json wrote, or a history's.
        out: the file to write.
        title: of the page.
    """
    where = modelzoo_runner.report(results, out, title=title)
    if not quiet:
        output.saved_to(where)


history = App(name="history", help="Keep results over time and find regressions.")


@history.command
def add(
    file: options.File,
    results: list[options.File],
    /,
    *,
    label: str = "",
    to: output.Output = output.PLAIN,
) -> None:
    """Add saved results.

    Args:
        file: the history; it is made if it isn't there.
        results: files that --json wrote.
        label: what they are added under, such as a commit.
    """
    kept = api.History(file)
    added = {each: kept.add(each, label=label) for each in results}
    output.show(added, to, "\n".join(f"{each}: {count} new" for each, count in added.items()))


@history.command(name="show")
def history_show(
    file: options.File,
    model: str | None = None,
    /,
    *,
    plot: options.File | None = None,
    to: output.Table = output.PLAIN,
) -> None:
    """Print all results, or those of one model, and the changes in each series.

    Args:
        file: the history.
        model: the name of one model.
        plot: draw the throughput of each series to this file (.png, .svg, .pdf).
    """
    kept = api.History(file)
    page = "\n".join((kept.table(model), *(str(c) for t in kept.trend(model) for c in t.changes)))
    if plot is not None:
        kept.plot(model).savefig(Path(plot).expanduser())
    output.show(_Several(kept.to_dict(model), kept.rows(model), page), to)


@history.command
def check(
    file: options.File,
    model: str | None = None,
    /,
    *,
    min_effect: gates.Share = api.MIN_EFFECT,
    to: output.Output = output.PLAIN,
) -> None:
    """Exit with 3 if a model is slower now than before.

    Args:
        file: the history.
        model: the name of one model.
        min_effect: the smallest change of speed that matters.
    """
    found = api.History(file).regressions(model, min_effect=min_effect)
    output.show(found, to, "" if found else "no regression")
    if found:
        raise gates.Regressed("\n".join(map(str, found)))
