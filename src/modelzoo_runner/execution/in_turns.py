"""Measure several plans in turns, in rounds of fresh processes, until something ends it.

How plans are opened, and how a side is measured, isn't known here (see `serve`).
"""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from modelzoo_runner.errors import Interrupted
from modelzoo_runner.results.ab import ABResult, Round, Side, Stopped, Turn
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values import words
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

LOOKS = (4, 8, 16)
"""After how many rounds the intervals are looked at. Fixed beforehand, so that looking often costs
no more than `ratio.split_confidence` says."""

ROUND_SECONDS = 4.0
"""How long the sides are measured in a round: about as long as it takes to open them."""

LEAST_TURNS = 3
"""Turns of each side in a round, if steps are so long that `ROUND_SECONDS` are over before."""

TURN_SECONDS = 0.05
"""How long a side is measured at a time, a step at least: about as long as it runs unmeasured
before (`job.LEAD_IN_SECONDS`). What disturbs a machine for longer than that disturbs all sides
alike."""

RESTLESS = 0.10
"""Standard deviation of the rounds' log ratios from which on the machine is called busy. Alone on
two CPUs it is some 2 %: processes of one program differ by as much."""


class Timed(Protocol):
    """What a turn took."""

    @property
    def step_seconds(self) -> tuple[float, ...]: ...


class Measurable(Protocol):
    """A side that is open: its plan, what was found, and a way to measure it."""

    @property
    def plan(self) -> Plan: ...
    @property
    def observed(self) -> Observed: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def measure(self, *, seconds: float) -> Timed: ...


Opened = Callable[[Sequence[int]], AbstractContextManager[Sequence[Measurable]]]
"""Opens all sides in fresh processes, started in the order of their given numbers."""


def measured(
    opened: Opened,
    named: Sequence[tuple[str, str | None]],
    *,
    rounds: int | None,
    min_effect: float,
    max_seconds: float,
    seed: int,
    context: Context,
    round_seconds: float | None = None,
    least_turns: int = LEAST_TURNS,
) -> ABResult:
    """The result of measuring the sides, given by name and interpreter, until something ends it."""
    chance = random.Random(seed)
    seconds = ROUND_SECONDS if round_seconds is None else round_seconds
    began = time.monotonic()
    result: ABResult | None = None
    context.tell("rounds", 0, rounds or LOOKS[-1])
    try:
        while True:
            before = time.monotonic()
            with opened(_order(len(named), chance)) as contenders:
                if result is None:
                    result = ABResult(
                        sides=tuple(
                            Side(name=name, plan=side.plan, observed=side.observed, python=python)
                            for (name, python), side in zip(named, contenders, strict=True)
                        ),
                        rounds=(),
                        min_effect=min_effect,
                        looks=1 if rounds is not None else len(LOOKS),
                        stopped="interrupted",
                        started=words.now(),
                        seconds=0.0,
                    )
                done = round_of(contenders, chance, seconds, least_turns)
                said = tuple(_warnings(result.sides, contenders))
            now = time.monotonic()
            result = dataclasses.replace(
                result,
                rounds=(*result.rounds, done),
                seconds=now - began,
                warnings=tuple(dict.fromkeys((*result.warnings, *said))),
            )
            context.tell("rounds", len(result.rounds), rounds or LOOKS[-1])
            stopped = _reason_to_stop(result, rounds, max_seconds - (now - before))
            if stopped is not None:
                said = (*result.warnings, *_restless(result))
                return dataclasses.replace(result, stopped=stopped, warnings=said)
    except KeyboardInterrupt:
        if result is None or not result.rounds:
            raise
        raise Interrupted(result, after=f"{len(result.rounds)} rounds") from None


def _order(count: int, chance: random.Random) -> list[int]:
    order = list(range(count))
    chance.shuffle(order)
    return order


def round_of(
    contenders: Sequence[Measurable],
    chance: random.Random,
    seconds: float,
    least_turns: int = LEAST_TURNS,
) -> Round:
    """Turns of sides that are open, for so many seconds and at least so many."""
    until = time.monotonic() + seconds
    turns: list[Turn] = []
    while len(turns) < least_turns or time.monotonic() < until:
        order = _order(len(contenders), chance)
        found = {side: contenders[side].measure(seconds=TURN_SECONDS) for side in order}
        steps = tuple(found[side].step_seconds for side in range(len(contenders)))
        turns.append(Turn(order=tuple(order), step_seconds=steps))
    return Round(turns=tuple(turns))


def _warnings(sides: Sequence[Side], contenders: Sequence[Measurable]) -> Iterator[str]:
    for side, each in zip(sides, contenders, strict=True):
        yield from (f"{side.name}: {said}" for said in each.warnings)


def _restless(result: ABResult) -> Iterator[str]:
    """Where the rounds differ so much that something else must be keeping the machine busy."""
    restless = []
    for number, side in enumerate(result.sides[1:], 1):
        ratios = result.log_ratios(number)
        if len(ratios) > 2 and statistics.stdev(ratios) > RESTLESS:
            restless.append(f"{side.name} by {words.percent(statistics.stdev(ratios))}")
    if restless:
        yield (
            f"ratios changed from round to round ({', '.join(restless)}): something else keeps "
            "this machine busy. Without it the result comes sooner and is surer"
        )


def _reason_to_stop(result: ABResult, rounds: int | None, seconds_left: float) -> Stopped | None:
    """Why the measuring ends with this round; `None` where another one is due and has its time.

    `seconds_left` is the budget without another round as long as the last one.
    """
    count = len(result.rounds)
    if rounds is None and count in LOOKS:
        comparisons = result.comparisons
        if all(each.verdict != "inconclusive" for each in comparisons):
            return "decided"
        if all(each.width <= result.min_effect for each in comparisons):
            return "narrow"
    if count >= (rounds or LOOKS[-1]):
        return "rounds"
    return "time" if result.seconds > seconds_left else None
