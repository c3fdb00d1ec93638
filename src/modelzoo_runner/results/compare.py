"""Two results beside each other: which was faster or better, and whether that can be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelzoo_runner.errors import ResultError
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.values import codec

Verdict = Literal["faster", "slower", "inconclusive"]

NO_MATTER = frozenset({"why", "timeout", "isolation", "predictions", "published", "release"})
"""What in a plan has no bearing on the numbers."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`first` against `second`.

    `ratio` is the first's throughput over the second's, `median_ratio` the same by the medians of
    the step time per example. `verdict` is of the first, and `"inconclusive"` where the 95 %
    intervals of the medians overlap. `score_differences` are first minus second, by score.
    `differences` are all values of the plans that differ: (first, second), by their dotted names.
    """

    ratio: float
    median_ratio: float
    verdict: Verdict
    differences: Mapping[str, tuple[Any, Any]]
    score_differences: Mapping[str, float]

    def __str__(self) -> str:
        lines = [
            f"throughput {self.ratio:.3f}x, median {self.median_ratio:.3f}x: {self.verdict}",
            *(f"{name} {value:+.4f}" for name, value in self.score_differences.items()),
            *(f"{name}: {a!r} against {b!r}" for name, (a, b) in self.differences.items()),
        ]
        return "\n".join(lines)


def compare(first: Result, second: Result) -> Comparison:
    """What can be said of two results of the same kind.

    Raises:
        ResultError: something else, a benchmark against an accuracy run, or a partial result.
    """
    for name, each in (("first", first), ("second", second)):
        if not isinstance(each, Result):
            raise ResultError(f"{name}={each!r}: should be a result, as a verb or load() gives it")
    if type(first) is not type(second):
        kinds = f"{type(first).__name__} and {type(second).__name__}"
        raise ResultError(f"{kinds} can't be compared: give two of the same kind")
    for name, each in (("first", first), ("second", second)):
        if each.interrupted:
            raise ResultError(f"{name}: the run was interrupted; its numbers are of a part of it")
    intervals = [_interval(each) for each in (first, second)]
    return Comparison(
        ratio=first.throughput / second.throughput,
        median_ratio=_per_example(second) / _per_example(first),
        verdict=_verdict(*intervals),
        differences=dict(differences(codec.to_dict(first.plan), codec.to_dict(second.plan))),
        score_differences=_scores(first, second),
    )


def _per_example(result: Result) -> float:
    return result.latency.p50 * _scale(result)


def _interval(result: Result) -> tuple[float, float] | None:
    interval = result.latency.p50_interval
    if interval is None:
        return None
    return interval[0] * _scale(result), interval[1] * _scale(result)


def _scale(result: Result) -> float:
    """From the time of a step to that of an example: steps per example, over those at once."""
    at_once = len(result.instances) if isinstance(result, BenchmarkResult) else 0
    return len(result.step_seconds) / result.examples / max(1, at_once)


def _verdict(first: tuple[float, float] | None, second: tuple[float, float] | None) -> Verdict:
    if first is None or second is None:
        return "inconclusive"
    if first[1] < second[0]:
        return "faster"
    return "slower" if second[1] < first[0] else "inconclusive"


def _scores(first: Result, second: Result) -> dict[str, float]:
    if not (isinstance(first, AccuracyResult) and isinstance(second, AccuracyResult)):
        return {}
    shared = [name for name in first.scores if name in second.scores]
    return {name: first.scores[name] - second.scores[name] for name in shared}


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What of two plans as dicts differs and matters: (dotted name, the values of both)."""
    for key in dict.fromkeys((*first, *second)):
        name = f"{path}.{key}" if path else key
        if name in NO_MATTER or key == "why":
            continue
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from differences(a, b, name)
        elif a != b:
            yield name, (a, b)
