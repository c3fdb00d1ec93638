"""Choose where a plan runs: in this process, in a child process or in a container.

A runtime may size its thread pools once per process and reads its variables once. A plan that this
process can still honor runs here if its graph is known (see `trust`), any other one in a fresh
child process. A container is used only if one was asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterator

from modelzoo_runner.backends import base
from modelzoo_runner.errors import BindingError, Interrupted, RequestError
from modelzoo_runner.execution import memory, opening, trust
from modelzoo_runner.machine import binding
from modelzoo_runner.results.parts import Host
from modelzoo_runner.results.result import Result
from modelzoo_runner.values import remote
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan


def run(plan: Plan, context: Context = QUIET) -> Result:
    """The result of the plan; `observed.host_reason` says why it ran where it did.

    Raises:
        BindingError: `isolation="none"`, and this process can't honor the plan any more.
        RunnerError: what the run itself raises.
    """
    if plan.processes > 1:
        from modelzoo_runner.execution import processes

        return processes.run(plan, lambda one: run(one, context), context)
    with contextlib.closing(runs(iter((plan,)), context)) as results:
        return next(results)


def runs(plans: Iterator[Plan], context: Context = QUIET) -> Generator[Result, None, None]:
    """The results of plans that differ only in their `examples`, with the graph opened once.

    Each plan is taken when the result before has been. Raises what `run` does.
    """
    plan = next(plans)
    obstacle = why_not_here(plan)
    if obstacle is not None:
        _require_shared(plan, obstacle)
    context = context.guarded()
    try:
        with contextlib.closing(_runs(plan, plans, obstacle, context)) as results:
            for result in results:
                if plan.docker_image is None:
                    trust.remember(plan)
                yield _hosted(result, obstacle, context)
    except Interrupted as interrupted:
        raise Interrupted(_hosted(interrupted.result, obstacle, context)) from None


def _require_shared(plan: Plan, obstacle: str) -> None:
    """Refuse a plan that leaves what a child does in the child's own memory."""
    streamed = plan.data_location if plan.stream else None
    written = plan.predictions if plan.examples is None and plan.docker_image is None else None
    for name, value in (("data_location", streamed), ("predictions", written)):
        if value is not None and remote.scheme_of(value) == "memory":
            raise RequestError(
                f"{name}={value!r}: memory:// is this process's own, and the run is done in "
                f"another one ({obstacle}); give a place that both see"
            )


def _runs(
    plan: Plan, further: Iterator[Plan], obstacle: str | None, context: Context
) -> Generator[Result, None, None]:
    plans = itertools.chain((plan,), further)
    if obstacle is None:
        from modelzoo_runner.execution import job

        yield from job.runs(plans, context, keep=True)
        return
    context.tell("start", 0, 1)
    if plan.docker_image is not None:
        from modelzoo_runner.execution import container

        for each in plans:
            yield container.run(each, context)
    elif plan.instances:
        from modelzoo_runner.execution import instances

        yield instances.run(plan, context)
    else:
        from modelzoo_runner.execution import launch

        # A run that will never be able to be here may be asked for again.
        lasts = plan.isolation == "auto" and _obstacle(plan) is not None
        yield from launch.runs(plans, context, keep=lasts)


def why_not_here(plan: Plan) -> str | None:
    """Why the plan doesn't run in this process, or `None`.

    Raises:
        BindingError: `isolation="none"`, and this process can't honor the plan any more.
    """
    obstacle = _obstacle(plan)
    if plan.isolation == "none" and obstacle is not None:
        raise BindingError(
            f'isolation="none": this process can\'t honor the plan: {obstacle}. '
            'Use isolation="auto" to run it in a child process, or restart this process'
        )
    if plan.isolation == "child" and not plan.instances and plan.docker_image is None:
        return 'isolation="child"'
    if plan.isolation == "auto" and obstacle is None and not trust.known(plan):
        return trust.UNKNOWN
    if plan.isolation == "auto" and obstacle is None and memory.is_tight(plan):
        opening.release()  # what the run before left in memory
        if memory.is_tight(plan):
            return "the run might take more memory than there is"
    return obstacle


def _obstacle(plan: Plan) -> str | None:
    placement = plan.placement
    if plan.docker_image is not None:
        return f"docker_image={plan.docker_image.name!r}"
    if plan.instances:
        return "each instance is a process of its own"
    if plan.timeout is not None:
        return "timeout= needs a process that can be ended"
    if placement.allocator != "system":
        return f"{placement.allocator} has to be preloaded when a process starts"
    if placement.binding == "numactl":
        return "numactl starts a process of its own"
    return binding.too_late(placement) or base.find(plan.runtime).blocker(placement)


def _hosted(result: Result, obstacle: str | None, context: Context) -> Result:
    """The result with where it ran and why, what was done before it, and the problems of the
    progress callback.
    """
    before = dict(context.seconds)
    context.seconds.clear()  # of several processes and parts, the first one has it
    host: Host = "process" if obstacle is None else "child"
    observed = dataclasses.replace(
        result.observed,
        host=host if result.plan.docker_image is None else "container",
        host_reason=obstacle or "this process can honor the plan",
        setup_seconds={**before, **result.observed.setup_seconds},
    )
    return dataclasses.replace(
        result, observed=observed, warnings=(*result.warnings, *context.problems)
    )
