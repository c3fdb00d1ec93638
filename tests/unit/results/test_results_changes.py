"""Change points: those that are there are found, where they are; noise isn't one."""

from __future__ import annotations

import math
import random

import pytest
from results_made import benchmark_result, of_processes

from modelzoo_runner.results.changes import Point, change_points, point


def series(levels: list[float], *, spread: float, seed: int, known: bool = True) -> list[Point]:
    chance = random.Random(seed)
    return [
        Point(
            throughput=level * math.exp(chance.gauss(0, spread)),
            started=f"2026-01-{number + 1:02}",
            log_variance=spread**2 if known else None,
        )
        for number, level in enumerate(levels)
    ]


def test_a_step_down_is_found_where_it_is() -> None:
    points = series([100] * 8 + [90] * 6, spread=0.01, seed=1)
    (found,) = change_points("s", points, min_effect=0.03)
    assert found.position == 8 and found.first is points[8]
    assert found.ratio == pytest.approx(0.9, rel=0.02) and found.p_value < 0.001
    assert "11 % slower since 2026-01-09" in str(found)


def test_two_steps() -> None:
    points = series([100] * 8 + [80] * 8 + [100] * 8, spread=0.01, seed=2)
    found = change_points("s", points, min_effect=0.03)
    assert [each.position for each in found] == [8, 16]
    assert found[0].ratio < 1 < found[1].ratio


def test_one_new_result_far_below_is_a_change() -> None:
    points = series([100] * 9 + [85], spread=0.01, seed=3)
    assert [each.position for each in change_points("s", points, min_effect=0.03)] == [9]


def test_what_is_smaller_than_the_smallest_effect_is_none() -> None:
    points = series([100] * 20 + [98] * 20, spread=0.002, seed=4)
    assert change_points("s", points, min_effect=0.03) == []
    assert len(change_points("s", points, min_effect=0.01)) == 1


def test_invalid_results_are_left_out() -> None:
    points = series([100] * 8, spread=0.01, seed=5)
    bad = Point(throughput=10.0, started="2026-01-09", verdict="invalid")
    assert change_points("s", [bad] * 5, min_effect=0.03) == []
    assert change_points("s", [*points[:4], bad, *points[4:]], min_effect=0.03) == []


def test_false_alarms_are_as_rare_as_they_say() -> None:
    """1 % of series: of 300, 3 are expected, and 9 or fewer with 99.9 %."""
    alarms = sum(
        bool(change_points("s", series([100] * 15, spread=0.05, seed=seed), min_effect=0.0))
        for seed in range(300)
    )
    assert alarms <= 9


def test_the_spread_between_processes_keeps_results_that_agree_by_chance_from_alarms() -> None:
    """Three results nearly equal, the fourth 5 % below: with processes that differ by as much as
    that it is nothing."""
    levels = [100, 100.01, 99.99, 95]
    quiet = [Point(throughput=each, started="x", log_variance=None) for each in levels]
    spread = [Point(throughput=each, started="x", log_variance=0.03**2) for each in levels]
    assert len(change_points("s", quiet, min_effect=0.03)) == 1
    assert change_points("s", spread, min_effect=0.03) == []


def test_the_point_of_a_result() -> None:
    found = point(of_processes(0.1, 0.1 * math.e**0.2), "abc")
    assert found.label == "abc" and found.log_variance == pytest.approx(0.02 / 2)
    assert point(benchmark_result()).log_variance is None
