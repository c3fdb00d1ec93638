"""What runtimes() found: a model in several runtimes and precisions, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import visible
from modelzoo_runner.results import stats
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.export import Drawn, Saved
from modelzoo_runner.results.stats import Interval

if TYPE_CHECKING:
    from modelzoo_runner.results.shown import Shown

HEADER = (
    "runtime", "precision", "throughput", "against the first", "latency p50", "memory", "start",
    "difference", "scores",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to run the model, or in `problem` why it can't be run so.

    `side` is its number in `RuntimesResult.measured`. `peak_memory_bytes` and `startup_seconds`
    (loading the runtime, reading and compiling the model) are of a process of its own. `agreement`
    are the largest differences from TensorFlow's float32 outputs.
    """

    runtime: str
    precision: str
    problem: str | None = None
    side: int | None = None
    peak_memory_bytes: int | None = None
    startup_seconds: float | None = None
    agreement: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    examples: int | None = None

    @property
    def difference(self) -> float | None:
        """The largest difference of an output from TensorFlow's, as a share of its largest value;
        `None` where they can't be compared.
        """
        outputs = self.agreement.get("outputs", {}).values()
        if not outputs or any("largest_difference" not in each for each in outputs):
            return None
        return max(
            float(each["largest_difference"]) / (each["largest_value"] or 1.0) for each in outputs
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class RuntimesResult(Drawn, Saved):
    """A model in several runtimes and precisions; `measured` are those that run, in turns.

    `str()` is a table, `rows()` and `to_dataframe()` have a row for each way, and `plot()` draws
    the throughput of each with its interval.
    """

    KIND = "runtimes"

    model: str
    ways: tuple[Way, ...]
    measured: ABResult | None
    warnings: tuple[str, ...] = ()

    def throughput(self, way: Way) -> tuple[float, Interval | None] | None:
        """Examples per second of a way, and the 95 % interval over rounds of fresh processes."""
        if way.side is None or self.measured is None:
            return None
        interval = stats.geometric_interval(self.measured.throughputs(way.side))
        return self.measured.throughput(way.side), interval

    def latency(self, way: Way) -> stats.Summary | None:
        """Durations of the steps of a way, in seconds, in all rounds."""
        if way.side is None or self.measured is None:
            return None
        turns = (turn for each in self.measured.rounds for turn in each.turns)
        return stats.summarize([s for turn in turns for s in turn.step_seconds[way.side]])

    def rows(self) -> list[dict[str, Any]]:
        """A row for each way, as dicts."""
        return [self._row(way) for way in self.ways]

    def _row(self, way: Way) -> dict[str, Any]:
        speed, latency = self.throughput(way), self.latency(way)
        comparison = None
        if self.measured is not None and way.side:
            comparison = self.measured.comparison(way.side)
        low, high = (speed and speed[1]) or (None, None)
        ratio_low, ratio_high = (comparison and comparison.interval) or (None, None)
        return {
            "model": self.model,
            "runtime": way.runtime,
            "precision": way.precision,
            "throughput_examples_per_second": speed and speed[0],
            "throughput_low": low,
            "throughput_high": high,
            "ratio": comparison and comparison.value,
            "ratio_low": ratio_low,
            "ratio_high": ratio_high,
            "verdict": comparison and comparison.verdict,
            "latency_p50_seconds": latency and latency.p50,
            "latency_p50_low": latency and latency.p50_interval and latency.p50_interval[0],
            "latency_p50_high": latency and latency.p50_interval and latency.p50_interval[1],
            "latency_p90_seconds": latency and latency.p90,
            "peak_memory_bytes": way.peak_memory_bytes,
            "startup_seconds": way.startup_seconds,
            "difference": way.difference,
            **{f"score_{name}": value for name, value in way.scores.items()},
            **{f"count_{name}": value for name, value in way.counts.items()},
            "examples": way.examples,
            "problem": way.problem,
        }

    def __repr__(self) -> str:
        return visible(f"<RuntimesResult: {self.model}, {len(self.ways)} ways>")

    def shown(self) -> Shown:
        from modelzoo_runner.results.shown import Shown, warnings

        cells = [self._cells(way) for way in self.ways]
        # What nothing is known of, such as scores without data, has no column.
        known = [place for place, column in enumerate(zip(*cells, strict=True)) if any(column)]
        return Shown(
            headings=[(self._title(), None)],
            header=[HEADER[place] for place in known],
            rows=[[row[place] for place in known] for row in cells],
            notes=[*self._problems(), *warnings(self.warnings)],
        )

    def _title(self) -> str:
        batches = {side.plan.batch_size for side in self.measured.sides} if self.measured else ()
        batch = f", batch {next(iter(batches))}" if len(batches) == 1 else ""
        return f"{self.model}{batch}: runtimes and precisions side by side"

    def _problems(self) -> Iterator[str]:
        """Why ways can't be run; those of one runtime with the same problem on one line."""
        found: dict[tuple[str, str], list[str]] = {}
        for way in self.ways:
            if way.problem:
                found.setdefault((way.runtime, way.problem), []).append(way.precision)
        for (runtime, problem), precisions in found.items():
            yield f"{runtime} {', '.join(precisions)}: {problem}"

    def _cells(self, way: Way) -> tuple[str, ...]:
        from modelzoo_runner.results.shown import seconds

        speed, latency = self.throughput(way), self.latency(way)
        if speed is None or latency is None or way.side is None or self.measured is None:
            return (way.runtime, way.precision, "can't be run: see below", *[""] * 6)
        value, interval = speed
        within = f"\n({interval[0]:.4g} to {interval[1]:.4g})" if interval else ""
        ratio = "(reference)"
        if way.side:
            ratio = str(self.measured.comparison(way.side)).replace(" (", "\n(")
        counted = (f"{name} {hits} of {way.examples}" for name, hits in way.counts.items())
        scored = (f"{name} {score:.3f}" for name, score in way.scores.items())
        return (
            way.runtime,
            way.precision,
            f"{value:.4g}/s{within}",
            ratio,
            seconds(latency.p50),
            "" if way.peak_memory_bytes is None else f"{way.peak_memory_bytes / 2**20:.0f} MiB",
            "" if way.startup_seconds is None else f"{way.startup_seconds:.1f} s",
            "" if way.difference is None else f"{way.difference:.1g}",
            ", ".join(counted if way.counts else scored),
        )
