"""Here, in a child or in a container? Asked before a run, answered in the result.

A runtime may fix its thread pools with its first use in a process, and reads its variables once.
What this process can still honour runs here; anything else runs in a fresh child. A container is
only where one was asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterator

from modelzoo_runner.backends import base
from modelzoo_runner.errors import BindingError, Interrupted
from modelzoo_runner.machine import binding
from modelzoo_runner.results.parts import Host
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Guarded, Progress


def run(plan: Plan, *, progress: Progress | None = None) -> Result:
    """The result of the plan, run where it can be honoured; `observed.host_reason` says why there.

    Raises:
        BindingError: `isolation="none"`, and this process can't honour the plan any more.
        RunnerError: what the run itself raises.
    """
    if plan.processes > 1:
        from modelzoo_runner.execution import processes

        return processes.run(plan, lambda one: run(one, progress=progress), progress=progress)
    with contextlib.closing(runs(iter((plan,)), progress=progress)) as results:
        return next(results)


def runs(
    plans: Iterator[Plan], *, progress: Progress | None = None
) -> Generator[Result, None, None]:
    """The results of plans that differ only in their `examples`, had with one opened graph.

    Each plan is asked for when the result before has been taken; see `job.runs`.

    Raises:
        BindingError, RunnerError: as `run` does.
    """
    plan = next(plans)
    obstacle = why_not_here(plan)
    if plan.isolation == "none" and obstacle is not None:
        raise BindingError(
            f'isolation="none": this process can\'t honour the plan: {obstacle}. '
            'Use isolation="auto" to run it in a child process, or restart this process'
        )
    if plan.isolation == "child" and not plan.instances and plan.docker_image is None:
        obstacle = 'isolation="child"'
    told = None if progress is None else Guarded(progress)
    try:
        with contextlib.closing(_runs(plan, plans, obstacle, told)) as results:
            for result in results:
                yield _hosted(result, obstacle, told)
    except Interrupted as interrupted:
        raise Interrupted(_hosted(interrupted.result, obstacle, told)) from None


def _runs(
    plan: Plan, further: Iterator[Plan], obstacle: str | None, progress: Progress | None
) -> Generator[Result, None, None]:
    plans = itertools.chain((plan,), further)
    if obstacle is None:
        from modelzoo_runner.execution import job

        yield from job.runs(plans, progress=progress)
    elif plan.docker_image is not None:
        from modelzoo_runner.execution import container

        for each in plans:
            yield container.run(each, progress=progress)
    elif plan.instances:
        from modelzoo_runner.execution import instances

        yield instances.run(plan, progress=progress)
    else:
        from modelzoo_runner.execution import launch

        yield from launch.runs(plans, progress=progress)


def why_not_here(plan: Plan) -> str | None:
    """What keeps this process from honouring the plan, or `None`."""
    placement = plan.placement
    if plan.docker_image is not None:
        return f"docker_image={plan.docker_image.name!r}"
    if plan.instances:
        return "each instance is a process of its own"
    if plan.timeout is not None:
        return "timeout= needs a process that can be ended"
    if placement.allocator != "system":
        return f"{placement.allocator} has to be loaded before anything else is"
    if placement.binding == "numactl":
        return "numactl starts a process of its own"
    return binding.too_late(placement) or base.find(plan.runtime).blocker(placement)


def _hosted(result: Result, obstacle: str | None, told: Guarded | None) -> Result:
    """The result with where it was had and why, and with what went wrong on the way here."""
    host: Host = "process" if obstacle is None else "child"
    observed = dataclasses.replace(
        result.observed,
        host=host if result.plan.docker_image is None else "container",
        host_reason=obstacle or "this process can honour the plan",
    )
    problems = () if told is None or told.problem is None else (told.problem,)
    return dataclasses.replace(result, observed=observed, warnings=result.warnings + problems)
