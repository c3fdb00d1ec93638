"""Measure settings for tune() in heats: in turns beside a reference, within a budget."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

from modelzoo_runner.api.halving import OutOfTime
from modelzoo_runner.errors import RunnerError
from modelzoo_runner.execution import in_turns, memory
from modelzoo_runner.machine import facts
from modelzoo_runner.planning.space import Settings
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.tune import Heat, Tried, named, reference_seconds
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from modelzoo_runner.scale.checkpoint import Checkpoint

T = TypeVar("T")

MOST_PROCESSES = 6
"""In a heat, if its settings don't have more instances: opening more at once takes no less time."""

MEMORY_FACTOR = 3
"""How many times the least that a process can take is reckoned with, which leaves out whatever is
computed between a graph's input and its output."""

SIDE_SECONDS = 0.4
"""How long each of them is measured in a heat of the first rung; in each further one twice as long,
up to four times."""

LEAST_TURNS = 2
"""Turns of a heat at least, where steps are long."""

LONGEST_STEP = 1 / 120
"""Settings with a longer step than this share of the budget aren't measured in heats."""

ROUNDS = 5
"""Of the confirmation."""

RESERVED = 0.4
"""At most so much of the budget is kept for the confirmation."""


def _seconds_of_turns(sides: int, rung: int) -> float:
    return sides * SIDE_SECONDS * float(1 << min(rung, 2))


def cannot(tried: Tried, error: RunnerError) -> Tried:
    """The settings, dropped because they can't be run."""
    return dataclasses.replace(tried, dropped=f"can't be run: {str(error).splitlines()[0]}")


@dataclass
class Bench:
    """`kept` is where heats are found that were measured before. The first settings that are
    measured alone are the reference.
    """

    plan_of: Callable[[Settings], Plan]
    budget: float
    context: Context
    kept: Checkpoint | None = None
    reference: Tried | None = None
    plans: dict[str, Plan] = field(default_factory=dict)
    reserved: float = 0.0
    began: float = field(default_factory=time.monotonic)
    earlier: float = 0.0
    opening: float = 0.0
    opening_anew: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def spent(self) -> float:
        """Seconds, with those of the heats that were measured before."""
        return time.monotonic() - self.began + self.earlier

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.budget - self.spent

    @functools.cached_property
    def _entries(self) -> dict[str, Any]:
        return {} if self.kept is None else self.kept.entries()

    def make(self, settings: Settings) -> Tried:
        """The settings with what is known of them before they are measured."""
        name = named(settings)
        made = Tried(
            settings=settings,
            runtime=settings.get("runtime", ""),
            precision=settings.get("precision", ""),
            batch_size=settings.get("batch_size", 1),
        )
        try:
            plan = self.plans[name] = self.plan_of(settings)
        except RunnerError as error:
            return cannot(made, error)
        made = dataclasses.replace(
            made,
            runtime=plan.runtime,
            precision=plan.precision,
            batch_size=plan.batch_size,
            instances=max(1, len(plan.instances)),
        )
        step, why = self._step_seconds(made), None
        if step > self.budget * LONGEST_STEP:
            why = f"a step of some {step:.2g} s is too long for the budget"
        elif self._bytes(made) > (facts.memory_for_this_process() or math.inf):
            why = "there may not be memory enough"
        return dataclasses.replace(made, dropped=why)

    def measure(self, tried: Sequence[Tried], rung: int) -> Iterator[Tried]:
        """See `halving.Measure`; the reference is measured in each heat."""
        if self.reference is None:
            (self.reference,) = tried
        others = [each for each in tried if each.name != self.reference.name]
        for heat in self._heats(others, self.reference) or [[]]:
            yield from self._heat(heat, rung)

    def _heats(self, tried: Sequence[Tried], reference: Tried) -> list[list[Tried]]:
        """Divided so that what is open at once isn't too much."""
        memory = facts.memory_for_this_process() or math.inf
        found: list[list[Tried]] = []
        for each in tried:
            heat = [reference, *(found[-1] if found else ()), each]
            processes = sum(one.instances for one in heat)
            if found and processes <= MOST_PROCESSES and sum(map(self._bytes, heat)) <= memory:
                found[-1].append(each)
            else:
                found.append([each])
        return found

    def _heat(self, others: Sequence[Tried], rung: int) -> Iterator[Tried]:
        sides = [*filter(None, (self.reference,)), *others]
        name = self._entry_name([each.name for each in sides], rung)
        if name in self._entries:
            self.earlier += self._entries[name]["seconds"]
        elif sides[0].heats and self.left() < self.expected(sides, rung) + self.reserved:
            raise OutOfTime
        try:
            record = self.remembered(name, lambda: self._measured(sides, rung), dict, dict)
        except RunnerError as error:
            yield from self._apart(others, rung, error)
            return
        self.context.tell("seconds", min(int(self.spent), int(self.budget)), int(self.budget))
        reference, *found = (tuple(side) for side in record["sides"])
        for each, seconds in zip(sides, (reference, *found), strict=True):
            heat = Heat(seconds=seconds, reference_seconds=reference)
            measured = dataclasses.replace(each, heats=(*each.heats, heat))
            if each is self.reference:
                self.reference = measured
            yield measured

    def _apart(self, others: Sequence[Tried], rung: int, error: RunnerError) -> Iterator[Tried]:
        """One of them can't be run: each half is measured by itself, until it is clear which."""
        if not others:
            raise error
        if len(others) == 1:
            yield cannot(others[0], error)
            return
        half = len(others) // 2
        yield from self._heat(others[:half], rung)
        yield from self._heat(others[half:], rung)

    def _measured(self, sides: Sequence[Tried], rung: int) -> Any:
        """A heat, as JSON can carry it: how long a batch of each side took in each turn."""
        began = time.monotonic()
        seconds = _seconds_of_turns(len(sides), rung)
        with self._opened(sides, self.chance.sample(range(len(sides)), len(sides))) as opened:
            ready = time.monotonic()
            turns = in_turns.round_of(opened, self.chance, seconds, LEAST_TURNS).turns
        self.opening = (ready - began) / sum(each.instances for each in sides)
        self.opening_anew = self.opening_anew or self.opening  # TensorFlow was loaded in the first
        found = [[median(turn.step_seconds[side]) for turn in turns] for side in range(len(sides))]
        return {"sides": found, "seconds": time.monotonic() - began}

    def _opened(self, sides: Sequence[Tried], order: Sequence[int]) -> Any:
        # Loaded here, so that importing the library is quick.
        from modelzoo_runner.execution import together

        names = [each.name for each in sides]
        return together.opened([self.plans[name] for name in names], names, order)

    def confirmed(self, default: Tried, best: Tried, ends: Mapping[str, Any]) -> ABResult | None:
        """The default against the best, in turns in fresh processes; `None` without time for it.

        Raises:
            Interrupted: Ctrl-C; holds the rounds so far.
        """
        # Loaded here, so that importing the library is quick.
        from modelzoo_runner.execution import launch

        sides = (default, best)

        def measured() -> ABResult:
            with launch.anew():
                return in_turns.measured(
                    functools.partial(self._opened, sides),
                    [("the default", None), ("the best", None)],
                    **{**ends, "rounds": ROUNDS, "max_seconds": self.left()},
                    seed=0,
                    context=self.context,
                    least_turns=1,
                )

        name = self._entry_name([each.name for each in sides], -1)
        if name not in self._entries and self.left() < self.expected(sides, 2, self.opening_anew):
            return None
        return self.remembered(name, measured, ABResult.to_dict, ABResult.from_dict)

    def remembered(
        self,
        name: str,
        do: Callable[[], T],
        to_dict: Callable[[T], Any],
        from_dict: Callable[[Any], T],
    ) -> T:
        """What is kept under a name, or else what `do` returns, which is kept then."""
        if name in self._entries:
            return from_dict(self._entries[name])
        found = do()
        if self.kept is not None:
            self.kept.add(name, to_dict(found))
        return found

    def reserve(self, default: Tried, best: Tried) -> None:
        """Keep time for the confirmation of what is like these."""
        needed = ROUNDS * self.expected((default, best), 2, self.opening_anew)
        self.reserved = min(needed, RESERVED * self.budget)

    def expected(self, sides: Sequence[Tried], rung: int, opening: float | None = None) -> float:
        """Seconds that a heat will take, from what the reference took and from how long `opening`
        a process takes, by default as long as in the last heat.
        """
        steps = sum(map(self._step_seconds, sides))
        measuring = max(_seconds_of_turns(len(sides), rung), 2 * LEAST_TURNS * steps)
        warming = 2 * steps
        opening = self.opening if opening is None else opening
        return opening * sum(each.instances for each in sides) + warming + measuring

    def _step_seconds(self, each: Tried) -> float:
        """How long a step will take; 0 before the reference was measured."""
        reference = self.reference
        if reference is None or not reference.heats:
            return 0.0
        batches = each.instances * each.batch_size / reference.batch_size
        return reference_seconds([reference]) * batches

    def _bytes(self, each: Tried) -> float:
        plan = self.plans[each.name]
        return MEMORY_FACTOR * each.instances * memory.of(plan).of(plan.batch_size)

    def _entry_name(self, names: Sequence[str], rung: int) -> str:
        asked = json.dumps([names, rung])
        self.asked[asked] += 1
        digest = hashlib.sha256(f"{asked} {self.asked[asked]}".encode()).hexdigest()
        return f"heat-{digest[:16]}"
