"""Change points in a series of results: where the level changed by more than chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from modelzoo_runner.results import stats
from modelzoo_runner.results.instances import geometric_mean
from modelzoo_runner.results.ratio import in_words
from modelzoo_runner.results.result import BenchmarkResult

FALSE_ALARM = 0.01
"""The probability of a change found in a series without any, for each time it is split."""

FEWEST = 4
"""Results that a series needs, to tell a change from its spread."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One result in a series: throughput in examples/s, and how far the next process may be off.

    `log_variance` is that of the mean of the logarithms, from the spread between processes; `None`
    where there was one process.
    """

    throughput: float
    started: str
    label: str = ""
    log_variance: float | None = None
    verdict: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """The throughput of a series changed for good with the result `first`, and was `before` and
    `after` in the stretches on both sides of it, in examples/s (geometric means).

    `p_value` is the probability of so clear a change in a series without any.
    """

    series: str
    first: Point
    position: int
    before: float
    after: float
    p_value: float

    @property
    def ratio(self) -> float:
        """After over before: below 1 it became slower."""
        return self.after / self.before

    def __str__(self) -> str:
        label = f" ({self.first.label})" if self.first.label else ""
        return (
            f"{self.series}: {in_words(self.ratio)} since {self.first.started}{label}: "
            f"{self.before:.4g} -> {self.after:.4g} examples/s, p = {self.p_value:.1g}"
        )


def point(result: BenchmarkResult, label: str = "") -> Point:
    """The point of a result."""
    logs = [math.log(each) for each in result.process_throughputs]
    known = len(logs) > 1
    return Point(
        throughput=result.throughput,
        started=result.observed.started,
        label=label,
        log_variance=variance(logs) / len(logs) if known else None,
        verdict=result.verdict,
    )


def change_points(series: str, points: Sequence[Point], *, min_effect: float) -> list[Change]:
    """The changes of level by more than `min_effect`, in the order of the points.

    Binary segmentation: the split with the largest t of its two sides is taken if it is significant
    after Bonferroni's correction for all possible splits, and both sides are searched again (Scott
    and Knott, Biometrics 30, 1974; with a t-test for performance histories: Fleming et al.,
    "Hunter", ICPE 2023). The variance is at least that of the means over processes, so that a few
    results which agree by chance don't make the next one a change. Invalid results are left out.
    """
    counted = [each for each in points if each.verdict != "invalid"]
    cuts = sorted(_cuts(counted, 0, len(counted), math.log1p(min_effect)))
    bounds = [0, *(place for place, _ in cuts), len(counted)]
    levels = [
        geometric_mean(each.throughput for each in counted[start:stop])
        for start, stop in itertools.pairwise(bounds)
    ]
    return [
        Change(
            series=series,
            first=counted[place],
            position=points.index(counted[place]),
            before=levels[number],
            after=levels[number + 1],
            p_value=p_value,
        )
        for number, (place, p_value) in enumerate(cuts)
    ]


def _cuts(points: Sequence[Point], start: int, stop: int, least: float) -> list[tuple[int, float]]:
    """Where to cut points[start:stop], with the p-value of each cut."""
    count = stop - start
    if count < FEWEST:
        return []
    logs = [math.log(each.throughput) for each in points[start:stop]]
    known = [each.log_variance for each in points[start:stop] if each.log_variance is not None]
    floor = fmean(known) if known else 0.0
    best = max(range(1, count), key=lambda place: _t(logs, place, floor))
    p_value = min(1.0, (1 - stats.t_within(_t(logs, best, floor), count - 2)) * (count - 1))
    difference = abs(fmean(logs[best:]) - fmean(logs[:best]))
    if p_value > FALSE_ALARM or difference < least:
        return []
    middle = start + best
    return [
        *_cuts(points, start, middle, least),
        (middle, p_value),
        *_cuts(points, middle, stop, least),
    ]


def _t(values: Sequence[float], place: int, floor: float) -> float:
    """Student's t of the two sides of a place, with a variance of at least `floor`."""
    sides = (values[:place], values[place:])
    means = [fmean(each) for each in sides]
    squares = sum(
        (value - mean) ** 2 for side, mean in zip(sides, means, strict=True) for value in side
    )
    pooled = max(squares / (len(values) - 2), floor, 1e-18)
    return abs(means[1] - means[0]) / math.sqrt(pooled * sum(1 / len(each) for each in sides))
