"""Verdicts on ratios, and the error rates of looking more than once."""

from __future__ import annotations

import math
import random

import pytest
from scipy.stats import t, trim_mean, ttest_ind

from modelzoo_runner.results import ratio, stats
from modelzoo_runner.results.ratio import Ratio


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.011, 1.2), "faster"),
        ((1.009, 1.2), "inconclusive"),
        ((0.8, 0.99), "slower"),
        ((0.8, 0.995), "inconclusive"),
        ((0.992, 1.009), "same"),
        ((0.9, 1.1), "inconclusive"),
        (None, "inconclusive"),
    ],
)
def test_verdicts(interval: tuple[float, float] | None, verdict: str) -> None:
    assert Ratio(value=1.0, interval=interval, min_effect=0.01).verdict == verdict


def test_in_words() -> None:
    found = Ratio(value=2.85, interval=(2.8, 2.9), min_effect=0.01)
    assert str(found) == "2.85x faster (2.850x, 95 % interval 2.800x to 2.900x)"
    assert str(Ratio(value=1.0, interval=(0.995, 1.002), min_effect=0.01)).startswith(
        "same within 1 % ("
    )


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 37, 300])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.995, 0.9995])
def test_quantiles_of_student_are_scipys(freedom: int, confidence: float) -> None:
    expected = t.ppf((1 + confidence) / 2, freedom)
    assert stats.t_quantile(confidence, freedom) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [8, 12, 57])
def test_the_trimmed_mean_and_its_interval_are_scipys(count: int) -> None:
    """scipy's test is of two samples: that of a sample against its mirror image has twice the
    squared error of one."""
    chance = random.Random(2)
    values = [chance.gauss(1, 1) for _ in range(count)]
    mean = stats.trimmed_mean(values)
    assert mean == pytest.approx(trim_mean(values, 0.2))
    found = ttest_ind(values, [-each for each in values], equal_var=False, trim=0.2)
    half = t.ppf(0.975, found.df / 2) * 2 * mean / found.statistic / math.sqrt(2)
    assert stats.trimmed_interval(values) == pytest.approx((mean - half, mean + half))


@pytest.mark.parametrize("count", [2, 7])
def test_few_values_are_not_trimmed(count: int) -> None:
    values = [random.Random(count).gauss(1, 1) for _ in range(count)]
    assert stats.trimmed_interval(values) == pytest.approx(stats.t_interval(values))


@pytest.mark.parametrize("spread", ["normal", "disturbed"])
def test_looking_often_doesnt_raise_the_error(spread: str) -> None:
    """Of 1,000 series without a difference at most 5 % are ever outside, whenever one looks."""
    chance = random.Random(3)
    looks = (4, 8, 16)
    wrong = 0
    for _ in range(1000):
        values = [chance.gauss(0, 0.03) for _ in range(looks[-1])]
        if spread == "disturbed":
            # A neighbor slows one of the two down now and then.
            values = [v + chance.choice((0, 0, 0, 0.3, -0.3)) for v in values]
        found = (ratio.of_rounds(values[:n], min_effect=0.0, looks=len(looks)) for n in looks)
        wrong += any(each.verdict != "inconclusive" for each in found)
    assert wrong <= 50


def test_an_effect_is_found() -> None:
    chance = random.Random(4)
    values = [math.log(1.1) + chance.gauss(0, 0.03) for _ in range(24)]
    found = ratio.of_rounds(values, min_effect=0.01, looks=10)
    assert found.verdict == "faster" and found.value == pytest.approx(1.1, rel=0.02)
