"""What comparisons are shown as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelzoo_runner.results import ratio
from modelzoo_runner.results.comparison import Comparison, Figures, SweepComparison
from modelzoo_runner.results.shown import Shown, seconds
from modelzoo_runner.values import markup
from modelzoo_runner.values.words import counted

MAIN_SCORES = 3
"""So many scores are told beside the names of the runs, such as COCO's AP, AP50 and AP75."""


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
    # The scores of an accuracy run are what it is about, and nothing of them is inconclusive.
    verdict = None if comparison.score_differences else comparison.verdict
    names, said = _names(comparison), _said(comparison)
    return Shown(
        title=f"{names}: {said}",
        headings=[(names, verdict)],
        figures=[said],
        header=("", "reference", "changed"),
        rows=[(name, *values) for name, values in rows.items()],
        notes=_notes(comparison),
        differences=differences(comparison.differences),
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
                _said(each).replace(" (", "\n("),
            )
        )
    found = dict.fromkeys(note for each in sweep.comparisons for note in _notes(each))
    differing = dict.fromkeys(
        line for each in sweep.comparisons for line in differences(each.differences)
    )
    return Shown(
        headings=[(f"Two sweeps of {counted(len(rows), 'run')}", None)],
        header=("run", "reference", "changed", "changed is"),
        rows=rows,
        notes=[*found, *(f"missing: {each}" for each in sweep.missing)],
        differences=list(differing),
    )


def _names(comparison: Comparison) -> str:
    before, after = comparison.reference.name, comparison.changed.name
    return before if before == after else f"{after} against {before}"


def _said(comparison: Comparison) -> str:
    """The verdict, or the scores, in a few words."""
    if comparison.score_differences:
        found = list(comparison.score_differences.items())[:MAIN_SCORES]
        return ", ".join(f"{name} {value:+.4f}" for name, value in found)
    if not comparison.obstacles:
        return str(comparison.speed)
    return f"inconclusive ({ratio.in_words(comparison.ratio)}, as measured)"


def _throughput(each: Figures) -> str:
    said = f"{each.throughput:.4g} examples/s"
    if each.throughput_interval is None:
        return said
    low, high = each.throughput_interval
    return f"{said} ({low:.4g} to {high:.4g})"


def _notes(comparison: Comparison) -> list[str]:
    """Scores that aren't told elsewhere and obstacles, a line each."""
    others = list(comparison.score_differences.items())[MAIN_SCORES:]
    tested = {each.name for each in comparison.paired}
    return [
        *map(str, comparison.paired),
        *(f"{name} {value:+.4f}" for name, value in others if name not in tested),
        *(f"can't tell: {each}" for each in comparison.obstacles),
    ]


def differences(found: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """What differs, a line each: the reference's value, then the changed one's."""
    return [f"differs: {name}: {_value(a)} -> {_value(b)}" for name, (a, b) in found.items()]


def _value(value: Any) -> str:
    """A value as short text; of a hash its beginning."""
    if value is None:
        return "none"
    if isinstance(value, (Mapping, list, tuple)):
        return markup.shown(value)
    text = str(value)
    return f"{text[:12]}..." if re.fullmatch("[0-9a-f]{64}", text) else text
