"""The result of an A/B test: every round of every side, and what follows from them.

How the rounds were measured isn't known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal

from modelzoo_runner.errors import ResultError, visible
from modelzoo_runner.results import difference, ratio, stats
from modelzoo_runner.results.export import Drawn, Saved
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.ratio import Ratio, Verdict
from modelzoo_runner.results.stats import Interval
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from modelzoo_runner.results.shown import Shown

Stopped = Literal["decided", "narrow", "rounds", "time", "interrupted"]

STOPPED: Mapping[Stopped, str] = {
    "decided": "every comparison is decided",
    "narrow": "every interval is narrower than min_effect",
    "rounds": "the rounds were done",
    "time": "max_seconds were over",
    "interrupted": "interrupted",
}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the things compared: its plan, and what was found when it was opened.

    `python` is the interpreter that ran it, where it wasn't this one.
    """

    name: str
    plan: Plan
    observed: Observed
    python: str | None = None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Some steps of each side: `order` holds the sides' numbers as they came, `step_seconds` the
    durations of the steps by side.
    """

    order: tuple[int, ...]
    step_seconds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Round:
    """Turns of all sides, in processes that were started for this round."""

    turns: tuple[Turn, ...]

    def log_seconds(self, side: int) -> list[float]:
        """log(median step time in seconds) of a side, a value for each turn."""
        return [math.log(median(each.step_seconds[side])) for each in self.turns]


@dataclass(frozen=True, kw_only=True, repr=False)
class ABResult(Drawn, Saved):
    """Two or more sides, measured in turns; the first is the reference of all comparisons.

    `looks` is how often at most the intervals were looked at, on which their width depends, and
    `stopped` why the measuring ended. `str()` is text, `plot()` draws the rounds.
    """

    KIND = "ab"

    sides: tuple[Side, ...]
    rounds: tuple[Round, ...]
    min_effect: float
    looks: int
    stopped: Stopped
    started: str
    seconds: float
    warnings: tuple[str, ...] = ()

    @property
    def comparisons(self) -> tuple[Ratio, ...]:
        """Each other side against the first: above 1 the other side is faster.

        Their intervals all hold together with 95 % confidence.
        """
        return tuple(map(self.comparison, range(1, len(self.sides))))

    def comparison(self, side: int) -> Ratio:
        """One of `comparisons`: that of a side, by its number, with the first."""
        return ratio.of_rounds(
            self.log_ratios(side),
            min_effect=self.min_effect,
            looks=self.looks,
            comparisons=len(self.sides) - 1,
        )

    @property
    def ratio(self) -> float:
        """The throughput of the second side over that of the first."""
        return self.comparison(1).value

    @property
    def interval(self) -> Interval | None:
        """The 95 % confidence interval of `ratio`; `None` below two rounds."""
        return self.comparison(1).interval

    @property
    def verdict(self) -> Verdict:
        """Of the second side against the first: faster, slower, same or inconclusive."""
        return self.comparison(1).verdict

    @property
    def interrupted(self) -> bool:
        """Whether the measuring was ended before its time."""
        return self.stopped == "interrupted"

    def throughputs(self, side: int) -> list[float]:
        """Examples per second of a side, a value for each round: from the trimmed mean of the log
        median step times of its turns.
        """
        batch = self.sides[side].plan.batch_size
        return [
            batch / math.exp(stats.trimmed_mean(each.log_seconds(side))) for each in self.rounds
        ]

    def log_ratios(self, side: int) -> list[float]:
        """log(throughput of the side / that of the first), a value for each round: the trimmed mean
        over its turns.
        """
        batches = math.log(self.sides[side].plan.batch_size / self.sides[0].plan.batch_size)
        return [
            batches
            + stats.trimmed_mean(
                [
                    first - other
                    for first, other in zip(
                        each.log_seconds(0), each.log_seconds(side), strict=True
                    )
                ]
            )
            for each in self.rounds
        ]

    def throughput(self, side: int) -> float:
        """Examples per second of a side: the geometric mean of its rounds."""
        return math.exp(fmean(map(math.log, self.throughputs(side))))

    def differences(self, side: int = 1) -> dict[str, tuple[Any, Any]]:
        """What differs between the first side and another, in plan, machine and software."""
        first, other = self.sides[0], self.sides[side]
        found = difference.of_runs(first.plan, first.observed, other.plan, other.observed)
        if first.python != other.python:
            found["python"] = (first.python, other.python)
        return found

    def summary(self) -> dict[str, Any]:
        """Throughputs (examples/s), ratios, intervals and verdicts by the names of the sides."""
        return {
            "throughput_examples_per_second": {
                side.name: self.throughput(number) for number, side in enumerate(self.sides)
            },
            "comparisons": {
                side.name: {
                    "reference": self.sides[0].name,
                    "ratio": each.value,
                    "interval": None if each.interval is None else list(each.interval),
                    "verdict": each.verdict,
                }
                for side, each in zip(self.sides[1:], self.comparisons, strict=True)
            },
        }

    def __repr__(self) -> str:
        names = " against ".join(each.name for each in self.sides)
        return visible(f"<ABResult: {names}, {len(self.rounds)} rounds, {self.verdict}>")

    def shown(self) -> Shown:
        from modelzoo_runner.results import ab_report

        return ab_report.shown(self)

    def _check(self) -> None:
        count = len(self.sides)
        if count < 2 or not self.rounds:
            raise ResultError("sides, rounds: should be at least two sides and one round")
        for number, each in enumerate(self.rounds):
            turns = [turn.step_seconds for turn in each.turns]
            if not turns or any(len(steps) != count or not all(steps) for steps in turns):
                raise ResultError(f"rounds[{number}].turns: should hold steps of {count} sides")
