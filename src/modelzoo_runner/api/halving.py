"""The search of tune(): successive halving along the axes of a space, then around the best.

How settings are measured isn't known here.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from modelzoo_runner.planning.space import Settings, Space
from modelzoo_runner.results import ratio
from modelzoo_runner.results.tune import Objective, Tried, named, reference_seconds

KEEP = 3
"""How many settings go on to the next axis: which is best may depend on what comes there."""

LEFT_BEHIND = 1.5
"""The best of each runtime and precision is among them, unless it is slower by this factor."""

LAST_HEATS = 2
"""How often those that are left at the end are measured again."""


class OutOfTime(Exception):
    """The budget doesn't allow another heat."""


Measure = Callable[[Sequence[Tried], int], Iterable[Tried]]
"""Each of them with one heat more, or dropped, as they come; the number is that of the rung: the
higher, the more turns. Raises `OutOfTime`."""


@dataclass
class Search:
    """What was tried is by its name, in the order in which it came.

    `make` gives settings that aren't measured yet, dropped if they can't be run.
    """

    space: Space
    objective: Objective
    make: Callable[[Settings], Tried]
    measure: Measure
    max_latency: float | None = None
    tried: dict[str, Tried] = field(default_factory=dict)

    def run(self, start: Settings) -> bool:
        """Search from some settings; whether all was reached."""
        try:
            alive = self.halved([start]) or self.halved([self._quicker(start)]) or [named(start)]
            for axis in self.space.axes:
                choices = [self.space.choices(self.tried[name].settings, axis) for name in alive]
                alive = self.halved(itertools.chain(*choices)) or alive
            while alive and (around := self._around(self.tried[alive[0]])):
                alive = self.halved([*(self.tried[name].settings for name in alive), *around])
            for _ in range(LAST_HEATS):
                self._measure(alive, rung=2)
            self._ranked(alive)
        except OutOfTime:
            return False
        return True

    def halved(self, candidates: Iterable[Settings]) -> list[str]:
        """The `KEEP` best of them, the best first.

        In each rung those that are left are measured, and the worse half of them is dropped.
        """
        names = self._ranked(self.add(each) for each in candidates)
        for rung in itertools.count():
            self._measure([each for each in names if len(self.tried[each].heats) <= rung], rung)
            names = self._ranked(names)
            count = max(KEEP, math.ceil(len(names) / 2))
            left = self._left(names, count)
            for name in names:
                if name not in left:
                    self._drop(name, f"{self._behind(name, names[0])} than the best of its rung")
            names = left
            if count == KEEP:
                break
        return names

    def best(self) -> str | None:
        """The name of the best; why each other one isn't it is written down. `None`: none is."""
        names = self._ranked(self.tried)
        measured = [name for name in names if self.tried[name].heats]
        for name in names:
            if name not in measured:
                self._drop(name, "not reached: the budget didn't allow it")
            elif name != measured[0]:
                self._drop(name, f"{self._behind(name, measured[0])} than the best")
        return measured[0] if measured else None

    def preferred(self, name: str, why: str) -> str:
        """Make other settings the best than those that were found."""
        self._drop(self.best() or name, why)
        self.tried[name] = dataclasses.replace(self.tried[name], dropped=None)
        return name

    def add(self, settings: Settings) -> str:
        """The name of the settings, which are made if they are new."""
        name = named(settings)
        if name not in self.tried:
            self.tried[name] = self.make(settings)
        return name

    def _left(self, names: Sequence[str], count: int) -> list[str]:
        """The best of each runtime and precision, and then the best, until there are so many."""
        leaders: dict[tuple[str, str], str] = {}
        for name in names:
            if self._log_cost(name) < self._log_cost(names[0]) + math.log(LEFT_BEHIND):
                leaders.setdefault(self._way(self.tried[name].settings), name)
        left = list(dict.fromkeys((*leaders.values(), *names)))[:count]
        return [name for name in names if name in left]

    def _quicker(self, start: Settings) -> Settings:
        """The settings with the largest batch that isn't expected to be slower than allowed."""
        if "batch_size" not in self.space.axes:
            return start
        of_start = self.tried[named(start)]
        example = of_start.latency(reference_seconds([of_start])) / of_start.batch_size
        choices = [self.tried[self.add(each)] for each in self.space.choices(start, "batch_size")]
        choices.sort(key=lambda each: each.batch_size)
        quick = [each for each in choices if each.batch_size * example <= (self.max_latency or 0)]
        return (*choices[:1], *quick)[-1].settings

    def _around(self, best: Tried) -> list[Settings]:
        """What differs from the best in one setting and wasn't tried yet."""
        choices = (self.space.choices(best.settings, axis) for axis in self.space.axes)
        new = (each for each in itertools.chain(*choices) if named(each) not in self.tried)
        # A runtime that can't run the model can't with other settings either.
        ways = {self._way(each.settings) for each in self.tried.values()}
        run = {self._way(each.settings) for each in self.tried.values() if each.heats}
        return [each for each in new if self._way(each) not in ways - run]

    def _way(self, settings: Settings) -> tuple[str, str]:
        return settings.get("runtime", self.space.runtime), settings.get("precision", "")

    def _measure(self, names: Sequence[str], rung: int) -> None:
        if names:
            for each in self.measure([self.tried[name] for name in names], rung):
                self.tried[each.name] = each

    def _ranked(self, names: Iterable[str]) -> list[str]:
        """Those that aren't dropped, the best first; what is slower than allowed is dropped."""
        left = [name for name in dict.fromkeys(names) if self.tried[name].dropped is None]
        for name in left if self.max_latency is not None else ():
            each = self.tried[name]
            latency = each.latency(reference_seconds(self.tried.values())) if each.heats else 0.0
            if latency > (self.max_latency or 0.0):
                self._drop(name, f"a step takes {latency:.3g} s, max_latency={self.max_latency}")
        left = [name for name in left if self.tried[name].dropped is None]
        return sorted(left, key=self._log_cost)

    def _log_cost(self, name: str) -> float:
        """log(seconds of an example, or of a step) beside the reference's; last what is unknown."""
        each = self.tried[name]
        if not each.heats:
            return math.inf
        size = each.instances if self.objective == "latency" else 1 / each.batch_size
        return math.log(size) - each.log_speed

    def _behind(self, name: str, first: str) -> str:
        return ratio.in_words(math.exp(self._log_cost(first) - self._log_cost(name)))

    def _drop(self, name: str, why: str) -> None:
        self.tried[name] = dataclasses.replace(self.tried[name], dropped=why)
