"""Statistics of durations, ratios and shares: summaries and confidence intervals.

Standard library only, so that a saved result can be read and compared anywhere. What was measured
isn't known here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

SAMPLES_FOR = {0.50: 11, 0.90: 64, 0.99: 662}
"""How many samples a percentile claim needs: so many that with 99 % confidence no more than the
claimed share is slower, one miss allowed. It is MLPerf's rule (its 662 for p99), and solves
`p**n + n * p**(n-1) * (1-p) <= 0.01` for n."""

TAIL_CONFIDENCE = 0.99
"""Of claims about percentiles; MLPerf's."""

CONFIDENCE = 0.95

TRIMMED = 0.20
"""The share of values that a trimmed mean leaves out at either end."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Statistics of a list of durations, in the durations' unit.

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
    p50_interval: Interval | None


def summarize(durations: Sequence[float]) -> Summary:
    """The summary of at least one duration.

    >>> summarize([1.0, 2.0, 3.0]).p50
    2.0
    """
    ordered = sorted(durations)
    count = len(ordered)
    return Summary(
        count=count,
        mean=fmean(ordered),
        std=math.sqrt(variance(ordered)) if count > 1 else 0.0,
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


def late_allowed(count: int, share: float) -> int | None:
    """How many of `count` queries may be later than a limit, if with 99 % confidence at least
    `share` of all are to be in time; `None` if `count` is too few to tell.

    MLPerf Inference's early stopping criterion (MLPerf Inference Rules, "Early Stopping
    Criterion", without tolerance): the largest t with P(T <= t) <= 0.01, where T is binomial with
    probability 1 - `share`. It takes queries for independent.

    >>> late_allowed(662, 0.99), late_allowed(10_000, 0.99), late_allowed(100, 0.99)
    (1, 77, None)
    """
    late, below = -1, 0.0
    while late < count:
        chosen = log_choose(count, late + 1) + (late + 1) * math.log1p(-share)
        below += math.exp(chosen + (count - late - 1) * math.log(share))
        if below > 1 - TAIL_CONFIDENCE:
            break
        late += 1
    return late if late >= 0 else None


def percentile_bound(ordered: Sequence[float], share: float) -> float | None:
    """What a percentile of a sorted list is at most, with 99 % confidence; `None` if unknown.

    The smallest limit that `late_allowed` lets pass: an order statistic, whatever the distribution.
    """
    late = late_allowed(len(ordered), share)
    return None if late is None else ordered[-1 - late]


def queries_for(share: float) -> int:
    """How many queries show a percentile to within a twentieth of what is above it, with 99 %
    confidence: MLPerf Inference's count for its Server scenario.

    z² share (1 - share) / margin² with margin = (1 - share) / 20 (Reddi et al., MLPerf Inference
    Benchmark, ISCA 2020, equations 1 and 2, arXiv:1911.02549).

    >>> queries_for(0.90), queries_for(0.95), queries_for(0.99)
    (23886, 50425, 262742)
    """
    z = NormalDist().inv_cdf((1 - TAIL_CONFIDENCE) / 2)
    return round(z * z * share * (1 - share) / ((1 - share) / 20) ** 2)


def median_interval(ordered: Sequence[float]) -> Interval | None:
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
        below += math.exp(log_choose(count, k) - count * math.log(2))
        if below > tail:
            break
        k += 1
    return (ordered[k - 1], ordered[count - k]) if k > 0 else None


def wilson_interval(hits: int, count: int) -> Interval:
    """The 95 % confidence interval of a share of which `hits` of `count` were seen.

    Wilson's score interval (Journal of the American Statistical Association 22, 1927): unlike the
    normal approximation it stays within 0..1 and holds for few examples.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    z = 1.959963984540054  # of a normal distribution, 95 % lies within so many deviations
    share = hits / count
    center = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The confidence interval of the mean of independent values (Student, Biometrika 6, 1908).

    `None` below two values.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    if len(values) < 2:
        return None
    mean = fmean(values)
    half = t_quantile(confidence, len(values) - 1) * math.sqrt(variance(values) / len(values))
    return mean - half, mean + half


def geometric_interval(values: Sequence[float]) -> Interval | None:
    """The 95 % confidence interval of the geometric mean of independent values: Student's, of their
    logarithms. `None` below two values.
    """
    interval = t_interval([math.log(each) for each in values])
    return None if interval is None else (math.exp(interval[0]), math.exp(interval[1]))


def trimmed_mean(values: Sequence[float]) -> float:
    """The mean without the highest and the lowest fifth of the values: a disturbance that comes and
    goes doesn't move it. Below eight values nothing is left out.

    >>> trimmed_mean([1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 100.0])
    3.0
    """
    cut = _cut(len(values))
    return fmean(sorted(values)[cut : len(values) - cut])


def trimmed_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The confidence interval of the trimmed mean of independent values; `None` below two values.

    Student's t with the winsorized variance (Tukey and McLaughlin, Sankhya A 25, 1963; Yuen,
    Biometrika 61, 1974). Below eight values, where nothing is left out, it is Student's.

    >>> low, high = trimmed_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    count, cut = len(values), _cut(len(values))
    if count < 2:
        return None
    kept = sorted(values)[cut : count - cut]
    winsorized = [min(max(each, kept[0]), kept[-1]) for each in values]
    squares = (count - 1) * variance(winsorized)
    error = math.sqrt(squares / (len(kept) * (len(kept) - 1)))
    half = t_quantile(confidence, len(kept) - 1) * error
    mean = fmean(kept)
    return mean - half, mean + half


def _cut(count: int) -> int:
    return int(TRIMMED * count) if count >= 8 else 0


def difference_interval(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """The confidence interval of mean(second) - mean(first), of groups with a common variance.

    Student's two-sample interval with the pooled variance. A group of one value borrows the
    variance of the other; `None` where both have but one.
    """
    freedom = len(first) + len(second) - 2
    if freedom < 1:
        return None
    squares = sum((len(each) - 1) * variance(each) for each in (first, second) if len(each) > 1)
    error = math.sqrt(squares / freedom * (1 / len(first) + 1 / len(second)))
    half = t_quantile(confidence, freedom) * error
    difference = fmean(second) - fmean(first)
    return difference - half, difference + half


@functools.lru_cache(maxsize=1024)
def t_quantile(confidence: float, freedom: int) -> float:
    """The t within which `confidence` of Student's distribution lies, on both sides of 0.

    >>> round(t_quantile(0.95, 4), 3), round(t_quantile(0.95, 1000), 2)
    (2.776, 1.96)
    """
    low, high = 0.0, 1.0
    while t_within(high, freedom) < confidence:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, freedom) < confidence else (low, middle)
    return (low + high) / 2


def t_within(t: float, freedom: int) -> float:
    """The probability that |T| < t for Student's distribution with whole degrees of freedom.

    The exact finite series of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
    and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))


def log_choose(n: int, k: int) -> float:
    """The logarithm of the number of ways to choose k of n."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
