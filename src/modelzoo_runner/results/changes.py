"""Change points in a series of results: where the level changed by more than chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from modelzoo_runner.errors import visible
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
        return visible(f"{self.series}: {self.said}")

    @property
    def said(self) -> str:
        """The change in words, without the name of the series."""
        label = f" ({self.first.label})" if self.first.label else ""
        return (
            f"{in_words(self.ratio)} since {self.first.started}{label}: "
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

    Circular binary segmentation (Olshen et al., Biostatistics 5, 2004): the stretch with the
    largest t against the rest is cut out if it is significant after Bonferroni's correction for all
    stretches, and the parts are searched again. A t-test in place of permutations, as "Hunter" has
    it for performance histories (Fleming et al., ICPE 2023). The variance is at least that of the
    means over processes, so that a few results which agree by chance don't make the next one a
    change. Invalid results are left out.
    """
    counted = [each for each in points if each.verdict != "invalid"]
    if not counted:
        return []
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
    t, difference, low, high = _clearest(logs, floor)
    p_value = min(1.0, (1 - stats.t_within(t, count - 2)) * count * (count - 1) / 2)
    if p_value > FALSE_ALARM or difference < least:
        return []
    inner = [each for each in (low, high) if 0 < each < count]
    bounds = [start, *(start + each for each in inner), stop]
    return [
        *((each, p_value) for each in bounds[1:-1]),
        *(cut for pair in itertools.pairwise(bounds) for cut in _cuts(points, *pair, least)),
    ]


def _clearest(values: Sequence[float], floor: float) -> tuple[float, float, int, int]:
    """The stretch that differs most from the rest: (t, difference of the means, start, stop).

    Student's t with the pooled variance, which is at least `floor`.
    """
    count = len(values)
    sums = list(itertools.accumulate(values, initial=0.0))
    squares = sum(each * each for each in values) - sums[-1] ** 2 / count
    best = (0.0, 0.0, 0, 0)
    for low in range(count):
        for high in range(low + 1, count + (low > 0)):
            inside, size = sums[high] - sums[low], high - low
            difference = abs(inside / size - (sums[-1] - inside) / (count - size))
            weight = size * (count - size) / count
            within = max((squares - weight * difference**2) / (count - 2), floor, 1e-18)
            t = difference * math.sqrt(weight / within)
            if t > best[0]:
                best = (t, difference, low, high)
    return best
