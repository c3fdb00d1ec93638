"""Comparisons as text and HTML."""

from __future__ import annotations

from typing import Any

from modelzoo_runner.errors import visible
from modelzoo_runner.results import markup, ratio, table
from modelzoo_runner.results.comparison import Comparison, Figures, SweepComparison

HEADER = ("", "reference", "changed")
SWEEP_HEADER = ("run", "reference", "changed", "changed is")


def headline(comparison: Comparison) -> str:
    """The verdict on one line."""
    before, after = comparison.reference.name, comparison.changed.name
    what = before if before == after else f"{after} against {before}"
    speed = comparison.speed
    if not comparison.obstacles:
        return f"{what}: {speed}"
    return f"{what}: inconclusive ({ratio.in_words(comparison.ratio)}, as measured)"


def figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Both results' figures, with their units."""
    both = (comparison.reference, comparison.changed)
    rows = [("throughput", *(_throughput(each) for each in both))]
    rows.append(("median", *(f"{table.seconds(each.p50_seconds)} per step" for each in both)))
    rows.append(("processes", *(str(each.processes) for each in both)))
    if any(each.verdict for each in both):
        rows.append(("verdict", *(each.verdict or "not counted" for each in both)))
    return [(name, before, after) for name, before, after in rows]


def _throughput(each: Figures) -> str:
    said = f"{each.throughput:.4g} examples/s"
    if each.throughput_interval is None:
        return said
    low, high = each.throughput_interval
    return f"{said} ({low:.4g} to {high:.4g})"


def notes(comparison: Comparison) -> list[str]:
    """Obstacles, scores and differences, a line each."""
    tested = {each.name for each in comparison.paired}
    return [
        *(f"can't tell: {each}" for each in comparison.obstacles),
        *map(str, comparison.paired),
        *(
            f"{name} {value:+.4f}"
            for name, value in comparison.score_differences.items()
            if name not in tested
        ),
        *differences(comparison.differences),
    ]


def differences(found: Any) -> list[str]:
    """What differs, a line each: the reference's value, then the changed one's."""
    return [f"differs: {name}: {a!r} -> {b!r}" for name, (a, b) in found.items()]


def text(comparison: Comparison) -> str:
    """The verdict, the figures of both, what stands against it, and what differs."""
    lines = table.columns([HEADER, *figures(comparison)])
    return visible("\n".join((headline(comparison), *lines, *notes(comparison))))


def html(comparison: Comparison) -> str:
    """The same as HTML."""
    return markup.card(
        markup.title(headline(comparison), comparison.verdict),
        markup.table(HEADER, figures(comparison)),
        markup.notes(notes(comparison)),
    )


def sweep_row(comparison: Comparison) -> tuple[str, str, str, str]:
    """The cells of one comparison, as `SWEEP_HEADER` names them."""
    before, after = comparison.reference.name, comparison.changed.name
    return (
        before if before == after else f"{before} -> {after}",
        _throughput(comparison.reference),
        _throughput(comparison.changed),
        headline(comparison).partition(": ")[2],
    )


def sweep_text(sweep: SweepComparison) -> str:
    """A line for each comparison, then each obstacle and each missing run."""
    lines = table.columns([SWEEP_HEADER, *map(sweep_row, sweep.comparisons)])
    return visible("\n".join((*lines, *sweep_notes(sweep))))


def sweep_notes(sweep: SweepComparison) -> list[str]:
    """What stands against a verdict, what differs in all rows, and what is missing; once each."""
    found = [note for row in sweep.comparisons for note in notes(row)]
    return [*dict.fromkeys(found), *(f"missing: {each}" for each in sweep.missing)]


def sweep_html(sweep: SweepComparison) -> str:
    """The same as HTML."""
    return markup.card(
        markup.table(SWEEP_HEADER, list(map(sweep_row, sweep.comparisons))),
        markup.notes(sweep_notes(sweep)),
    )
