"""What follows from a list of durations.

Pure arithmetic on numbers in seconds; standard library only, so that a saved result can be read
anywhere. What was timed is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLES_FOR = {0.50: 11, 0.90: 64, 0.99: 662}
"""How many samples a percentile claim needs: so many that with 99 % confidence no more than the
claimed share is slower, one miss allowed. It is MLPerf's rule (its 662 for p99), and solves
`p**n + n * p**(n-1) * (1-p) <= 0.01` for n."""

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a list of durations comes to, in the durations' unit.

    `p90` and `p99` are `None` where there are too few samples for the claim (64 and 662 needed).
    `p50_interval` is the 95 % confidence interval of the median, `None` below 6 samples.
    """

    count: int
    mean: float
    std: float
    min: float
    p50: float
    p90: float | None
    p99: float | None
    max: float
    p50_interval: tuple[float, float] | None


def summarize(durations: Sequence[float]) -> Summary:
    """The summary of at least one duration.

    >>> summarize([1.0, 2.0, 3.0]).p50
    2.0
    """
    ordered = sorted(durations)
    count = len(ordered)
    mean = math.fsum(ordered) / count
    return Summary(
        count=count,
        mean=mean,
        std=math.sqrt(math.fsum((each - mean) ** 2 for each in ordered) / max(1, count - 1)),
        min=ordered[0],
        p50=percentile(ordered, 0.50),
        p90=percentile(ordered, 0.90) if count >= SAMPLES_FOR[0.90] else None,
        p99=percentile(ordered, 0.99) if count >= SAMPLES_FOR[0.99] else None,
        max=ordered[-1],
        p50_interval=median_interval(ordered),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of a sorted list lies, interpolated linearly.

    Definition 7 of Hyndman and Fan (The American Statistician 50(4), 1996), which numpy uses too.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5
    """
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median_interval(ordered: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the median of a sorted list, from its order statistics.

    Non-parametric: the number of samples below the true median is binomial(n, 1/2), so the
    interval from the k-th smallest to the k-th largest has a known coverage (Conover, Practical
    Nonparametric Statistics, 1999, section 3.2). `None` below 6 samples, where no such k exists.
    """
    count = len(ordered)
    tail = (1 - CONFIDENCE) / 2
    below = 0.0
    k = 0
    while True:
        below += math.exp(_log_choose(count, k) - count * math.log(2))
        if below > tail:
            break
        k += 1
    return (ordered[k - 1], ordered[count - k]) if k > 0 else None


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share of which `hits` of `count` were seen.

    Wilson's score interval (Journal of the American Statistical Association 22, 1927): unlike the
    normal approximation it stays within 0..1 and holds for few examples.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    z = 1.959963984540054  # of a normal distribution, 95 % lies within so many deviations
    share = hits / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
