from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from modelzoo_runner.results import stats

durations = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200)


@given(durations, st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_percentile_is_numpys(values: list[float], share: float) -> None:
    assert stats.percentile(sorted(values), share) == pytest.approx(
        np.percentile(values, share * 100), rel=1e-12
    )


@given(durations)
def test_summary_is_what_numpy_says(values: list[float]) -> None:
    summary = stats.summarize(values)
    assert summary.count == len(values)
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.p50 == pytest.approx(np.median(values))
    if len(values) > 1:
        assert summary.std == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-9)
    assert summary.min <= summary.p50 <= summary.max


def test_a_percentile_is_only_claimed_with_enough_samples() -> None:
    assert stats.summarize([1.0] * 63).p90 is None
    assert stats.summarize([1.0] * 64).p90 == 1.0
    assert stats.summarize([1.0] * 661).p99 is None
    assert stats.summarize([1.0] * 662).p99 == 1.0


@pytest.mark.parametrize(("share", "needed"), stats.SAMPLES_FOR.items())
def test_the_numbers_of_samples_solve_the_rule_they_cite(share: float, needed: int) -> None:
    def doubt(n: int) -> float:
        return share**n + n * share ** (n - 1) * (1 - share)

    assert doubt(needed) <= 0.01 < doubt(needed - 1)


@pytest.mark.parametrize(
    # Of MLPerf's load generator: queries needed for so many late ones at 90 % and 99 %.
    ("share", "late", "needed"),
    [(0.90, 0, 44), (0.90, 1, 64), (0.99, 0, 459), (0.99, 1, 662)],
)
def test_late_queries_allowed_are_mlperfs(share: float, late: int, needed: int) -> None:
    assert stats.late_allowed(needed, share) == late
    assert stats.late_allowed(needed - 1, share) == (late - 1 if late else None)


@given(st.integers(0, 5_000), st.sampled_from([0.5, 0.9, 0.99]))
def test_late_queries_allowed_are_those_of_the_binomial(count: int, share: float) -> None:
    late = stats.late_allowed(count, share)
    most = -1 if late is None else late
    enough, too_many = binom.cdf([most, most + 1], count, 1 - share)
    assert enough <= 0.01 + 1e-9 and too_many > 0.01 - 1e-9


def test_a_bound_has_as_many_above_it_as_are_allowed() -> None:
    assert stats.percentile_bound([float(each) for each in range(662)], 0.99) == 660.0
    assert stats.percentile_bound([1.0] * 458, 0.99) is None


@pytest.mark.parametrize(
    # Ranks of the 95 % interval of a median, from the tables in Conover (1999), appendix A3.
    ("count", "low", "high"),
    [(6, 1, 6), (10, 2, 9), (20, 6, 15), (50, 18, 33), (100, 40, 61)],
)
def test_median_interval_has_the_ranks_of_the_tables(count: int, low: int, high: int) -> None:
    ordered = [float(rank) for rank in range(1, count + 1)]
    assert stats.median_interval(ordered) == (low, high)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_interval_of_a_median_of_few(count: int) -> None:
    assert stats.median_interval([1.0] * count) is None


def test_median_interval_of_very_many_does_not_underflow() -> None:
    low, high = stats.median_interval([float(rank) for rank in range(50_000)]) or (0, 0)
    assert 24_700 < low < 25_000 < high < 25_300


@pytest.mark.parametrize(
    # Newcombe, Statistics in Medicine 17 (1998), table I: Wilson's score interval without
    # continuity correction.
    ("hits", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(
    hits: int, count: int, low: float, high: float
) -> None:
    assert stats.wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_wilson_interval_holds_the_share(count: int, share: float) -> None:
    hits = round(count * share)
    low, high = stats.wilson_interval(hits, count)
    assert 0 <= low <= hits / count + 1e-12 and hits / count - 1e-12 <= high <= 1
