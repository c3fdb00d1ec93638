"""ab_test(): what is asked, and when the measuring ends. The sides are made; no process starts."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from results_made import PLAN, accuracy_result, benchmark_result, observed

from modelzoo_runner import ab_test
from modelzoo_runner.errors import Interrupted, RequestError
from modelzoo_runner.execution import in_turns
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan


@dataclass(frozen=True)
class Took:
    step_seconds: tuple[float, ...]


@dataclass
class Made:
    """A side whose steps take 10 ms, with a log-normal spread over rounds and one over turns."""

    seconds: float = 0.01
    spread: float = 0.001
    within: float = 0.01
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    plan: Plan = PLAN
    observed: Observed = dataclasses.field(default_factory=observed)
    warnings: tuple[str, ...] = ()
    interrupt_after: int | None = None
    turns: int = 0
    of_round: float = 1.0

    def opened(self) -> Made:
        self.of_round = math.exp(self.chance.gauss(0, self.spread))
        return self

    def measure(self, *, seconds: float) -> Took:
        self.turns += 1
        if self.turns == self.interrupt_after:
            raise KeyboardInterrupt
        noise = math.exp(self.chance.gauss(0, self.within))
        return Took((self.seconds * self.of_round * noise,))


def measured(*sides: Made, chance: int = 1, **changes: Any) -> ABResult:
    shared = random.Random(chance)
    for side in sides:
        side.chance = shared

    @contextlib.contextmanager
    def opened(order: Sequence[int]) -> Iterator[list[Made]]:
        assert sorted(order) == list(range(len(sides)))
        yield [side.opened() for side in sides]

    values: dict[str, Any] = {
        "rounds": None,
        "min_effect": 0.01,
        "max_seconds": 60.0,
        "seed": 0,
        "context": Context(),
        "round_seconds": 0.0,
    }
    named = [("abc"[number], None) for number in range(len(sides))]
    return in_turns.measured(opened, named, **{**values, **changes})


def test_it_ends_at_the_first_look_that_decides() -> None:
    found = measured(Made(), Made(seconds=0.02))
    assert (found.verdict, found.stopped, len(found.rounds)) == ("slower", "decided", 4)


def test_what_is_the_same_is_decided_at_a_look_too() -> None:
    found = measured(Made(within=0.002), Made(within=0.002))
    assert (found.verdict, found.stopped) == ("same", "decided")
    assert len(found.rounds) in in_turns.LOOKS


def test_it_ends_when_the_interval_is_narrow_although_the_effect_is_at_the_limit() -> None:
    found = measured(Made(within=0.001), Made(seconds=0.0101, within=0.001))
    assert (found.verdict, found.stopped) == ("inconclusive", "narrow")


def test_it_ends_with_the_last_look_or_with_the_time() -> None:
    found = measured(Made(spread=0.5), Made(spread=0.5))
    assert (found.verdict, found.stopped, len(found.rounds)) == ("inconclusive", "rounds", 16)
    found = measured(Made(), Made(), max_seconds=1e-9)
    assert (found.stopped, len(found.rounds)) == ("time", 1)


def test_a_given_number_of_rounds_is_looked_at_once_and_has_narrower_intervals() -> None:
    found = measured(Made(), Made(seconds=0.02), rounds=12)
    assert (found.looks, found.stopped, len(found.rounds)) == (1, "rounds", 12)


def test_every_comparison_has_to_be_decided() -> None:
    found = measured(Made(), Made(seconds=0.02), Made())
    assert [each.verdict for each in found.comparisons] == ["slower", "same"]
    assert len(found.rounds) > 4


def test_the_order_in_a_round_is_drawn_from_the_seed() -> None:
    orders = [
        [turn.order for each in measured(Made(), Made(), seed=seed).rounds for turn in each.turns]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert {(0, 1), (1, 0)} == set(orders[0])


def test_progress_and_warnings_are_passed_on() -> None:
    told: list[tuple[str, int, int | None]] = []
    context = Context(progress=lambda *said: told.append(said))
    found = measured(Made(warnings=("w",)), Made(warnings=("w",)), rounds=2, context=context)
    assert told == [("rounds", done, 2) for done in range(3)]
    assert found.warnings == ("a: w", "b: w")


def test_a_busy_machine_is_told_of() -> None:
    (said,) = measured(Made(spread=0.5), Made(spread=0.5), rounds=50).warnings
    assert "keeps this machine busy" in said
    assert measured(Made(spread=0.05), Made(spread=0.05), rounds=50).warnings == ()


def test_an_interrupt_keeps_the_rounds_that_are_done() -> None:
    with pytest.raises(Interrupted) as caught:
        measured(Made(), Made(interrupt_after=4 * in_turns.LEAST_TURNS))
    assert len(caught.value.result.rounds) == 3 and caught.value.result.interrupted
    with pytest.raises(KeyboardInterrupt):
        measured(Made(), Made(interrupt_after=1))


def test_sides_without_a_difference_are_rarely_called_different() -> None:
    """Although each process has a speed of its own, far more than min_effect apart."""
    verdicts = [measured(Made(spread=0.03), Made(spread=0.03), chance=n).verdict for n in range(99)]
    assert sum(each in ("faster", "slower") for each in verdicts) <= 3


def test_another_round_is_begun_only_where_it_has_its_time() -> None:
    found = measured(Made(spread=0.5), Made(spread=0.5), max_seconds=0.5, round_seconds=0.2)
    assert found.stopped == "time" and len(found.rounds) <= 2


THEIRS = benchmark_result(
    plan=dataclasses.replace(
        PLAN, placement=dataclasses.replace(PLAN.placement, env={"LD_PRELOAD": "/x.so"})
    )
)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ({"batchsize": 1}, "'batchsize' is no argument of benchmark.*batch_size"),
        ({"steps": 5}, "steps: not of a side: rounds="),
        ({"instances": 2}, "instances: not of a side"),
        ({"python": "/none/python"}, "no such interpreter"),
        ({"model": None}, "model=None"),
        (THEIRS, "not 'LD_PRELOAD'; give it as env="),
        (PLAN, "give one of benchmark|a: "),
    ],
)
def test_a_side_that_cannot_be(side: Any, said: str) -> None:
    if isinstance(side, Plan):
        side = dataclasses.replace(side, kind="accuracy")
    with pytest.raises(RequestError, match=said):
        ab_test(side, {}, model="resnet50", weights="random")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rounds": 0}, "rounds=0"),
        ({"min_effect": -1}, "min_effect=-1"),
        ({"max_seconds": "long"}, "max_seconds='long'"),
        ({"progress": 3}, "progress"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        ab_test({}, {}, model="resnet50", **arguments)


def test_a_model_is_needed_and_names_are_each_sides_own() -> None:
    with pytest.raises(RequestError, match="a: model is missing"):
        ab_test({}, {})
    with pytest.raises(RequestError, match="an accuracy run"):
        ab_test(accuracy_result({"top1": 1}, 2).plan, {"model": "resnet50"})
