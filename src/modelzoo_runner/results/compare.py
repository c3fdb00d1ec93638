"""Two results beside each other: which was faster or better, and whether that can be said."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import overload

from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import difference, paired, stats
from modelzoo_runner.results.comparison import Comparison, Figures, SweepComparison
from modelzoo_runner.results.paired import PairedScore
from modelzoo_runner.results.ratio import Ratio
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.results.sweep import Failure, Outcome, SweepResult

MIN_EFFECT = 0.05
"""The smallest difference in speed that `compare` claims by default: 5 %. A machine's own speed can
change by some percent in the minutes between two results, which no spread within them shows."""

MEASURE_AGAIN = (
    "measure both with processes=5 (--processes 5), or measure them in turns with ab_test() "
    "(modelzoo-runner ab)"
)


@overload
def compare(reference: Result, changed: Result, *, min_effect: float = ...) -> Comparison: ...
@overload
def compare(
    reference: SweepResult, changed: SweepResult, *, min_effect: float = ...
) -> SweepComparison: ...
def compare(
    reference: Result | SweepResult,
    changed: Result | SweepResult,
    *,
    min_effect: float = MIN_EFFECT,
) -> Comparison | SweepComparison:
    """What can be said of two results of the same kind, or of two sweeps row by row.

    The steps of one process say nothing of how much the next process will differ: a verdict on the
    speed needs the spread between processes, so at least one of the results has to be measured with
    `benchmark(processes=...)`. See `docs/comparing.md`.

    Args:
        reference: what there was before.
        changed: what is judged: `verdict` "faster" says that this one is.
        min_effect: the smallest difference in throughput that matters, as a share.

    Raises:
        ResultError: something else than results, results of different kinds, or a partial result.

    Examples:
        >>> compare(before, after).verdict  # doctest: +SKIP
        'faster'
    """
    if isinstance(reference, SweepResult) and isinstance(changed, SweepResult):
        return _sweeps(reference, changed, min_effect)
    for name, each in (("reference", reference), ("changed", changed)):
        if not isinstance(each, (Result, SweepResult)):
            raise ResultError(f"{name}={each!r}: should be a result, as a verb or load() gives it")
    if type(reference) is not type(changed):
        kinds = f"{type(reference).__name__} and {type(changed).__name__}"
        raise ResultError(f"{kinds} can't be compared: give two of the same kind")
    results = [each for each in (reference, changed) if isinstance(each, Result)]
    first, second = results
    for name, result in (("reference", first), ("changed", second)):
        if result.interrupted:
            raise ResultError(f"{name}: the run was interrupted; its numbers are of a part of it")
    return Comparison(
        reference=_figures(first),
        changed=_figures(second),
        speed=_speed(first, second, min_effect),
        median_ratio=_per_example(first) / _per_example(second),
        obstacles=tuple(_obstacles(first, second)),
        differences=difference.of_runs(first.plan, first.observed, second.plan, second.observed),
        score_differences=_scores(first, second),
        paired=_paired(first, second),
    )


def _figures(result: Result) -> Figures:
    of_processes = result if isinstance(result, BenchmarkResult) else None
    return Figures(
        name=result.plan.short_name,
        throughput=result.throughput,
        throughput_interval=None if of_processes is None else of_processes.throughput_interval,
        p50_seconds=result.latency.p50,
        processes=_processes(result),
        # A score doesn't depend on how long its steps took.
        verdict=None if isinstance(result, AccuracyResult) else result.verdict,
    )


def _processes(result: Result) -> int:
    return max(1, len(result.processes)) if isinstance(result, BenchmarkResult) else 1


def _speed(first: Result, second: Result, min_effect: float) -> Ratio:
    found = stats.difference_interval(_log_throughputs(first), _log_throughputs(second))
    return Ratio(
        value=second.throughput / first.throughput,
        interval=None if found is None else (math.exp(found[0]), math.exp(found[1])),
        min_effect=min_effect,
    )


def _log_throughputs(result: Result) -> list[float]:
    several = result.process_throughputs if isinstance(result, BenchmarkResult) else ()
    return [math.log(each) for each in several or (result.throughput,)]


def _obstacles(first: Result, second: Result) -> Iterator[str]:
    """Why the speeds can't be told apart, whatever their ratio is."""
    if isinstance(first, AccuracyResult):
        yield "accuracy runs aren't timed to be compared: compare the speed with benchmark()"
        return
    for name, each in (("reference", first), ("changed", second)):
        if each.verdict == "invalid":
            yield (
                f"{name} is invalid ({each.causes[0] if each.causes else 'no cause told'}): "
                "its durations are about something else than the model; measure it again"
            )
    if first.plan.rate != second.plan.rate:
        yield (
            f"queries came at other rates ({first.plan.rate} and {second.plan.rate} a second): "
            "measure both with the same rate="
        )
    if _processes(first) + _processes(second) < 3:
        yield (
            "each was measured in one process, and two runs of the same thing can differ by more "
            f"than their steps do: {MEASURE_AGAIN}"
        )


def _per_example(result: Result) -> float:
    """The median step time per example: of a step, over the examples done at once."""
    at_once = len(result.instances) if isinstance(result, BenchmarkResult) else 0
    median = statistics.median(result.step_seconds)
    return median * len(result.step_seconds) / result.examples / max(1, at_once)


def _scores(first: Result, second: Result) -> dict[str, float]:
    if not (isinstance(first, AccuracyResult) and isinstance(second, AccuracyResult)):
        return {}
    shared = [name for name in first.scores if name in second.scores]
    return {name: second.scores[name] - first.scores[name] for name in shared}


def _paired(first: Result, second: Result) -> tuple[PairedScore, ...]:
    if not (isinstance(first, AccuracyResult) and isinstance(second, AccuracyResult)):
        return ()
    return paired.of_results(first, second)


def _sweeps(reference: SweepResult, changed: SweepResult, min_effect: float) -> SweepComparison:
    """Runs of the same model, precision, batch and placement are pairs, in their order."""
    pairs, missing = _matched(list(reference), list(changed))
    rows = tuple(compare(one, other, min_effect=min_effect) for one, other in pairs)
    return SweepComparison(comparisons=rows, missing=tuple(missing))


def _matched(
    first: list[Outcome], second: list[Outcome]
) -> tuple[list[tuple[Result, Result]], list[str]]:
    keys = [[_key(each) for each in outcomes] for outcomes in (first, second)]
    if not set(keys[0]) & set(keys[1]) and len(first) == len(second):
        # Every run differs, as of two precisions: the order is what they have in common.
        keys = [list(map(str, range(len(first))))] * 2
    left = list(zip(keys[1], second, strict=True))
    pairs, missing = [], []
    for key, one in zip(keys[0], first, strict=True):
        place = next((n for n, (other, _) in enumerate(left) if other == key), None)
        other = None if place is None else left.pop(place)[1]
        if isinstance(one, Result) and isinstance(other, Result):
            pairs.append((one, other))
        else:
            missing.append(f"{_key(one)}: {_absent(one, other)}")
    missing += [f"{key}: not in the reference" for key, _ in left]
    return pairs, missing


def _absent(one: Outcome, other: Outcome | None) -> str:
    if isinstance(one, Failure):
        return "failed in the reference"
    return "not in the changed one" if other is None else "failed in the changed one"


def _key(outcome: Outcome) -> str:
    """What tells a run from the others of its sweep."""
    if isinstance(outcome, Failure):
        asked = outcome.asked
        return " ".join(
            str(asked[each]) for each in ("verb", "model", "precision") if each in asked
        )
    plan = outcome.plan
    where = plan.placement
    return (
        f"{plan.kind} {plan.short_name}, "
        f"{len(where.cpus) or 'all'} CPUs, {where.intra_threads} x {where.inter_threads} threads, "
        f"{len(plan.instances) or 1} instances"
        + (f", {plan.rate:g} queries/s" if plan.rate else "")
    )
