"""Statistical tests that decide when a few images show a fault, with few false alarms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelzoo_runner.data import samples
from modelzoo_runner.data.samples import Labelled
from modelzoo_runner.results import stats
from modelzoo_runner.results.diagnosis import Candidate, Finding
from modelzoo_runner.results.paired import mcnemar

ALPHA = 1e-3
"""How probable one false finding of a check is, over all that is compared in it (Bonferroni)."""

POOR = 0.1
"""The least top-1 of a classifier that has learned anything: below it a score is held against
chance."""

DUPLICATES_IN = 2000
"""Among so many images of a data set, the first ones, equal ones are looked for."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a task found: see `Diagnosis`."""

    images: int
    findings: tuple[Finding, ...]
    candidates: tuple[Candidate, ...]
    checks: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def beats(gained: int, lost: int, comparisons: int) -> bool:
    """Whether one way to run a model is better than another on the same images.

    McNemar's exact test (Psychometrika 12, 1947) on the images that only one of the two got right,
    at `ALPHA` over all comparisons that were made.

    >>> beats(20, 1, 20), beats(12, 6, 20)
    (True, False)
    """
    return gained > lost and mcnemar(gained, lost) * comparisons < ALPHA


def at_least(hits: int, count: int, share: float) -> float:
    """The probability of so many hits or more of `count`, each with probability `share`.

    >>> round(at_least(1, 2, 0.5), 2)
    0.75
    """
    return math.fsum(_probability(k, count, share) for k in range(hits, count + 1))


def is_chance(hits: int, count: int, classes: int, comparisons: int) -> bool:
    """Whether hits are no more than guessing gives, and fewer than the poorest model would have.

    Two exact binomial tests: guessing isn't refuted at `ALPHA` over all comparisons, and a top-1
    of `POOR` is refuted at `ALPHA`. Of few images neither can be said.

    >>> is_chance(0, 128, 1000, 50), is_chance(0, 20, 1000, 50), is_chance(30, 128, 1000, 50)
    (True, False, False)
    """
    by_guessing = at_least(hits, count, 1 / classes) * comparisons >= ALPHA
    by_a_poor_one = 1 - at_least(hits + 1, count, POOR)
    return by_guessing and by_a_poor_one < ALPHA


def paired(gained: int, lost: int, comparisons: int) -> str:
    """The numbers behind `beats`, in words."""
    return (
        f"{gained} images are right only so, {lost} only otherwise: McNemar p = "
        f"{mcnemar(gained, lost):.1g}, of {comparisons} comparisons"
    )


def duplicates(searched: Sequence[Labelled]) -> Iterator[Finding]:
    """The finding of images that have the same bytes, if there are any."""
    groups = samples.twins(searched)
    if not groups:
        return
    unlike = [group for group in groups if len({each.label for each in group}) > 1]
    shown = "; ".join(
        " = ".join(f"{each.name} ({each.label})" for each in group[:3])
        for group in (*unlike, *(each for each in groups if each not in unlike))[:2]
    )
    extra = sum(len(group) - 1 for group in groups)
    yield Finding(
        name="duplicates",
        level="doubt",
        what=f"{extra} of {len(searched)} images are there again under another name",
        evidence=f"{len(groups)} groups have the same bytes, {len(unlike)} of them several labels: "
        f"{shown}",
        remedy="leave them out of the data: each counts again, and of several labels one is wrong",
    )


def _probability(hits: int, count: int, share: float) -> float:
    return math.exp(
        stats.log_choose(count, hits) + hits * math.log(share) + (count - hits) * math.log1p(-share)
    )
