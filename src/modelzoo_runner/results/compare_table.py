"""What comparisons are shown as."""

from __future__ import annotations

from typing import Any

from modelzoo_runner.results import ratio
from modelzoo_runner.results.comparison import Comparison, Figures, SweepComparison
from modelzoo_runner.results.shown import Shown, seconds


def of_results(comparison: Comparison) -> Shown:
    """The verdict, the figures of both with their units, what stands against it, what differs."""
    both = (comparison.reference, comparison.changed)
    rows = {
        "throughput": [_throughput(each) for each in both],
        "median": [f"{seconds(each.p50_seconds)} per step" for each in both],
        "processes": [str(each.processes) for each in both],
    }
    if any(each.verdict for each in both):
        rows["verdict"] = [each.verdict or "not counted" for each in both]
    return Shown(
        title=headline(comparison),
        verdict=comparison.verdict,
        header=("", "reference", "changed"),
        rows=[(name, *values) for name, values in rows.items()],
        notes=notes(comparison),
    )


def of_sweeps(sweep: SweepComparison) -> Shown:
    """A row for each comparison; each obstacle, difference and missing run once."""
    rows = []
    for each in sweep.comparisons:
        before, after = each.reference, each.changed
        rows.append(
            (
                before.name if before.name == after.name else f"{before.name} -> {after.name}",
                _throughput(before),
                _throughput(after),
                headline(each).partition(": ")[2],
            )
        )
    found = dict.fromkeys(note for each in sweep.comparisons for note in notes(each))
    return Shown(
        header=("run", "reference", "changed", "changed is"),
        rows=rows,
        notes=[*found, *(f"missing: {each}" for each in sweep.missing)],
    )


def headline(comparison: Comparison) -> str:
    """The verdict on one line."""
    before, after = comparison.reference.name, comparison.changed.name
    what = before if before == after else f"{after} against {before}"
    speed = comparison.speed
    if not comparison.obstacles:
        return f"{what}: {speed}"
    return f"{what}: inconclusive ({ratio.in_words(comparison.ratio)}, as measured)"


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
