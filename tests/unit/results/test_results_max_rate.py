"""The search of max_rate(), on a queue that is simulated."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from results_made import PLAN, observed

from modelzoo_runner import Interrupted, MaxRateResult
from modelzoo_runner.api import max_rate as api
from modelzoo_runner.errors import ResultError
from modelzoo_runner.execution import loop
from modelzoo_runner.results.max_rate import Trial
from modelzoo_runner.values.context import QUIET

QUERIES = 662
Measured = Callable[[float, int], Trial]


def queue(service: Callable[[random.Random], float]) -> Measured:
    """A queue with one server: each query waits for what the one before leaves (Lindley)."""

    def measured(rate: float, seed: int) -> Trial:
        chance = random.Random(seed)
        steps = tuple(service(chance) for _ in range(QUERIES))
        due = list(itertools.islice(loop.arrivals("poisson", rate or 1.0, seed), QUERIES))
        waits, free = [], 0.0
        for at, step in zip(due, steps, strict=True):
            free = max(free, at)
            waits.append(free - at)
            free += step
        waits = waits if rate else [0.0] * QUERIES
        return Trial(rate=rate, seed=seed, wait_seconds=tuple(waits), step_seconds=steps)

    return measured


def searched(measured: Measured, limit: float, *, seconds: float = math.inf) -> MaxRateResult:
    first = MaxRateResult(
        plan=PLAN,
        observed=observed(),
        latency_p99=limit,
        tolerance=0.05,
        trials=(measured(0.0, 0),),
        stopped="interrupted",
        started="2026-01-01T00:00:00+00:00",
        seconds=0.0,
    )
    return api.searched(first, measured, QUERIES, seconds, QUIET)


@pytest.fixture(scope="module")
def found() -> MaxRateResult:
    return searched(queue(lambda _: 0.01), 0.05)


def test_the_rate_is_that_of_a_queue_whose_p99_is_known(found: MaxRateResult) -> None:
    # Steps of 10 ms and at most 40 ms of waiting: in a queue M/D/1, 1 % wait longer at 0.56 of the
    # capacity and 0.1 % at 0.41 (Crommelin's formula); one that is tried is within 0.05 of either.
    assert found.rate is not None
    assert 35 < found.rate < 62
    assert found.capacity == pytest.approx(100)
    low, high = found.bracket
    assert low == found.rate and high - low <= 0.05 * found.capacity


def test_both_ends_were_measured_several_times_with_other_arrivals(found: MaxRateResult) -> None:
    for end in found.bracket:
        assert len({trial.seed for trial in found.at(end)}) >= 3
    assert found.stopped == "found" and found.next_rate is None
    assert found.keeps(found.bracket[0]) and not found.keeps(found.bracket[1])


@pytest.mark.parametrize("number", range(14))
@pytest.mark.parametrize("slow", [True, False])
def test_one_measurement_that_is_wrong_does_not_decide(number: int, *, slow: bool) -> None:
    def measured(rate: float, seed: int) -> Trial:
        is_late = rate > 60
        late = slow if seed == number else is_late
        wait = (1.0 if late else 0.0,) * QUERIES
        return Trial(rate=rate, seed=seed, wait_seconds=wait, step_seconds=(0.01,) * QUERIES)

    found = searched(measured, 0.05)
    low, high = found.bracket
    assert low <= 60 <= high and high - low <= 5
    assert all(len(found.at(end)) >= 3 for end in (low, high))


def test_a_limit_below_the_step_is_kept_at_no_rate() -> None:
    found = searched(queue(lambda _: 0.01), 0.009)
    assert found.rate is None and found.bracket == (0, 0)
    assert found.rates == [0] and len(found.trials) == 3
    assert "never 99 %" in str(found)


def test_a_limit_just_above_the_step_needs_less_than_any_rate_tried() -> None:
    found = searched(queue(lambda chance: 0.01), 0.0100001)
    assert found.rate is None and 0 < found.bracket[1] <= 5
    assert "less than" in str(found)


def test_a_generous_limit_ends_near_the_capacity() -> None:
    found = searched(queue(lambda _: 0.01), 100.0)
    assert found.rate is not None and found.rate > 94
    assert found.bracket[1] == pytest.approx(100)


def test_without_time_it_says_that_it_is_not_confirmed() -> None:
    found = searched(queue(lambda _: 0.01), 0.05, seconds=-math.inf)
    assert found.stopped == "time" and len(found.trials) == 1
    assert "max_seconds" in str(found)


def test_ctrl_c_holds_what_was_measured() -> None:
    numbers = itertools.count()

    def measured(rate: float, seed: int) -> Trial:
        if next(numbers) == 4:
            raise KeyboardInterrupt
        return queue(lambda _: 0.01)(rate, seed)

    with pytest.raises(Interrupted) as caught:
        searched(measured, 0.05)
    assert len(caught.value.result.trials) == 4
    assert caught.value.result.stopped == "interrupted"


def test_rows_text_and_page(found: MaxRateResult) -> None:
    rows = found.rows()
    assert [row["rate_queries_per_second"] for row in rows] == found.rates
    assert sum(row["queries"] for row in rows) == QUERIES * len(found.trials)
    for row in rows:
        assert row["keeps_limit"] == (row["late"] / row["measurements"] < 3)
        assert row["latency_p99_seconds"] <= row["latency_p99_bound_seconds"]
        assert row["service_mean_seconds"] == pytest.approx(0.01)
    for page in (str(found), found._repr_html_()):
        assert "one by one" in page and "in time" in page and "too late" in page
        assert f"{found.rate:.4g} queries/s" in page


def test_it_is_read_as_it_was_saved_and_not_if_it_was_edited(
    found: MaxRateResult, tmp_path: Path
) -> None:
    path = found.save(tmp_path / "rates.json")
    assert MaxRateResult.load(path) == found
    record = found.to_dict()
    record["summary"]["rate_queries_per_second"] = 99.0
    with pytest.raises(ResultError, match=r"summary\.rate"):
        MaxRateResult.from_dict(record)
    with pytest.raises(ResultError, match="max_rate"):
        MaxRateResult.from_dict({"schema": 2, "kind": "ab"})
