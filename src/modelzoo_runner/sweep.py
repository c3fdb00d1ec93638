"""Many runs with one call: sweep(). How a run is done is known to the verbs."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from modelzoo_runner import api
from modelzoo_runner.best_known import BestKnown
from modelzoo_runner.errors import Interrupted, RequestError, RunnerError, did_you_mean
from modelzoo_runner.execution.progress import Guarded, Progress
from modelzoo_runner.plan import Kind, Plan
from modelzoo_runner.preset import Preset
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.sweep import Failure, Outcome, SweepResult

Run = Mapping[str, Any] | Plan | BestKnown

VERBS: Mapping[Kind, Callable[..., Result]] = {
    "benchmark": api.benchmark,
    "accuracy": api.accuracy,
}

NOT_OF_A_RUN = ("progress",)
"""Arguments of the verbs that are the sweep's own."""


def sweep(
    runs: Mapping[str, Any] | Iterable[Run], *, progress: Progress | None = None
) -> SweepResult:
    """Do many runs, one after another, and return what became of each, in the order asked for.

    A run that fails doesn't end the sweep: its error is in its place, as a `Failure`. Each run is
    a process of its own unless it says `isolation=`, so that none is measured with the thread
    pools, or in the remains, of another.

    Args:
        runs: what to run: a sequence of mappings of `benchmark`'s arguments, `model` among them,
            or of `accuracy`'s, with `verb="accuracy"`; or of what `best_known()` returns; or of
            plans. Or one mapping, a grid: each argument whose value is a list takes all values in
            it, in all combinations, the last argument's changing fastest.
        progress: called with ("runs", done, total).

    Raises:
        RequestError: there is no run, or one isn't a call of a verb; nothing has been run.
        Interrupted: Ctrl-C; its result holds the outcomes so far.

    Example:
        >>> from modelzoo_runner import best_known, sweep
        >>> print(sweep(best_known("resnet50")))  # doctest: +SKIP
        >>> grid = {"model": ["resnet50", "resnet101"], "batch_size": [1, 32]}
        >>> len(sweep(grid))  # doctest: +SKIP
        4
    """
    calls = _calls(runs)
    told = None if progress is None else Guarded(progress)
    outcomes: list[Outcome] = []
    for call in calls:
        if told is not None:
            told("runs", len(outcomes), len(calls))
        try:
            outcomes.append(_outcome(call))
        except Interrupted as interrupted:
            outcomes.append(interrupted.result)
            raise _interrupted(calls, outcomes) from None
        except KeyboardInterrupt:
            raise _interrupted(calls, outcomes) from None
    if told is not None:
        told("runs", len(calls), len(calls))
    problem = () if told is None or told.problem is None else (told.problem,)
    return SweepResult(tuple(outcomes), warnings=problem)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A run that is known to be a call of a verb; whether its values can be, it tells itself."""

    asked: Mapping[str, Any]
    do: Callable[[], Result]


def _outcome(call: Call) -> Outcome:
    try:
        return call.do()
    except RunnerError as error:
        return _failure(call, type(error).__name__, str(error))


def _failure(call: Call, error: str, message: str) -> Failure:
    return Failure(asked=_plain(call.asked), error=error, message=message)


def _interrupted(calls: list[Call], outcomes: list[Outcome]) -> Interrupted:
    said = "the sweep was interrupted before this run had a result"
    left = [_failure(call, "RunnerError", said) for call in calls[len(outcomes) :]]
    whole = SweepResult((*outcomes, *left))
    return Interrupted(whole, f"interrupted after {len(outcomes)} of {len(calls)} runs")


def _calls(runs: Mapping[str, Any] | Iterable[Run]) -> list[Call]:
    each = _product(runs) if isinstance(runs, Mapping) else runs
    calls = [_call(run, number) for number, run in enumerate(each)]
    if not calls:
        raise RequestError("runs: there are none; give a sequence of runs, or a grid of arguments")
    return calls


def _product(grid: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All combinations of the values that are lists, with all the other values."""
    axes = [value if isinstance(value, list) else [value] for value in grid.values()]
    for values in itertools.product(*axes):
        yield dict(zip(grid, values, strict=True))


def _call(run: Run, number: int) -> Call:
    if isinstance(run, Plan):
        return _of_plan(run)
    if isinstance(run, BestKnown):
        run = _of_best_known(run)
    if not isinstance(run, Mapping):
        raise RequestError(
            f"runs[{number}]={run!r}: should be a mapping of the arguments of benchmark() or "
            "accuracy(), a Plan, or what best_known() returns"
        )
    given = dict(run)
    verb = given.pop("verb", "benchmark")
    if verb not in VERBS:
        raise RequestError(
            f"runs[{number}]: verb={verb!r}: should be one of {', '.join(get_args(Kind))}"
        )
    known = [name for name in inspect.signature(VERBS[verb]).parameters if name not in NOT_OF_A_RUN]
    for name in given:
        if name not in known:
            raise RequestError(
                f"runs[{number}]: {name!r} is no argument of a run of {verb}(). "
                f"{did_you_mean(str(name), known, otherwise='Its arguments')}"
            )
    if "model" not in given:
        raise RequestError(f"runs[{number}]: model is missing, which every run needs")
    # A process of its own for each run, unless it says otherwise.
    arguments = {"isolation": "child", **given}
    return Call(asked={"verb": verb, **given}, do=lambda: VERBS[verb](**arguments))


def _of_plan(plan: Plan) -> Call:
    from modelzoo_runner.execution import host

    asked = {
        "verb": plan.kind,
        "model": plan.model,
        "precision": plan.precision,
        "batch_size": plan.batch_size,
    }
    return Call(asked=asked, do=lambda: host.run(plan))


def _of_best_known(known: BestKnown) -> dict[str, Any]:
    run = {"model": known.model, "precision": known.precision}
    if known.goal == "accuracy":
        return {"verb": "accuracy", **run}
    return {"verb": "benchmark", **run, "goal": known.goal}


def _plain(value: Any) -> Any:
    """An argument as JSON can carry it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Preset):
        return value.name
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value) if isinstance(value, (str, Path)) else repr(value)
