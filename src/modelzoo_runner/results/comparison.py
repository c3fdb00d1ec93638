"""What a comparison of two results, or of two sweeps, holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import visible
from modelzoo_runner.results.export import Drawn, Listed
from modelzoo_runner.results.paired import PairedScore
from modelzoo_runner.results.ratio import Ratio, Verdict
from modelzoo_runner.values import codec
from modelzoo_runner.values.words import counted

if TYPE_CHECKING:
    from modelzoo_runner.results.shown import Shown


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The main figures of one of two compared results, in examples/s and seconds per step."""

    name: str
    throughput: float
    throughput_interval: tuple[float, float] | None
    p50_seconds: float
    processes: int
    verdict: str | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Drawn):
    """`changed` against `reference`.

    `speed` is the ratio of their throughputs, above 1 where `changed` is faster, with the interval
    that follows from the spread between processes. `median_ratio` is the same by the medians of the
    step time per example. `obstacles` say why nothing can be concluded, and what to do.
    `differences` are all values in which plans, machines and software differ, by dotted names:
    (reference, changed). `score_differences` are changed minus reference, by score; `paired` says
    which of them are more than chance, where the predictions of both are at hand.
    """

    reference: Figures
    changed: Figures
    speed: Ratio
    median_ratio: float
    obstacles: tuple[str, ...] = ()
    differences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    score_differences: Mapping[str, float] = field(default_factory=dict)
    paired: tuple[PairedScore, ...] = ()

    @property
    def ratio(self) -> float:
        """The throughput of `changed` over that of `reference`."""
        return self.speed.value

    @property
    def verdict(self) -> Verdict:
        """Of `changed`: faster, slower, same or inconclusive."""
        return "inconclusive" if self.obstacles else self.speed.verdict

    def __repr__(self) -> str:
        return visible(f"<Comparison: {self.shown().title}>")

    def shown(self) -> Shown:
        from modelzoo_runner.results import compare_table

        return compare_table.of_results(self)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain dicts, lists and scalars, with the derived verdict and ratio."""
        record: dict[str, Any] = codec.to_dict(self)
        return {"kind": "comparison", "verdict": self.verdict, "ratio": self.ratio, **record}


@dataclass(frozen=True, kw_only=True, repr=False)
class SweepComparison(Drawn, Listed[Comparison]):
    """Two sweeps, row by row: a `Comparison` for each run that both have a result of.

    `missing` names the runs that only one of them has a result of.
    """

    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...] = ()

    def _items(self) -> tuple[Comparison, ...]:
        return self.comparisons

    def __repr__(self) -> str:
        return f"<SweepComparison: {counted(len(self), 'run')}>"

    def shown(self) -> Shown:
        from modelzoo_runner.results import compare_table

        return compare_table.of_sweeps(self)

    def to_dict(self) -> dict[str, Any]:
        """The comparisons as plain dicts, lists and scalars."""
        rows = [each.to_dict() for each in self.comparisons]
        return {"kind": "sweep comparison", "rows": rows, "missing": list(self.missing)}
