"""Measure open plans in turns, in rounds of random order, until something ends it.

How a plan is opened, and what one turn is, isn't known here (see `serve`).
"""

from __future__ import annotations

import dataclasses
import datetime
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from modelzoo_runner.errors import Interrupted
from modelzoo_runner.results.ab import ABResult, Round, Side, Stopped
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

LOOKS = (16, 23, 32, 45, 64, 91, 128, 181)
"""After how many rounds the intervals are looked at. Fixed beforehand, so that looking often costs
no more than `ratio.split_confidence` says; each is 1.4 times the one before."""

TURN_SECONDS = 0.1
"""How long a side is measured in a round: so short that what disturbs one side disturbs the other
too, and some thirty times as long as it takes to change sides."""

RESTLESS = 0.25
"""Standard deviation of the log ratios from which on the machine is called busy. Alone on two CPUs
they spread by a few percent, and by some 15 % beside a process that is busy half of the time."""


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


def measured(
    contenders: Sequence[Measurable],
    sides: Sequence[Side],
    *,
    rounds: int | None,
    min_effect: float,
    max_seconds: float,
    seed: int,
    context: Context,
) -> ABResult:
    """The result of measuring open sides in turns until something ends it."""
    chance = random.Random(seed)
    began = time.monotonic()
    result = ABResult(
        sides=tuple(sides),
        rounds=(),
        min_effect=min_effect,
        looks=1 if rounds is not None else len(LOOKS),
        stopped="interrupted",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        warnings=tuple(
            dict.fromkeys(
                f"{side.name}: {said}"
                for side, each in zip(sides, contenders, strict=True)
                for said in each.warnings
            )
        ),
    )
    most = rounds or LOOKS[-1]
    done: list[Round] = []
    stopped: Stopped | None = None
    try:
        while stopped is None:
            done.append(_round(contenders, chance))
            context.tell("rounds", len(done), most)
            result = dataclasses.replace(
                result, rounds=tuple(done), seconds=time.monotonic() - began
            )
            stopped = _reason_to_stop(result, rounds, max_seconds)
    except KeyboardInterrupt:
        if not result.rounds:
            raise
        raise Interrupted(result, after=f"{len(result.rounds)} rounds") from None
    return dataclasses.replace(
        result, stopped=stopped, warnings=(*result.warnings, *_restless(result))
    )


def _restless(result: ABResult) -> Iterator[str]:
    """Where the rounds differ so much that something else must be keeping the machine busy."""
    for number, side in enumerate(result.sides[1:], 1):
        ratios = result.log_ratios(number)
        if len(ratios) > 1 and statistics.stdev(ratios) > RESTLESS:
            yield (
                f"{side.name}: the ratio changed by {statistics.stdev(ratios):.0%} from round to "
                "round: something else keeps this machine busy. Without it the result comes sooner "
                "and is surer"
            )


def _round(contenders: Sequence[Measurable], chance: random.Random) -> Round:
    order = list(range(len(contenders)))
    chance.shuffle(order)
    found = {
        number: contenders[number].measure(seconds=TURN_SECONDS).step_seconds for number in order
    }
    steps = tuple(found[number] for number in range(len(contenders)))
    return Round(order=tuple(order), step_seconds=steps)


def _reason_to_stop(result: ABResult, rounds: int | None, max_seconds: float) -> Stopped | None:
    """Why the measuring ends with this round; `None` where it goes on."""
    count = len(result.rounds)
    if rounds is None and count in LOOKS:
        comparisons = result.comparisons
        if all(each.verdict != "inconclusive" for each in comparisons):
            return "decided"
        if all(each.width <= result.min_effect for each in comparisons):
            return "narrow"
    if count >= (rounds or LOOKS[-1]):
        return "rounds"
    return "time" if result.seconds >= max_seconds else None
