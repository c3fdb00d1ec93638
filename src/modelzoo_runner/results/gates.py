"""Gates on scores: whether a score is high enough, also when only a part of the examples is known.

How many of the N examples of a data set a model gets right is one number M. After some of them, in
an order that has nothing to do with how hard they are, M lies in an interval; a gate is decided
when all of that interval is on one side of its limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelzoo_runner.results import stats
from modelzoo_runner.results.stats import Interval

if TYPE_CHECKING:
    from modelzoo_runner.results.result import AccuracyResult
    from modelzoo_runner.values.plan import Plan

Outcome = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A limit on a score, and whether it holds on the whole data set.

    `interval` is where the score of the whole set lies with 95 % confidence, whenever one looks;
    `None` for scores that aren't shares of examples.
    """

    score: str
    least: float
    value: float
    interval: Interval | None
    outcome: Outcome

    def __str__(self) -> str:
        said = f"{self.score} {self.value:.4f}, at least {self.least:.4f} asked for"
        if self.interval is not None and self.interval[0] < self.interval[1]:
            low, high = self.interval
            said += f", all examples: {low:.4f} to {high:.4f}"
        return f"{said}: {self.outcome}"


def limits(plan: Plan) -> dict[str, float]:
    """The lowest allowed scores: `min_scores`, and the published ones less `max_drop`."""
    drop = plan.max_drop
    published = {} if drop is None else {k: v - drop for k, v in plan.published.items()}
    return {**published, **plan.min_scores}


def of_result(result: AccuracyResult) -> tuple[Gate, ...]:
    """The gates of the plan that asked for any, held to its result.

    A gate of a score that the result doesn't have stays undecided.
    """
    plan = result.plan
    scores = result.scores
    found = []
    for name, least in limits(plan).items():
        # Published scores of detectors are by the legacy rules.
        is_published = name not in plan.min_scores
        among = result.legacy_scores or scores if is_published else scores
        value = among.get(name, math.nan)
        interval = None
        if name in result.counts and result.available is not None:
            interval = whole_interval(result.counts[name], result.examples, result.available)
        elif name in result.counts:
            interval = stats.wilson_interval(result.counts[name], result.examples)
        partial = plan.limit is not None or result.interrupted
        found.append(
            Gate(
                score=name,
                least=least,
                value=value,
                interval=interval,
                outcome=_outcome(value, interval, least, partial),
            )
        )
    return tuple(found)


def _outcome(value: float, interval: Interval | None, least: float, partial: bool) -> Outcome:
    if interval is None:
        if math.isnan(value):
            return "undecided"
        # Nothing is known of how far a part of the images is off.
        if partial:
            return "undecided"
        return "passed" if value >= least else "failed"
    low, high = interval
    if low >= least:
        return "passed"
    return "failed" if high < least else "undecided"


def decided(plan: Plan, counts: Mapping[str, int], seen: int, available: int) -> bool:
    """Whether every gate of the plan is decided by the hits among the examples seen so far."""
    if seen == 0:
        return False
    return all(
        name in counts
        and _outcome(0.0, whole_interval(counts[name], seen, available), least, True) != "undecided"
        for name, least in limits(plan).items()
    )


def whole_interval(hits: int, seen: int, available: int) -> Interval:
    """Where the share of hits among all examples lies, after `seen` of them; 95 % at all times.

    A confidence sequence for sampling without replacement: the numbers M for which the ratio of
    prior to posterior is below 1/0.05, with a uniform prior (Waudby-Smith and Ramdas, "Confidence
    sequences for sampling without replacement", NeurIPS 2020, theorem 2.1). It may be looked at
    after every example, and comes to a point with the last.

    >>> whole_interval(750, 1000, 1000)
    (0.75, 0.75)
    >>> low, high = whole_interval(75, 100, 1000)
    >>> round(low, 2), round(high, 2)
    (0.6, 0.86)
    """
    # posterior(M) = C(M, hits) C(N - M, misses) / C(N + 1, seen + 1); prior(M) = 1 / (N + 1).
    misses = seen - hits
    scale = stats.log_choose(available + 1, seen + 1) - math.log(available + 1)
    least = math.log(1 - stats.CONFIDENCE) + scale

    def is_in(count: int) -> bool:
        return (
            stats.log_choose(count, hits) + stats.log_choose(available - count, misses)
            >= least - 1e-9
        )

    mode = min(max(round(hits / seen * available), hits), available - misses)
    low = _edge(hits, mode, is_in)
    high = available - _edge(misses, available - mode, lambda rest: is_in(available - rest))
    return low / available, high / available


def _edge(outside: int, inside: int, is_in: Callable[[int], bool]) -> int:
    """The first number from `outside` on that is in; `inside` is, and it is monotonous between."""
    while outside < inside:
        middle = (outside + inside) // 2
        outside, inside = (outside, middle) if is_in(middle) else (middle + 1, inside)
    return inside
