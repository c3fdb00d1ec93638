"""An accuracy run in parts: one after another here, or on the workers of a cluster.

A checkpoint keeps the parts that are done, so that another call does the missing ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard, cast

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import Interrupted, RequestError, ResultError
from modelzoo_runner.execution import host
from modelzoo_runner.machine import facts
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.validation import check
from modelzoo_runner.results.difference import NO_MATTER
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.results.result import AccuracyResult, PartResult, Result, from_dict
from modelzoo_runner.scale import checkpoint as checkpoints
from modelzoo_runner.scale import parts
from modelzoo_runner.scale.checkpoint import Checkpoint
from modelzoo_runner.scale.parts import Range
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import codec
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import MASKS, Preset


class Executor(Protocol):
    """Runs parts; `plan` and `dataset` are of all examples."""

    @property
    def plan(self) -> Plan: ...
    @property
    def dataset(self) -> DatasetInfo: ...
    @property
    def versions(self) -> Mapping[str, str | None]: ...
    @property
    def problems(self) -> Sequence[str]: ...

    def results(
        self, missing: Sequence[Range], context: Context
    ) -> AbstractContextManager[Iterator[PartResult]]:
        """Parts of what is missing, as they get done; on leaving, the others are cancelled."""


def run(
    preset: Preset,
    request: Request,
    *,
    client: Any | None,
    checkpoint: str | Path | None,
    context: Context,
) -> AccuracyResult:
    """The result of an accuracy run, done in parts.

    Args:
        preset: the model.
        request: what is asked for.
        client: whose workers do the parts; `None`: this machine does.
        checkpoint: the folder that keeps the parts that are done.
        context: whether the network may be used, and who is told of progress.

    Raises:
        Interrupted: Ctrl-C; holds the result of what is done.
        RequestError: an argument is invalid, or the checkpoint is of another run.
        RunnerError: as `accuracy`.
    """
    request = check(request, preset).with_absolute_paths()
    _can_be_in_parts(request, client)
    context = context.guarded()
    with contextlib.ExitStack() as stack:
        executor: Executor
        if client is None:
            plan = planner.plan(preset, request, context)
            executor = LocalExecutor(
                plan=plan, dataset=tasks.dataset(plan), versions=facts.versions()
            )
        else:
            from modelzoo_runner.scale import cluster_executor

            on_workers = cluster_executor.opened(client, preset, request, context)
            executor = stack.enter_context(on_workers)
        kept = None
        if checkpoint is not None:
            kept = stack.enter_context(checkpoints.opened(checkpoint, _identity(executor, request)))
        return _run(executor, kept, request.predictions, context)


def _run(
    executor: Executor, kept: Checkpoint | None, predictions: str | None, context: Context
) -> AccuracyResult:
    dataset = executor.dataset
    done = [] if kept is None else list(_kept(kept, dataset))
    ranges = [parts.range_of(part) for part in done]
    missing = parts.missing(dataset.examples, ranges)
    count = sum(part.examples for part in done)

    def inside(name: str, number: int, total: int | None) -> None:
        """What a part that is under way tells."""
        if name == "examples":
            number, total = count + number, dataset.examples
        context.tell(name, number, total)

    def result(found: Sequence[PartResult], *, interrupted: bool = False) -> AccuracyResult:
        merged = parts.merged(found, predictions=predictions, interrupted=interrupted)
        of_checkpoint = () if kept is None else kept.problems
        problems = (*of_checkpoint, *executor.problems, *context.problems)
        warnings = tuple(dict.fromkeys((*merged.warnings, *problems)))
        return dataclasses.replace(merged, warnings=warnings)

    context.tell("examples", count, dataset.examples)
    try:
        with executor.results(missing, dataclasses.replace(context, progress=inside)) as results:
            for part in results:
                if kept is not None:
                    kept.add(parts.name(parts.range_of(part)), part.to_dict())
                done.append(part)
                count += part.examples
                context.tell("examples", count, dataset.examples)
    except Interrupted as interrupted:
        raise Interrupted(result([*done, interrupted.result], interrupted=True)) from None
    except KeyboardInterrupt:
        if not done:
            raise
        raise Interrupted(result(done, interrupted=True)) from None
    return result(done)


def _kept(kept: Checkpoint, dataset: DatasetInfo) -> Iterator[PartResult]:
    """The parts in a checkpoint; what isn't part of this run is a problem of the checkpoint."""
    at = 0
    for name, record in kept.entries().items():
        try:
            part = from_dict(record)
        except ResultError as error:
            kept.refuse(name, str(error).splitlines()[0])
            continue
        if not _is_part(part, name, dataset):
            kept.refuse(name, "it is no part of this run")
        elif parts.range_of(part)[0] < at:
            kept.refuse(name, "some of its examples are in another part")
        else:
            at = parts.range_of(part)[1]
            yield part


def _is_part(part: Result, name: str, dataset: DatasetInfo) -> TypeGuard[PartResult]:
    if not isinstance(part, PartResult) or part.dataset != dataset or part.interrupted:
        return False
    start, stop = parts.range_of(part)
    return part.examples == stop - start and parts.name((start, stop)) == name


@dataclass(frozen=True, kw_only=True)
class LocalExecutor:
    """This machine, one part after another with one opened graph."""

    plan: Plan
    dataset: DatasetInfo
    versions: Mapping[str, str | None]
    problems: Sequence[str] = ()

    @contextlib.contextmanager
    def results(self, missing: Sequence[Range], context: Context) -> Iterator[Iterator[PartResult]]:
        if not missing:
            yield iter(())
            return
        ranges = parts.split(missing, batch_size=self.plan.batch_size)
        plans = (dataclasses.replace(self.plan, examples=each) for each in ranges)
        with contextlib.closing(host.runs(plans, context)) as results:
            yield cast(Iterator[PartResult], results)


def _identity(executor: Executor, request: Request) -> dict[str, Any]:
    """What must be the same for a part to belong to this run."""
    plan = codec.to_dict(executor.plan)
    env = {key: value for key, value in plan["placement"]["env"].items() if key not in _SPEED}
    matters = {key: value for key, value in plan.items() if key not in NO_MATTER | _WHERE}
    return {
        "kind": "accuracy",
        "modelzoo_runner": __version__,
        **executor.versions,
        **{key: _without_place(value) for key, value in matters.items()},
        "env": env,
        # Of masks, unlike all else that predictions= writes, nothing is kept unless it is asked.
        "masks": executor.plan.predictions is not None
        and MASKS in {**executor.plan.graph.outputs, **executor.plan.graph.optional},
        "data_location": request.data_location,
        "annotations": request.annotations,
        "data": {
            "examples": executor.dataset.examples,
            "fingerprint": executor.dataset.fingerprint,
        },
    }


_WHERE = {"placement", "instances", "examples"}
"""What in a plan says where it is run and in which part, which changes no score."""

_SPEED = {"OMP_NUM_THREADS"}


def _without_place(value: Any) -> Any:
    """Files are compared by content, not by path."""
    if isinstance(value, dict) and value.get("sha256"):
        return {key: each for key, each in value.items() if key not in ("path", "source")}
    return value


def _can_be_in_parts(request: Request, client: Any | None) -> None:
    asked = "checkpoint" if client is None else "client"
    if request.stream:
        raise RequestError(
            f"stream=True: with {asked}= the run is done in parts, and to find where a part begins "
            "all data before it would have to be read; leave stream out, and the data is fetched"
        )
    if request.docker_image and client is not None:
        raise RequestError(
            f"docker_image={request.docker_image!r}: the workers of a cluster run each part "
            "themselves; leave it out, and start the workers in that image instead"
        )
