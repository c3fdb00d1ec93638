"""What makes a command fail although it did what it was told: limits on speed, scores and verdicts.

Each has an exit code of its own, so that a pipeline can tell a regression from a machine that was
too busy to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from modelzoo_runner.errors import RunnerError
from modelzoo_runner.results.comparison import Comparison
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.gates import Gate
from modelzoo_runner.results.ratio import Ratio, in_words
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.results.sweep import SweepResult

GATES = Group("Gates", help="Exit codes: 3 too slow or too low, 4 can't be told.", sort_key=8)

Verdict = Literal["invalid", "noisy"]

FailOn = Annotated[Verdict | None, Parameter(group=GATES)]


class Regressed(RunnerError):
    """A limit is exceeded for certain."""

    exit_code = 3


class Unstable(RunnerError):
    """Whether a limit is exceeded can't be told."""

    exit_code = 4


def _share(_: object, tokens: Iterable[object]) -> float:
    """`5%` or `0.05`."""
    text = "".join(str(getattr(each, "value", each)) for each in tokens)
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ValueError(f"{text!r} should be a share, such as 5% or 0.05")
    return value


Share = Annotated[float, Parameter(converter=_share, metavar="X%")]
SlowerLimit = Annotated[float | None, Parameter(converter=_share, metavar="X%", group=GATES)]


def check_verdicts(results: Iterable[Result], fail_on: Verdict | None) -> None:
    """Fail for durations that can't be trusted; `noisy` includes `invalid`.

    Raises:
        Unstable: one has such a verdict.
    """
    refused = {"invalid": ("invalid",), "noisy": ("invalid", "noisy"), None: ()}[fail_on]
    for each in results:
        if each.verdict in refused and not isinstance(each, AccuracyResult):
            cause = f": {each.causes[0]}" if each.causes else ""
            raise Unstable(f"{each.plan.short_name}: the verdict is {each.verdict}{cause}")


def check_speed(comparisons: Iterable[tuple[str, Ratio, bool]], limit: float | None) -> None:
    """Fail where something is slower by more than a share.

    Args:
        comparisons: name, ratio, and whether anything can be concluded from it.
        limit: the share; `None` checks nothing.

    Raises:
        Regressed: all of an interval is beyond the limit.
        Unstable: the limit is inside an interval, or nothing can be concluded.
    """
    if limit is None:
        return
    unclear = []
    for name, speed, is_sound in comparisons:
        if speed.interval is None or not is_sound:
            unclear.append(f"{name}: {in_words(speed.value)} as measured, which decides nothing")
            continue
        low, high = speed.interval
        if high < 1 / (1 + limit):
            raise Regressed(f"{name}: {speed}; the limit is {100 * limit:.3g} % slower")
        if low < 1 / (1 + limit):
            unclear.append(f"{name}: {speed}; the limit of {100 * limit:.3g} % is in the interval")
    if unclear:
        raise Unstable("; ".join(unclear))


def of_comparisons(comparisons: Iterable[Comparison]) -> list[tuple[str, Ratio, bool]]:
    """What `check_speed` takes, of comparisons."""
    return [(each.changed.name, each.speed, not each.obstacles) for each in comparisons]


def check_scores(found: Iterable[Gate]) -> None:
    """Fail where a score is below its limit.

    Raises:
        Regressed: a gate failed.
        Unstable: a gate is undecided.
    """
    by_outcome: dict[str, list[str]] = {"failed": [], "undecided": [], "passed": []}
    for each in found:
        by_outcome[each.outcome].append(str(each))
    if by_outcome["failed"]:
        raise Regressed("; ".join(by_outcome["failed"]))
    if by_outcome["undecided"]:
        raise Unstable("; ".join(by_outcome["undecided"]))


def check(value: Exportable, fail_on: Verdict | None) -> None:
    """Hold what a run came to to its gates.

    Raises:
        Regressed, Unstable: one doesn't hold, or can't be told.
    """
    results = value.results if isinstance(value, SweepResult) else (value,)
    found = [each for each in results if isinstance(each, Result)]
    for each in found:
        if isinstance(each, AccuracyResult):
            check_scores(each.gates)
    check_verdicts(found, fail_on)
