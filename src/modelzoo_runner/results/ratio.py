"""How two speeds compare: a ratio, its confidence interval, and the verdict that follows.

A ratio is `changed / reference` of throughputs: above 1 the changed one is faster. Intervals are of
logarithms, in which 2x faster and 2x slower are equally far from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelzoo_runner.results import stats
from modelzoo_runner.results.stats import Interval

Verdict = Literal["faster", "slower", "same", "inconclusive"]

FACTOR_FROM = 0.20
"""Differences from here on are told as a factor ("1.25x faster"), smaller ones in percent."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of throughputs, changed over reference.

    `interval` is `None` where nothing is known of the spread. `confidence` is the probability with
    which the interval holds the true ratio, after all corrections. `min_effect` is the smallest
    difference that matters.
    """

    value: float
    interval: Interval | None
    min_effect: float
    confidence: float = stats.CONFIDENCE

    @property
    def verdict(self) -> Verdict:
        """`"faster"` or `"slower"` where all of the interval is beyond `min_effect`, `"same"` where
        all of it is within, else `"inconclusive"`.

        A test against a minimum effect (Murphy and Myors, Journal of Applied Psychology 84, 1999)
        and one of equivalence (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15,
        1987) by one interval. Two processes of one program do differ by a little, so that a test
        against "no difference at all" finds one if only it measures for long enough.
        """
        if self.interval is None:
            return "inconclusive"
        low, high = self.interval
        beyond = 1 + self.min_effect
        if low > beyond:
            return "faster"
        if high < 1 / beyond:
            return "slower"
        return "same" if 1 / beyond <= low and high <= beyond else "inconclusive"

    @property
    def width(self) -> float:
        """How far apart the ends of the interval are, as a share."""
        return math.inf if self.interval is None else self.interval[1] / self.interval[0] - 1

    def __str__(self) -> str:
        verdict = self.verdict
        if verdict == "same":
            head = f"same within {100 * self.min_effect:.3g} %"
        elif verdict == "inconclusive":
            head = f"inconclusive: {in_words(self.value)}"
        else:
            head = in_words(self.value)
        if self.interval is None:
            return head
        low, high = self.interval
        return (
            f"{head} ({self.value:.3f}x, {100 * self.confidence:.3g} % interval {low:.3f}x to "
            f"{high:.3f}x)"
        )


def in_words(ratio: float) -> str:
    """A ratio of throughputs as people say it.

    >>> in_words(2.85), in_words(0.5), in_words(1.031), in_words(1.0)
    ('2.85x faster', '2x slower', '3.1 % faster', 'as fast')
    """
    factor = max(ratio, 1 / ratio)
    word = "faster" if ratio >= 1 else "slower"
    if factor < 1.00005:
        return "as fast"
    if factor - 1 >= FACTOR_FROM:
        return f"{factor:.3g}x {word}"
    return f"{100 * (factor - 1):.2g} % {word}"


def of_rounds(
    log_ratios: Sequence[float],
    *,
    min_effect: float,
    looks: int = 1,
    comparisons: int = 1,
) -> Ratio:
    """The ratio that the logarithms of one ratio a round come to: their trimmed mean, with a
    t-interval.

    Args:
        log_ratios: log(changed / reference), a value for each round.
        min_effect: the smallest difference that matters.
        looks: how often at most the interval is looked at before the measuring ends.
        comparisons: how many intervals there are that should all hold.
    """
    interval = stats.trimmed_interval(log_ratios, split_confidence(looks, comparisons))
    return Ratio(
        value=math.exp(stats.trimmed_mean(log_ratios)),
        interval=None if interval is None else (math.exp(interval[0]), math.exp(interval[1])),
        min_effect=min_effect,
    )


def split_confidence(looks: int, comparisons: int) -> float:
    """The confidence of one interval, so that all of them hold together with 95 %.

    Bonferroni: the error of 5 % is shared equally by the planned looks and the comparisons. With
    the looks that is alpha spending in equal parts (Lan and DeMets, Biometrika 70, 1983), and the
    intervals are repeated confidence intervals (Jennison and Turnbull, Journal of the Royal
    Statistical Society B 51, 1989): they hold at every look together, by whatever rule the
    measuring ends. No assumption on how the looks depend on each other.
    """
    return 1 - (1 - stats.CONFIDENCE) / looks / comparisons
