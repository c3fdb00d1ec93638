"""The steps of tune(): score, search, and measure the best against the default."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.api.halving import Search
from modelzoo_runner.api.heats import Bench, cannot
from modelzoo_runner.api.runtimes import scored
from modelzoo_runner.errors import Interrupted, RequestError, RunnerError
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.runtimes import Way
from modelzoo_runner.results.tune import Tried, gain, named, reference_seconds
from modelzoo_runner.values import codec

SCORING_SHARE = 0.5
"""At most so much of the budget is for scoring."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How a search ended: names of settings, and the default measured against the challenger."""

    default: str
    best: str
    challenger: str
    confirmed: ABResult | None = None
    complete: bool = False
    interrupted: bool = False
    warnings: tuple[str, ...] = ()


def searched(search: Search, bench: Bench, batch_size: int, ends: Mapping[str, Any]) -> End:
    """Search, then measure the best against the default.

    Raises:
        RequestError: nothing is as quick as asked for.
        RunnerError: what running the default raises.
    """
    default = best = named(search.space.default)
    # What keeps the default from being planned is an error at once.
    bench.plan_of(search.space.default)
    confirmed, complete, interrupted = None, False, False
    try:
        start = _started(search, bench, batch_size)
        search.add(search.space.default)
        bench.reserve(search.tried[default], search.tried[start])
        complete = search.run(search.tried[start].settings)
        best = _best(search)
        if best != default:
            confirmed = bench.confirmed(search.tried[default], search.tried[best], ends)
            complete = complete and confirmed is not None
    except Interrupted as error:
        confirmed, interrupted = error.result, True
    except KeyboardInterrupt:
        if bench.reference is None or not bench.reference.heats:
            raise
        best, interrupted = _best(search), True
    challenger, warnings = best, list[str]()
    if confirmed is not None:
        notes = confirmed.sides[1].observed.graph.get("notes", ())
        warnings += [*confirmed.warnings, *(f"{best}: {said}" for said in notes)]
        pair = search.tried[default], search.tried[best]
        longest = search.max_latency or math.inf
        is_quick = pair[0].instances * pair[0].batch_size / confirmed.throughput(0) <= longest
        if gain(confirmed, search.objective, *pair).value < 1 and is_quick:
            best = search.preferred(default, "not faster than the default in the confirmation")
    elif best != default and not interrupted:
        warnings.append("there was no time to measure the best against the default")
    return End(
        default=default,
        best=best,
        challenger=challenger,
        confirmed=confirmed,
        complete=complete,
        interrupted=interrupted,
        warnings=tuple(warnings),
    )


def _started(search: Search, bench: Bench, batch_size: int) -> str:
    """The settings to begin with, measured once: what all others are measured beside.

    A graph may take the default's batch alone; then no other is tried.
    """
    default = search.space.default
    start = search.add(search.space.start(batch_size))
    try:
        search.halved([search.tried[start].settings])
    except RunnerError as error:
        if start == named(default):
            raise
        search.tried[start] = cannot(search.tried[start], error)
        axes = {name: axis for name, axis in search.space.axes.items() if name != "batch_size"}
        search.space = dataclasses.replace(search.space, axes=axes)
        bench.reference = None
        start = search.add(default)
        search.halved([default])
    return start


def _best(search: Search) -> str:
    best = search.best()
    if best is None:
        measured = [each for each in search.tried.values() if each.heats]
        seconds = reference_seconds(measured)
        quickest = min(measured, key=lambda each: each.latency(seconds))
        raise RequestError(
            f"max_latency={search.max_latency}: nothing that was tried is as quick; a step takes "
            f"{quickest.latency(seconds):.3g} s with {quickest.name}. Allow as much, or "
            "smaller batch_sizes"
        )
    return best


def refused(scores: Iterable[Way], least: float) -> Iterator[tuple[tuple[str, str], Tried]]:
    """The runtimes and precisions with a lower score than allowed, and why.

    Raises:
        RequestError: those are all.
    """
    found = {}
    for way in scores:
        name, score = next(iter(way.scores.items()), ("score", None))
        why = f"min_accuracy={least}: {way.problem or f'{name} is {score}'}"
        if score is None or score < least:
            settings = {"runtime": way.runtime, "precision": way.precision}
            found[way.runtime, way.precision] = Tried(
                settings=settings, runtime=way.runtime, precision=way.precision, dropped=why
            )
    if len(found) == len(tuple(scores)):
        said = "; ".join(f"{' '.join(way)}: {each.dropped}" for way, each in found.items())
        raise RequestError(f"min_accuracy={least}: nothing is as accurate: {said}")
    yield from found.items()


def unknown(tried: Iterable[Tried], scores: Sequence[Way]) -> Iterator[str]:
    """Warnings of precisions whose cost in accuracy isn't known."""
    known = {(way.runtime, way.precision) for way in scores if way.scores}
    measured = {(each.runtime, each.precision) for each in tried if each.heats}
    for runtime, precision in sorted(measured - known):
        if precision != "fp32":
            yield (
                f"{runtime} {precision}: what it costs in accuracy isn't known: give "
                "data_location= to have it scored"
            )


def scores(
    bench: Bench, ways: Sequence[tuple[str, str]], shared: Mapping[str, Any], limit: int | None
) -> Iterator[Way]:
    """The scores of each runtime and precision on the data, or why there are none."""
    for done, (runtime, precision) in enumerate(ways):
        bench.context.tell("scores", done, len(ways))
        way = Way(runtime=runtime, precision=precision)
        left = bench.left() - (1 - SCORING_SHARE) * bench.budget
        timed = {**shared, "timeout": left}
        score = functools.partial(scored, way, timed, limit, bench.context)
        read = functools.partial(codec.from_dict, cls=Way)
        try:
            if left <= 0:
                raise RunnerError("half of the budget was over before it could be scored")
            yield bench.remembered(f"scores-{runtime}-{precision}", score, codec.to_dict, read)
        except RunnerError as error:
            yield dataclasses.replace(way, problem=str(error))
    bench.context.tell("scores", len(ways), len(ways))
