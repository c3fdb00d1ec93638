"""Many runs with one call: sweep(). What a run can be is known to `calls`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner._version import __version__
from modelzoo_runner.api.calls import Call, Run, calls_of
from modelzoo_runner.errors import Interrupted, ResultError, RunnerError, WorkerError
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.sweep import (
    Failure,
    Outcome,
    SweepResult,
    outcome_from_dict,
    outcome_to_dict,
)
from modelzoo_runner.values import bars, validate
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import Told

if TYPE_CHECKING:
    from modelzoo_runner.scale.checkpoint import Checkpoint
    from modelzoo_runner.scale.cluster import Cluster


@bars.shown
def sweep(
    runs: Mapping[str, Any] | Iterable[Run],
    *,
    client: Any | None = None,
    checkpoint: str | Path | None = None,
    progress: Told = None,
) -> SweepResult:
    """Do many runs and return what became of each, in the order asked for.

    A run that fails doesn't end the sweep: its error is in its place, as a `Failure`. Each run is
    a process of its own unless it says `isolation=`, so that none is measured with the thread
    pools, or in the remains, of another.

    Args:
        runs: what to run: a sequence of mappings of `benchmark`'s arguments, `model` among them,
            or of `accuracy`'s, with `verb="accuracy"`; or of what `best_known()` returns; or of
            plans. Or one mapping, a grid: each argument whose value is a list takes all values in
            it, in all combinations, the last argument's changing fastest.
        client: a `distributed.Client`, or the address of a Dask scheduler: its workers do the
            runs, one at a time on each node (see `docs/scaling.md`). Default: here, one after
            another.
        checkpoint: a folder that keeps the results, each as it comes: another call does the runs
            that have none there.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.

    Raises:
        RequestError: there is no run, one isn't a call of a verb, or the checkpoint is of another
            program; nothing has been run.
        BindingError: the client's workers can't do it; nothing has been run.
        Interrupted: Ctrl-C; its result holds the outcomes so far.

    Examples:
        >>> from modelzoo_runner import best_known, sweep
        >>> print(sweep(best_known("resnet50")))  # doctest: +SKIP
        >>> grid = {"model": ["resnet50", "resnet101"], "batch_size": [1, 32]}
        >>> len(sweep(grid))  # doctest: +SKIP
        4
    """
    from modelzoo_runner.machine import facts
    from modelzoo_runner.scale import checkpoint as checkpoints

    calls = calls_of(runs, elsewhere=client is not None)
    context = Context(progress=progress).guarded()
    with contextlib.ExitStack() as stack:
        workers = None if client is None else stack.enter_context(_workers(client))
        versions = facts.versions() if workers is None else workers.group.versions
        kept = None
        validate.optional_text("checkpoint", checkpoint)
        if checkpoint is not None:
            of = {"kind": "sweep", **versions, "modelzoo_runner": __version__}
            kept = stack.enter_context(checkpoints.opened(checkpoint, of))
        outcomes = {} if kept is None else dict(_kept(kept, calls))
        left = {number: call for number, call in enumerate(calls) if number not in outcomes}
        context.tell("runs", len(outcomes), len(calls))
        try:
            with _here(left, context) if workers is None else _on(workers, left) as done:
                for number, outcome in done:
                    outcomes[number] = outcome
                    if not _is_done(outcome):
                        continue
                    context.tell("runs", len(outcomes), len(calls))
                    if kept is not None and isinstance(outcome, Result):
                        kept.add(calls[number].name, outcome_to_dict(outcome))
        except KeyboardInterrupt:
            raise _interrupted(calls, outcomes) from None
    problems = () if kept is None else kept.problems
    return SweepResult(
        tuple(outcomes[number] for number in range(len(calls))),
        warnings=(*problems, *context.problems),
    )


Done = AbstractContextManager[Iterator[tuple[int, Outcome]]]


def _here(left: Mapping[int, Call], context: Context) -> Done:
    """The outcomes of calls by number, one after another."""

    def outcomes() -> Generator[tuple[int, Outcome], None, None]:
        for number, call in left.items():
            try:
                outcome: Outcome = call.do(progress=context.callback or False)
            except Interrupted as interrupted:
                yield number, interrupted.result
                raise KeyboardInterrupt from None
            except RunnerError as error:
                outcome = _failure(call, error)
            except Exception as error:  # noqa: BLE001 - whatever it was, the other runs go on
                said = f"the run failed in a way nobody foresaw: {type(error).__name__}: {error}"
                outcome = _failure(call, WorkerError(said))
            yield number, outcome

    return contextlib.closing(outcomes())


def _workers(client: Any) -> AbstractContextManager[Cluster]:
    from modelzoo_runner.scale import cluster

    return cluster.joined(client)


@contextlib.contextmanager
def _on(workers: Cluster, left: Mapping[int, Call]) -> Iterator[Iterator[tuple[int, Outcome]]]:
    """The outcomes of calls by number, as they come from the workers."""
    from modelzoo_runner.scale import cluster_worker

    calls = {str(number): (partial(call.do, progress=False),) for number, call in left.items()}
    with workers.doing(cluster_worker.alone, calls) as answers:
        yield (
            (int(name), _failure(left[int(name)], answer.error) if answer.error else answer.value)
            for name, answer in answers
        )


def _kept(kept: Checkpoint, calls: Sequence[Call]) -> Iterator[tuple[int, Outcome]]:
    """The outcomes in a checkpoint, by the numbers of their calls."""
    records = kept.entries()
    for number, call in enumerate(calls):
        if call.name in records:
            try:
                yield number, outcome_from_dict(records[call.name])
            except ResultError as error:
                kept.refuse(call.name, str(error).splitlines()[0])


def _is_done(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) or not outcome.interrupted


def _failure(call: Call, error: RunnerError) -> Failure:
    return Failure(asked=call.asked, error=type(error).__name__, message=str(error))


def _interrupted(calls: Sequence[Call], outcomes: Mapping[int, Outcome]) -> Interrupted:
    none = RunnerError("the sweep was interrupted before this run had a result")
    found = tuple(
        outcomes[number] if number in outcomes else _failure(call, none)
        for number, call in enumerate(calls)
    )
    done = sum(map(_is_done, outcomes.values()))
    return Interrupted(SweepResult(found), f"{done} of {len(calls)} runs")
