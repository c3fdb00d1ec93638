"""Gates on scores: the sequential interval holds under peeking, and outcomes follow from it."""

from __future__ import annotations

import functools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results_made import accuracy_result, plan
from scipy.special import gammaln

from modelzoo_runner.results import gates


@st.composite
def samples(draw: Any) -> tuple[int, int, int]:
    available = draw(st.integers(1, 400))
    seen = draw(st.integers(1, available))
    return draw(st.integers(0, seen)), seen, available


@given(samples())
def test_the_interval_is_the_set_of_the_theorem(sample: tuple[int, int, int]) -> None:
    """Every number of hits whose prior is less than 20 times its posterior, and no other."""
    hits, seen, available = sample

    def log_choose(n: int, k: int) -> float:
        return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    logs = {
        count: log_choose(count, hits) + log_choose(available - count, seen - hits)
        for count in range(hits, available - (seen - hits) + 1)
    }
    total = log_choose(available + 1, seen + 1)
    inside = [
        count
        for count, each in logs.items()
        if -float(gammaln(available + 2) - gammaln(available + 1)) - (each - total) < 2.995732
    ]
    low, high = gates.whole_interval(hits, seen, available)
    assert low * available == pytest.approx(inside[0]) or abs(low * available - inside[0]) <= 1
    assert abs(high * available - inside[-1]) <= 1
    assert low <= hits / seen <= high or seen < available


def test_with_the_last_example_it_is_a_point() -> None:
    assert gates.whole_interval(7, 10, 10) == (0.7, 0.7)
    assert gates.whole_interval(0, 10, 10) == (0.0, 0.0)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.76])
def test_it_holds_at_all_times_together(share: float) -> None:
    """Of 300 orders of the same examples, in at most 5 % is the truth ever outside."""
    available = 300
    truth = round(share * available)
    examples = [1] * truth + [0] * (available - truth)
    chance = random.Random(5)
    interval = functools.cache(gates.whole_interval)
    wrong = 0
    for _ in range(300):
        chance.shuffle(examples)
        hits = 0
        for seen, each in enumerate(examples, 1):
            hits += each
            low, high = interval(hits, seen, available)
            if not low <= truth / available <= high:
                wrong += 1
                break
    assert wrong <= 15


def test_a_clear_gate_is_decided_long_before_the_end_and_a_close_one_is_not() -> None:
    clear, close = (plan(kind="accuracy", min_scores={"top1": each}) for each in (0.5, 0.75))
    assert gates.decided(clear, {"top1": 75}, 100, 50_000)
    assert not gates.decided(close, {"top1": 75}, 100, 50_000)
    assert not gates.decided(clear, {"top1": 75}, 0, 50_000)
    assert not gates.decided(clear, {}, 100, 50_000)


@pytest.mark.parametrize(
    ("changes", "examples", "outcome"),
    [
        ({"min_scores": {"top1": 0.7}}, 1000, "passed"),
        ({"min_scores": {"top1": 0.75}}, 1000, "passed"),
        ({"min_scores": {"top1": 0.76}}, 1000, "failed"),
        ({"min_scores": {"top1": 0.74}, "limit": 100}, 100, "undecided"),
        ({"min_scores": {"top1": 0.5}, "limit": 100}, 100, "passed"),
        ({"min_scores": {"top1": 0.95}, "limit": 100}, 100, "failed"),
        ({"max_drop": 0.01, "published": {"top1": 0.76}}, 1000, "passed"),
        ({"max_drop": 0.001, "published": {"top1": 0.76}}, 1000, "failed"),
    ],
)
def test_outcomes(changes: dict[str, Any], examples: int, outcome: str) -> None:
    result = accuracy_result(
        {"top1": examples * 3 // 4},
        examples,
        available=1000,
        plan=plan(kind="accuracy", **changes),
    )
    (gate,) = result.gates
    assert gate.outcome == outcome and outcome in str(result)


def test_detectors_are_judged_by_their_scores_of_all_images() -> None:
    gated = plan(kind="accuracy", task="detection", min_scores={"AP": 0.3}, max_drop=0.01)
    gated = plan(
        kind="accuracy",
        task="detection",
        min_scores={"AP": 0.3},
        max_drop=0.01,
        published={"AP50": 0.5},
    )
    result = accuracy_result(
        {},
        100,
        plan=gated,
        scores={"AP": 0.31, "AP50": 0.52},
        legacy_scores={"AP": 0.29, "AP50": 0.48},
    )
    by_name = {each.score: each.outcome for each in result.gates}
    # The published score is by the legacy rules.
    assert by_name == {"AP": "passed", "AP50": "failed"}


def test_a_score_that_there_is_none_of() -> None:
    result = accuracy_result({"top1": 1}, 2, plan=plan(kind="accuracy", min_scores={"top2": 0.5}))
    assert [each.outcome for each in result.gates] == ["undecided"] and str(result)


def test_a_result_without_gates_has_none() -> None:
    assert accuracy_result({"top1": 1}, 2).gates == ()
