"""What tune() found: the settings that were tried, how they did, and which is the best."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from modelzoo_runner.errors import ResultError, visible
from modelzoo_runner.results import stats
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.export import Drawn, Saved
from modelzoo_runner.results.ratio import Ratio
from modelzoo_runner.results.runtimes import Way
from modelzoo_runner.values import lines

Objective = Literal["throughput", "latency"]


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Turns of some settings beside the reference, in processes started for it.

    `seconds` has how long a batch took in each turn, all instances together, and
    `reference_seconds` the same of the reference in these turns.
    """

    seconds: tuple[float, ...]
    reference_seconds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Settings, as arguments of `benchmark()`, and the heats they were measured in.

    `dropped` says why they aren't the best; `None` for the best.
    """

    settings: Mapping[str, Any]
    runtime: str
    precision: str
    batch_size: int = 1
    instances: int = 1
    heats: tuple[Heat, ...] = ()
    dropped: str | None = None

    @property
    def log_speed(self) -> float:
        """log(batches a second, as a multiple of the reference's): the mean over the heats."""
        return fmean(_log(each.reference_seconds) - _log(each.seconds) for each in self.heats)

    def throughput(self, reference_seconds: float) -> float:
        """Examples per second, where a batch of the reference takes so long."""
        return self.batch_size * math.exp(self.log_speed) / reference_seconds

    def latency(self, reference_seconds: float) -> float:
        """Seconds of a step: the median of a turn; of each of several instances."""
        return self.instances * self.batch_size / self.throughput(reference_seconds)

    @property
    def name(self) -> str:
        """The settings in words, by which they are known."""
        return named(self.settings)


def named(settings: Mapping[str, Any]) -> str:
    """Settings in words: the same for the same settings in another order."""
    return ", ".join(f"{name}={settings[name]}" for name in sorted(settings)) or "the default"


def reference_seconds(tried: Iterable[Tried]) -> float:
    """How long a batch of the reference took: the geometric mean over all heats."""
    return math.exp(fmean(_log(heat.reference_seconds) for each in tried for heat in each.heats))


def _log(seconds: tuple[float, ...]) -> float:
    return stats.trimmed_mean([math.log(each) for each in seconds])


def gain(confirmed: ABResult, objective: Objective, default: Tried, best: Tried) -> Ratio:
    """The best's throughput over the default's, or how many times as quick a step is."""
    found = confirmed.comparison(1)
    if objective == "throughput" or default.batch_size == best.batch_size:
        return found
    scale = default.batch_size / best.batch_size
    interval = found.interval and (found.interval[0] * scale, found.interval[1] * scale)
    return dataclasses.replace(found, value=found.value * scale, interval=interval)


@dataclass(frozen=True, kw_only=True, repr=False)
class TuneResult(Drawn, Saved):
    """The settings that were tried; `best`, `default` and `challenger` are numbers in `tried`.

    The default is what `benchmark()` does by itself. `confirmed` is the default against the
    challenger, the fastest that was found, in fresh processes: the best, unless that shows it to be
    slower. It is `None` where the default was fastest, or there was no time. `complete` says
    whether the search reached all it would have. `shared` are the arguments that all settings have,
    `scores` those of each runtime and precision, where there was data. `str()` is text, `plot()`
    draws throughput and latency.
    """

    KIND = "tune"

    model: str
    objective: Objective
    max_latency: float | None = None
    min_accuracy: float | None = None
    budget: float
    seconds: float
    started: str
    shared: Mapping[str, Any] = field(default_factory=dict)
    tried: tuple[Tried, ...]
    default: int
    best: int
    challenger: int
    scores: tuple[Way, ...] = ()
    confirmed: ABResult | None = None
    complete: bool
    interrupted: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `benchmark()` for the best settings, without the model."""
        goal = {"goal": "latency"} if self.objective == "latency" else {}
        return {**goal, **self.shared, **self.tried[self.best].settings}

    @property
    def python(self) -> str:
        """The best call as a line of Python."""
        return lines.python("benchmark", self.model, self.arguments)

    @property
    def shell(self) -> str:
        """The best call as a line for a shell."""
        return lines.shell("benchmark", self.model, self.arguments)

    @property
    def gain(self) -> Ratio | None:
        """The best over the default, as measured at the end: of throughput, or for
        `objective="latency"` how many times as quick a step is. `None` if that wasn't measured.
        """
        if self.confirmed is None or self.best != self.challenger:
            return None
        return gain(self.confirmed, self.objective, self.tried[self.default], self.tried[self.best])

    def throughput(self, tried: Tried) -> float | None:
        """Examples per second; `None` where it wasn't measured."""
        if tried.heats:
            return tried.throughput(self._reference_seconds)
        if self.confirmed is None or tried != self.tried[self.default]:
            return None
        return (self.throughput(self.tried[self.challenger]) or 0.0) / self.confirmed.ratio

    @cached_property
    def _reference_seconds(self) -> float:
        return reference_seconds(self.tried)

    def latency(self, tried: Tried) -> float | None:
        """Seconds of a step; `None` where it wasn't measured."""
        throughput = self.throughput(tried)
        return throughput and tried.instances * tried.batch_size / throughput

    @property
    def pareto(self) -> tuple[Tried, ...]:
        """Those that none surpasses in both throughput and latency, the quickest step first."""
        found = [(each, self.throughput(each) or 0.0, self.latency(each)) for each in self.tried]
        front: list[Tried] = []
        most = 0.0
        for each, throughput, _ in sorted(found, key=lambda one: (one[2] or math.inf, -one[1])):
            if throughput > most:
                front.append(each)
                most = throughput
        return tuple(front)

    def score(self, tried: Tried) -> Way | None:
        """The scores of its runtime and precision, if they were scored."""
        wanted = (tried.runtime, tried.precision)
        return next((way for way in self.scores if (way.runtime, way.precision) == wanted), None)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each that was tried, as dicts."""
        front = self.pareto
        return [self._row(number, each, each in front) for number, each in enumerate(self.tried)]

    def _row(self, number: int, each: Tried, is_on_front: bool) -> dict[str, Any]:
        way = self.score(each)
        return {
            "model": self.model,
            "objective": self.objective,
            "runtime": each.runtime,
            "precision": each.precision,
            "batch_size": each.batch_size,
            "instances": each.instances,
            "settings": each.name,
            "throughput_examples_per_second": self.throughput(each),
            "latency_p50_seconds": self.latency(each),
            "heats": len(each.heats),
            "turns": sum(len(heat.seconds) for heat in each.heats),
            **{f"score_{name}": value for name, value in (way.scores if way else {}).items()},
            "best": number == self.best,
            "default": number == self.default,
            "pareto": is_on_front,
            "dropped": each.dropped,
        }

    def __repr__(self) -> str:
        return visible(f"<TuneResult: {self.python}>")

    def __str__(self) -> str:
        from modelzoo_runner.results import tune_report

        return tune_report.text(self)

    def _repr_html_(self) -> str:
        from modelzoo_runner.results import tune_report

        return tune_report.html(self)

    def _check(self) -> None:
        for name in ("best", "default", "challenger"):
            if not 0 <= getattr(self, name) < len(self.tried):
                raise ResultError(
                    f"{name}={getattr(self, name)}: there are {len(self.tried)} tried"
                )
        if not self.tried[self.challenger].heats:
            raise ResultError(f"challenger={self.challenger}: was not measured")
