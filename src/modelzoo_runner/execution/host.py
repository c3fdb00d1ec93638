"""Here or in a child? Asked before a run, answered in the result.

TensorFlow fixes its thread pools with the first session of a process, and its libraries read their
variables once. What this process can still honour runs here; anything else runs in a fresh child.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TypeVar

from modelzoo_runner.errors import BindingError, Interrupted
from modelzoo_runner.execution import pool
from modelzoo_runner.execution.progress import Progress
from modelzoo_runner.machine import binding, environment
from modelzoo_runner.plan import Plan
from modelzoo_runner.results.result import Result

R = TypeVar("R", bound=Result)


def run(plan: Plan, *, progress: Progress | None = None) -> Result:
    """The result of the plan, run where it can be honoured; `observed.host_reason` says why there.

    Raises:
        BindingError: `isolation="none"`, and this process can't honour the plan any more.
        RunnerError: what the run itself raises.
    """
    obstacle = why_not_here(plan)
    if plan.isolation == "none" and obstacle is not None:
        raise BindingError(
            f'isolation="none": this process can\'t honour the plan: {obstacle}. '
            'Use isolation="auto" to run it in a child process, or restart this process'
        )
    if plan.isolation == "child":
        obstacle = 'isolation="child"'
    if obstacle is None:
        from modelzoo_runner.execution import job

        reason = "this process can honour the plan"
        try:
            return _hosted(job.run(plan, progress=progress), "process", reason)
        except Interrupted as interrupted:
            raise Interrupted(_hosted(interrupted.result, "process", reason)) from None
    from modelzoo_runner.execution import launch

    try:
        return _hosted(launch.run(plan, progress=progress), "child", obstacle)
    except Interrupted as interrupted:
        raise Interrupted(_hosted(interrupted.result, "child", obstacle)) from None


def why_not_here(plan: Plan) -> str | None:
    """What keeps this process from honouring the plan, or `None`."""
    placement = plan.placement
    if plan.timeout is not None:
        return "timeout= needs a process that can be ended"
    if placement.allocator != "system":
        return f"{placement.allocator} has to be loaded before anything else is"
    if placement.binding == "numactl":
        return "numactl starts a process of its own"
    too_late = environment.read_once(placement.env, os.environ)
    if too_late:
        return f"this process has read {', '.join(too_late)} already"
    late = binding.too_late(placement)
    if late is not None:
        return late
    if pool.made():
        have = pool.known()
        if have is None:
            return "TensorFlow's thread pools were made here before, by other code"
        asked = (placement.inter_threads, placement.intra_threads)
        if (have.inter_threads, have.intra_threads) != asked:
            return (
                f"TensorFlow's thread pools were made here with {have.inter_threads} inter-op and "
                f"{have.intra_threads} intra-op threads, not with {asked[0]} and {asked[1]}"
            )
    return None


def _hosted(result: R, host: str, reason: str) -> R:
    observed = dataclasses.replace(result.observed, host=host, host_reason=reason)  # type: ignore[arg-type]
    return dataclasses.replace(result, observed=observed)
