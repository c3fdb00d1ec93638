"""What max_rate() found: the rates that were tried, and the highest that keeps the limit.

Which rate is measured next follows from those that have been; how it is measured isn't known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from modelzoo_runner.errors import visible
from modelzoo_runner.results import stats
from modelzoo_runner.results.export import Drawn, Saved
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values import words
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from modelzoo_runner.results.shown import Shown

SHARE = 0.99
"""Of the queries, that have to be in time."""

REPEATS = 3
"""Measurements, each with arrivals of its own, of the two rates between which the answer lies."""

Stopped = Literal["found", "time", "interrupted"]

ENDED: Mapping[Stopped, str] = {
    "found": "both rates around the answer were measured "
    f"{REPEATS} times, with other arrivals each time",
    "time": "max_seconds were over, so the answer isn't confirmed",
    "interrupted": "interrupted, so the answer isn't confirmed",
}

HEADER = ("queries/s", "utilization", "queries", "late", "p50", "p99", "99 % are")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Queries measured at one rate, in seconds: how long each waited in the queue, and its step.

    `rate` 0 is the single stream: each query came when the one before was done.
    """

    rate: float
    seed: int
    wait_seconds: tuple[float, ...]
    step_seconds: tuple[float, ...]

    @property
    def latency_seconds(self) -> list[float]:
        """From when each query was due to its end."""
        pairs = zip(self.wait_seconds, self.step_seconds, strict=True)
        return [wait + step for wait, step in pairs]


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxRateResult(Drawn, Saved):
    """The highest rate at which 99 % of the queries are done within `latency_p99` seconds.

    A measurement, one of `trials`, keeps the limit if it shows so with 99 % confidence (see
    `stats.late_allowed`), and a rate if most of its measurements do: one that was disturbed doesn't
    decide. `str()` is a table of the rates, `plot()` draws p99 against them.
    """

    KIND = "max_rate"

    plan: Plan
    observed: Observed
    latency_p99: float
    tolerance: float
    trials: tuple[Trial, ...]
    stopped: Stopped
    started: str
    seconds: float
    warnings: tuple[str, ...] = ()

    @property
    def rate(self) -> float | None:
        """Queries a second: the highest rate that was found to keep the limit; `None`: none was."""
        return self.bracket[0] or None

    @property
    def bracket(self) -> tuple[float, float]:
        """The highest rate that keeps the limit as all lower ones do, and the next that doesn't.

        The lower is 0 where only the single stream keeps it, the upper `capacity` where no rate was
        too high; both are 0 where not even the single stream keeps it.
        """
        low = 0.0
        for rate in self.rates:
            if not self.keeps(rate):
                return low, rate
            low = rate
        return low, max(low, self.capacity)

    @property
    def capacity(self) -> float:
        """Queries a second, one after the other: at this rate a queue grows without bound."""
        return 1 / fmean(each for trial in self.at(0.0) for each in trial.step_seconds)

    @property
    def rates(self) -> list[float]:
        """The rates that were measured, the lowest first."""
        return sorted({each.rate for each in self.trials})

    @property
    def next_rate(self) -> float | None:
        """What to measure next: the middle of the bracket until it is narrow, then its ends until
        each was measured `REPEATS` times, which may move it; `None`: the answer is found.
        """
        low, high = self.bracket
        if high - low > self.tolerance * self.capacity:
            return (low + high) / 2
        ends = (each for each in (low, high) if 0 < len(self.at(each)) < REPEATS)
        return next(ends, None)

    def at(self, rate: float) -> tuple[Trial, ...]:
        """The measurements at a rate."""
        return tuple(each for each in self.trials if each.rate == rate)

    def latencies(self, rate: float) -> list[float]:
        """The latencies in all measurements at a rate, in seconds, sorted."""
        return sorted(each for trial in self.at(rate) for each in trial.latency_seconds)

    def late(self, rate: float) -> list[int]:
        """How many queries took longer than the limit, in each measurement at a rate."""
        trials = self.at(rate)
        return [sum(s > self.latency_p99 for s in each.latency_seconds) for each in trials]

    @property
    def late_allowed(self) -> int:
        """How many late queries a measurement may have."""
        return stats.late_allowed(len(self.trials[0].step_seconds), SHARE) or 0

    def keeps(self, rate: float) -> bool:
        """Whether most of the measurements at a rate keep the limit."""
        late = self.late(rate)
        return 2 * sum(each <= self.late_allowed for each in late) > len(late)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each rate, as dicts."""
        return [self._row(rate) for rate in self.rates]

    def _row(self, rate: float) -> dict[str, Any]:
        latencies = self.latencies(rate)
        found = stats.summarize(latencies)
        service = fmean(each for trial in self.at(rate) for each in trial.step_seconds)
        return {
            "model": self.plan.model,
            "precision": self.plan.precision,
            "batch_size": self.plan.batch_size,
            "runtime": self.plan.runtime,
            "rate_queries_per_second": rate,
            "utilization": rate * service if rate else 1.0,
            "measurements": len(self.at(rate)),
            "queries": len(latencies),
            "late": sum(self.late(rate)),
            "latency_p50_seconds": found.p50,
            "latency_p90_seconds": found.p90,
            "latency_p99_seconds": found.p99,
            "latency_p99_bound_seconds": stats.percentile_bound(latencies, SHARE),
            "queue_wait_mean_seconds": found.mean - service,
            "service_mean_seconds": service,
            "keeps_limit": self.keeps(rate),
        }

    def summary(self) -> dict[str, Any]:
        """The rate (queries/s), the next that is too high, and what a single stream comes to."""
        return {
            "rate_queries_per_second": self.rate,
            "too_high_queries_per_second": self.bracket[1],
            "capacity_queries_per_second": self.capacity,
        }

    def __repr__(self) -> str:
        return visible(f"<MaxRateResult: {self.plan.model}, {self._answer()}>")

    def shown(self) -> Shown:
        from modelzoo_runner.results.shown import Shown, warnings

        plan, (low, high) = self.plan, self.bracket
        what = plan.short_name
        rate = f"{low:.4g} queries/s" if low else f"less than {high:.4g} queries/s"
        return Shown(
            title=f"{what}: {self._answer()}",
            headings=[(f"{what}: {self._limit()}", None)],
            figures=[rate if high else "never"],
            header=HEADER,
            rows=self._cells(),
            notes=[
                f"{len(self.trials)} measurements in {self.seconds:.0f} s; ended: "
                f"{ENDED[self.stopped]}",
                f"{self.late_allowed} late of {len(self.trials[0].step_seconds)} show with 99 % "
                "confidence that 99 % are in time; most measurements of a rate decide",
                *warnings(self.warnings),
            ],
        )

    def _limit(self) -> str:
        from modelzoo_runner.results.shown import seconds

        return f"99 % of the queries within {seconds(self.latency_p99)}"

    def _answer(self) -> str:
        limit = self._limit()
        low, high = self.bracket
        if low:
            return f"{low:.4g} queries/s with {limit}, and not {high:.4g}"
        return f"less than {high:.4g} queries/s with {limit}" if high else f"never {limit}"

    def _cells(self) -> list[tuple[str, ...]]:
        from modelzoo_runner.results.shown import seconds

        def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
            rate, p99 = row["rate_queries_per_second"], row["latency_p99_seconds"]
            return (
                f"{rate:.4g}" if rate else "one by one",
                words.percent(row["utilization"]),
                str(row["queries"]),
                " + ".join(map(str, self.late(rate))),
                seconds(row["latency_p50_seconds"]),
                "" if p99 is None else seconds(p99),
                "in time" if row["keeps_limit"] else "too late",
            )

        return [cells(row) for row in self.rows()]
