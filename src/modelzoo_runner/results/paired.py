"""Two accuracy runs on the same examples: whether their scores differ by more than chance.

Two scores of the same images vary together, so their own intervals say little about the difference.
What counts is the examples that only one of the two got right.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import stats
from modelzoo_runner.results.result import AccuracyResult
from modelzoo_runner.results.stats import Interval

SIGNIFICANT = 1 - stats.CONFIDENCE

Hits = Mapping[str, Mapping[str, bool]]
"""Score name -> example -> whether it was right."""


@dataclass(frozen=True, kw_only=True)
class PairedScore:
    """A score of two runs on the same examples, as fractions; `difference` is changed - reference.

    `interval` is the 95 % confidence interval of the difference. For a classifier `p_value` is
    McNemar's, and `gained` and `lost` are the examples that only the changed or only the reference
    got right; of a detector all three are `None`.
    """

    name: str
    reference: float
    changed: float
    interval: Interval
    examples: int
    p_value: float | None = None
    gained: int | None = None
    lost: int | None = None

    @property
    def difference(self) -> float:
        """The score of `changed` minus that of `reference`."""
        return self.changed - self.reference

    @property
    def verdict(self) -> str:
        """`"better"`, `"worse"`, or `"inconclusive"` where it may be chance."""
        if self.p_value is not None and self.p_value > SIGNIFICANT:
            return "inconclusive"
        if self.p_value is None and self.interval[0] <= 0 <= self.interval[1]:
            return "inconclusive"
        return "better" if self.difference > 0 else "worse"

    def __str__(self) -> str:
        low, high = self.interval
        said = f"{self.name} {self.reference:.4f} -> {self.changed:.4f} ({self.difference:+.4f}, "
        said += f"95 % interval {low:+.4f} to {high:+.4f}"
        if self.p_value is not None:
            said += f"; {self.gained} gained, {self.lost} lost, McNemar p = {self.p_value:.2g}"
        return f"{said}): {self.verdict}"


def of_results(reference: AccuracyResult, changed: AccuracyResult) -> tuple[PairedScore, ...]:
    """The paired scores of two runs whose predictions files are where their plans say.

    Empty where one wrote none, where a file is gone or is no longer that run's, or where the two
    runs have other examples.
    """
    found = []
    for each in (reference, changed):
        if each.plan.task != "classification" or each.plan.predictions is None:
            return ()
        try:
            hits = read_hits(each.plan.predictions)
        except ResultError:
            return ()
        if any(sum(hits[name].values()) != count for name, count in each.counts.items()):
            return ()
        found.append(hits)
    return of_hits(*found) if found[0]["top1"].keys() == found[1]["top1"].keys() else ()


def of_hits(reference: Hits, changed: Hits) -> tuple[PairedScore, ...]:
    """The paired scores of two classifiers.

    Raises:
        ResultError: they have other examples.
    """
    found = []
    for name, before in reference.items():
        after = changed[name]
        only = before.keys() ^ after.keys()
        if only:
            raise ResultError(
                f"{len(only)} examples are in one of the two only ({sorted(only)[0]}): compare "
                "predictions of the same examples"
            )
        gained = sum(after[each] and not before[each] for each in before)
        lost = sum(before[each] and not after[each] for each in before)
        count = len(before)
        found.append(
            PairedScore(
                name=name,
                reference=sum(before.values()) / count,
                changed=sum(after.values()) / count,
                interval=paired_interval(gained, lost, count),
                examples=count,
                p_value=mcnemar(gained, lost),
                gained=gained,
                lost=lost,
            )
        )
    return tuple(found)


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided exact p-value of McNemar's test (Psychometrika 12, 1947).

    Were both equally good, each example that only one got right would be either's with probability
    1/2.

    >>> round(mcnemar(1, 9), 4)
    0.0215
    """
    count = gained + lost
    if gained == lost:
        return 1.0
    tail = sum(
        math.exp(stats.log_choose(count, k) - count * math.log(2))
        for k in range(min(gained, lost) + 1)
    )
    return min(1.0, 2 * tail)


def paired_interval(gained: int, lost: int, count: int) -> Interval:
    """The 95 % confidence interval of the difference of two paired shares.

    Agresti and Min (Statistics in Medicine 24, 2005): Wald's interval after half an example was
    added to each of the four cells.
    """
    gained_, lost_, total = gained + 0.5, lost + 0.5, count + 2
    difference = (gained_ - lost_) / total
    half = 1.959963984540054 * math.sqrt(gained_ + lost_ - (gained_ - lost_) ** 2 / total) / total
    return max(-1.0, difference - half), min(1.0, difference + half)


def read_hits(path: str | Path) -> Hits:
    """Which examples were right, of a predictions file that `accuracy()` wrote for a classifier.

    Raises:
        ResultError: it can't be read, or is something else.
    """
    found: dict[str, dict[str, bool]] = {"top1": {}, "top5": {}}
    for name, label, best, five in predictions(path):
        found["top1"][name] = best == label
        found["top5"][name] = label in five
    return found


def predictions(path: str | Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """File name, label, best and five best classes of each example in such a file.

    Raises:
        ResultError: it can't be read, or is something else.
    """
    path = Path(path).expanduser()
    seen = set()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                name = row["filename"]
                if name in seen:
                    raise ResultError(f"{path}: line {number}: {name} is there twice")
                seen.add(name)
                yield name, row["label"], row["prediction"], row["top5"].split()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise ResultError(
            f"{path}: can't be read as predictions (filename, label, prediction, top5): {error}"
        ) from None
    if not seen:
        raise ResultError(f"{path}: holds no predictions")


def bootstrap_interval(differences: Sequence[float]) -> Interval:
    """The 95 % percentile interval of bootstrapped values (Efron, Annals of Statistics 7, 1979)."""
    ordered = sorted(differences)
    tail = (1 - stats.CONFIDENCE) / 2
    return stats.percentile(ordered, tail), stats.percentile(ordered, 1 - tail)
