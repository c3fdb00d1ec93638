"""The result of a run, as one plain value.

Raw durations are stored; everything that follows from them is derived when asked, so the two can't
drift apart. A saved result needs neither TensorFlow nor numpy to be read, printed or compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelzoo_runner.errors import ResultError, visible
from modelzoo_runner.results import gates, saved, stats
from modelzoo_runner.results import instances as several
from modelzoo_runner.results.export import Drawn, Saved
from modelzoo_runner.results.gates import Gate
from modelzoo_runner.results.instances import InstanceRecord, ProcessRecord
from modelzoo_runner.results.parts import DatasetInfo, Observed, PartRecord
from modelzoo_runner.results.stats import Interval, Summary
from modelzoo_runner.values import validate
from modelzoo_runner.values.plan import Plan

PERCENTILES = ("mean", "p50", "p90", "p99", "max")


@dataclass(frozen=True, kw_only=True, repr=False)
class Result(Drawn, Saved):
    """What every kind of result has.

    `step_seconds` and `data_seconds` are, step by step, the time in the step function and the time
    waited for its batch. `examples` is the number of examples in those steps. `interrupted` marks a
    result of a run that was ended early; it holds what had been done by then.
    """

    plan: Plan
    observed: Observed
    warmup_seconds: tuple[float, ...] = ()
    step_seconds: tuple[float, ...]
    data_seconds: tuple[float, ...]
    examples: int
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def verdict(self) -> Literal["valid", "noisy", "invalid"] | None:
        """Whether the durations can be trusted; `causes` say why not. `None`: nobody counted."""
        return self.observed.interference.get("verdict")

    @property
    def causes(self) -> tuple[str, ...]:
        """What disturbed the measurement, in words, the worst first."""
        return tuple(self.observed.interference.get("causes", ()))

    def _check(self) -> None:
        if self.verdict not in (None, "valid", "noisy", "invalid"):
            raise ResultError(
                f"observed.interference.verdict: {self.verdict!r} should be valid, noisy or invalid"
            )

    @property
    def throughput(self) -> float:
        """Examples per second of inference: all examples over the sum of the step times."""
        return self.examples / sum(self.step_seconds)

    @property
    def end_to_end_throughput(self) -> float:
        """Examples per second with the wait for the data counted in."""
        return self.examples / (sum(self.step_seconds) + sum(self.data_seconds))

    @property
    def latency(self) -> Summary:
        """The durations of a step in seconds; a step is one call with one whole batch."""
        return stats.summarize(self.step_seconds)

    @property
    def data_wait(self) -> Summary:
        """The durations of the wait for a batch in seconds."""
        return stats.summarize(self.data_seconds)

    def summary(self) -> dict[str, Any]:
        """Throughput (examples/s), latency (seconds per step) and verdict, by names with units."""
        latency = self.latency
        return {
            "throughput_examples_per_second": self.throughput,
            "end_to_end_throughput_examples_per_second": self.end_to_end_throughput,
            **{
                f"latency_{name}_seconds": getattr(latency, name)
                for name in ("mean", "std", "min", "p50", "p90", "p99", "max")
            },
            "verdict": self.verdict,
        }

    def __repr__(self) -> str:
        return visible(
            f"<{type(self).__name__}: {self.plan.short_name}, {self.throughput:.1f} examples/s>"
        )

    def __str__(self) -> str:
        from modelzoo_runner.results import table

        return table.text(self)

    def _repr_html_(self) -> str:
        from modelzoo_runner.results import table

        return table.html(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchmarkResult(Result):
    """How fast one plan ran.

    Where several `instances` ran at once, each is here with all of its steps. What the result
    itself holds and derives is of the time in which all of them ran: `step_seconds` are the steps
    of all that lie in it, and `throughput` is the sum of theirs.

    Where the plan was measured in several fresh `processes`, one after the other, each is here,
    `step_seconds` are the steps of all, and `throughput` is the geometric mean of theirs, with a
    `throughput_interval`.

    With arrivals `arrival_seconds` is when each query was due, from the start of the schedule, and
    `wait_seconds` how long it then waited in the queue until its step began. `latency` is the sum
    of the wait and the step, so that a slow step counts for all who wait meanwhile.
    """

    KIND = "benchmark"

    arrival_seconds: tuple[float, ...] = ()
    wait_seconds: tuple[float, ...] = ()
    instances: tuple[InstanceRecord, ...] = ()
    processes: tuple[ProcessRecord, ...] = ()

    @property
    def throughput(self) -> float:
        """Examples per second of inference, of all instances together."""
        if self.processes:
            return several.geometric_mean(self.process_throughputs)
        return sum(self.instance_throughputs) if self.instances else super().throughput

    @property
    def end_to_end_throughput(self) -> float:
        """Examples per second with the wait for the data counted in."""
        if self.processes:
            return several.geometric_mean(each.end_to_end_throughput for each in self.processes)
        if not self.instances:
            return super().end_to_end_throughput
        return sum(several.throughputs(self.instances, end_to_end=True))

    @property
    def latency_seconds(self) -> tuple[float, ...]:
        """The latency of each query: with arrivals from when it was due, else the step alone."""
        pairs = zip(self.wait_seconds, self.step_seconds, strict=True)
        return tuple(map(sum, pairs)) if self.wait_seconds else self.step_seconds

    @property
    def latency(self) -> Summary:
        """The latencies in seconds; a query, or step, is one call with one whole batch."""
        return stats.summarize(self.latency_seconds)

    @property
    def queue_wait(self) -> Summary | None:
        """How long queries waited in the queue, in seconds; `None` without arrivals."""
        return stats.summarize(self.wait_seconds) if self.wait_seconds else None

    @property
    def service(self) -> Summary:
        """The durations of the steps in seconds, without the wait in the queue."""
        return super().latency

    @property
    def achieved_rate(self) -> float | None:
        """Queries done in a second, until the last was done; `None` without arrivals."""
        if not self.wait_seconds:
            return None
        return len(self.wait_seconds) / (self.arrival_seconds[-1] + self.latency_seconds[-1])

    @property
    def utilization(self) -> float | None:
        """The share of the time in which the model is busy at this rate; `None` without arrivals.

        From 1 on the queue grows without bound.
        """
        if self.plan.rate is None:
            return None
        return self.plan.rate * (self.service.mean + self.data_wait.mean)

    @property
    def process_throughputs(self) -> tuple[float, ...]:
        """Examples per second of inference of each process; empty where there was only one."""
        return tuple(each.throughput for each in self.processes)

    @property
    def throughput_interval(self) -> Interval | None:
        """The 95 % confidence interval of `throughput`, from the spread between processes.

        A t-interval of the logarithms. `None` with one process: its steps say nothing of how much
        the next process will differ.
        """
        return stats.geometric_interval(self.process_throughputs)

    def summary(self) -> dict[str, Any]:
        """As `Result.summary`, with the interval of the throughput where there is one."""
        low, high = self.throughput_interval or (None, None)
        return {
            **super().summary(),
            "throughput_interval_low_examples_per_second": low,
            "throughput_interval_high_examples_per_second": high,
            "processes": max(1, len(self.processes)),
            **(self._of_load() if self.wait_seconds else {}),
        }

    def _of_load(self) -> dict[str, Any]:
        wait, service = stats.summarize(self.wait_seconds), self.service
        bound = stats.percentile_bound(sorted(self.latency_seconds), 0.99)
        return {
            "rate_queries_per_second": self.plan.rate,
            "achieved_rate_queries_per_second": self.achieved_rate,
            "utilization": self.utilization,
            "latency_p99_bound_seconds": bound,
            **{f"queue_wait_{name}_seconds": getattr(wait, name) for name in PERCENTILES},
            **{f"service_{name}_seconds": getattr(service, name) for name in PERCENTILES},
        }

    @property
    def instance_throughputs(self) -> tuple[float, ...]:
        """Examples per second of inference of each instance; empty where there was only one."""
        return several.throughputs(self.instances)


@dataclass(frozen=True, kw_only=True, repr=False)
class AccuracyResult(Result):
    """How well one plan scored.

    For a classifier `counts` are the exact hits (`top1`, `top5`) among `examples`, and `scores`
    their shares. For a detector `scores` are COCO's 12 numbers, `per_category` maps category names
    to their AP, `precision_recall` to their precision at recalls 0, 0.01, ..., 1 (at IoU 0.5), and
    `legacy_scores` are the 12 numbers as the Model Zoo's scripts computed them (see
    `docs/detection.md`). Scores are fractions, or -1 where COCO has nothing to score.
    `decisions` say how boxes and classes, or labels, were read, and why.

    `available` is how many examples the data has, of which `examples` were scored.

    Of a run in parts `parts` says where each was done, in the order of the data. The result has all
    of their steps, and its `plan` and `observed` are those of the first part.
    """

    KIND = "accuracy"

    scores: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_category: Mapping[str, float] = field(default_factory=dict)
    precision_recall: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    legacy_scores: Mapping[str, float] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)
    available: int | None = None
    parts: tuple[PartRecord, ...] = ()

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """The 95 % confidence interval (Wilson) of each share that is counted."""
        return {
            name: stats.wilson_interval(hits, self.examples) for name, hits in self.counts.items()
        }

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Whether the scores are as high as `min_scores` and `max_drop` asked for."""
        return gates.of_result(self)

    @property
    def difference(self) -> dict[str, float]:
        """Each score minus the published one, where there is one.

        Of a detector it is the legacy score, since that is what was published.
        """
        scores, published = self.legacy_scores or self.scores, self.plan.published
        return {name: scores[name] - published[name] for name in scores if name in published}

    def plot(
        self, axis: Any = None, *, of: Literal["scores", "classes", "precision_recall"] = "scores"
    ) -> Any:
        """A matplotlib figure of the scores.

        Args:
            axis: draw there instead.
            of: `"scores"`: each category's AP, or a classifier's scores with their intervals.
                `"classes"`: a classifier's accuracy in each class, from the file that
                `predictions=` wrote. `"precision_recall"`: a detector's precision over its recall
                in each category, at IoU 0.5.

        Raises:
            MissingDependency: matplotlib isn't installed.
            RequestError: no such figure of this result.
            ResultError: the file of the predictions can't be read any more.
        """
        from modelzoo_runner.results import score_plots

        validate.one_of("of", of, score_plots.OF_ACCURACY)
        return score_plots.OF_ACCURACY[of](self, axis)

    def summary(self) -> dict[str, Any]:
        """As `Result.summary`, with the scores."""
        return {**super().summary(), **{f"score_{k}": v for k, v in self.scores.items()}}


@dataclass(frozen=True, kw_only=True, repr=False)
class PartResult(Result):
    """What one part of the data gave: the examples from the first to before the last in
    `plan.examples`, of the data that `dataset` describes.

    It has no score yet. Its `state` is what the scores of the whole are made from: counts, or what
    was found and what there was to find, which can be added up exactly.
    """

    KIND = "part"

    dataset: DatasetInfo
    state: Mapping[str, Any]


KINDS: Mapping[str, type[Result]] = {
    each.KIND: each for each in (BenchmarkResult, AccuracyResult, PartResult)
}


def from_dict(record: Mapping[str, Any]) -> Result:
    """The result that `to_dict` recorded, now or by an earlier version.

    Raises:
        ResultError: an unknown schema version, not a result at all, or a `summary` that doesn't
            belong to the durations beside it.
    """
    kind = str(saved.current(record).get("kind"))
    if kind not in KINDS:
        raise ResultError(f"kind={kind!r}: should be one of {', '.join(KINDS)}")
    return KINDS[kind].from_dict(record)
