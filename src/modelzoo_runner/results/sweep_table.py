"""How the outcomes of a sweep look: one line for each run, in text or in a notebook."""

from __future__ import annotations

import html as markup
from collections.abc import Sequence

from modelzoo_runner.results import table
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.results.sweep import Failure, Outcome, SweepResult

HEADER = ("run", "model", "precision", "batch", "CPUs", "trust", "result")


def text(sweep: SweepResult) -> str:
    """A header, a line for each outcome in aligned columns, and the warnings about the sweep."""
    rows = [HEADER, *(row(each) for each in sweep)]
    # The last column is as wide as it is: an error's words aren't cut.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = [
        "  ".join((*(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False)), last))
        for *cells, last in rows
    ]
    return "\n".join((*lines, *(f"warning: {said}" for said in sweep.warnings)))


def html(sweep: SweepResult) -> str:
    """The same as an HTML table."""
    head = _cells(HEADER, "th")
    body = "".join(_cells(row(each), "td") for each in sweep)
    said = "".join(f"<p>warning: {markup.escape(each)}</p>" for each in sweep.warnings)
    return f"<table>{head}{body}</table>{said}"


def row(outcome: Outcome) -> tuple[str, ...]:
    """The cells of one outcome, as `HEADER` names them."""
    if isinstance(outcome, Failure):
        asked = outcome.asked
        given = (str(asked.get(each, "")) for each in ("verb", "model", "precision", "batch_size"))
        return (*given, "", "failed", f"{outcome.error}: {' '.join(outcome.message.split())}")
    plan = outcome.plan
    return (
        plan.kind,
        plan.model,
        plan.precision,
        str(plan.batch_size),
        str(len(plan.placement.cpus) or "all"),
        _trust(outcome),
        _figures(outcome),
    )


def _trust(result: Result) -> str:
    """Whether there is something to look into before the figures are used."""
    count = len(result.warnings)
    warnings = f"{count} warning{'' if count == 1 else 's'}" if count else "no warnings"
    if result.verdict is None or isinstance(result, AccuracyResult):
        return warnings
    return f"{result.verdict}, {warnings}"


def _figures(result: Result) -> str:
    partial = " (interrupted)" if result.interrupted else ""
    if isinstance(result, AccuracyResult):
        names = [each for each in result.scores if each in table.MAIN_OF_COCO or result.counts]
        scores = ", ".join(f"{name} {result.scores[name]:.4f}" for name in names)
        return f"{scores} of {result.examples} examples{partial}"
    median = table.seconds(result.latency.p50)
    return f"{result.throughput:.1f} examples/s, median {median} per step{partial}"


def _cells(row: Sequence[str], tag: str) -> str:
    cells = "".join(f"<{tag} style='text-align:left'>{markup.escape(cell)}</{tag}>" for cell in row)
    return f"<tr>{cells}</tr>"
