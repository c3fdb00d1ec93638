"""Results of the same kind over time: entries of a history, and their series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner.errors import visible
from modelzoo_runner.results.changes import Change, Point
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.shown import columns
from modelzoo_runner.values import markup


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One result in a history; `label` is what it was added under, such as a commit."""

    result: Result
    label: str
    series: str
    added: str


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The results of one series over time: same model, precision, batch, CPUs, threads, machine."""

    series: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        return "\n".join((visible(self.series), *columns(self._rows())))

    def _repr_html_(self) -> str:
        return markup.card(
            markup.title(self.series),
            markup.notes(each.said for each in self.changes),
            markup.table(("started", "label", "throughput", "verdict", "change"), self._rows()),
        )

    def _rows(self) -> list[tuple[str, ...]]:
        changed = {each.position: each for each in self.changes}
        rows: list[tuple[str, ...]] = []
        for number, each in enumerate(self.points):
            said = f"changed: {changed[number].ratio:.3f}x" if number in changed else ""
            speed = f"{each.throughput:.4g} examples/s"
            rows.append((each.started, each.label, speed, each.verdict or "", said))
        return rows


def series_of(result: Result) -> str:
    """What results have in common that are compared over time, in words.

    Not the versions of software: those are what a regression may come from.
    """
    plan, where = result.plan, result.plan.placement
    parts = [
        plan.kind,
        plan.model,
        plan.precision,
        f"batch {plan.batch_size}",
        f"{len(plan.instances)} instances" if plan.instances else "",
        f"{len(where.cpus) or 'all'} CPUs",
        f"{where.intra_threads}+{where.inter_threads} threads",
        Path(plan.data_location).name if plan.data_location else "synthetic",
        "" if plan.optimize else "not optimized",
        f"machine {str(result.observed.machine.get('id'))[:8]}",
    ]
    return ", ".join(part for part in parts if part)
