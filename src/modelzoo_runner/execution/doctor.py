"""Examine a plan's graph on a few images, in this process or in a child process."""

from __future__ import annotations

import dataclasses
import time

from modelzoo_runner.errors import RequestError
from modelzoo_runner.execution import host, opening, trust
from modelzoo_runner.results.diagnosis import Diagnosis
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan


def run(plan: Plan, context: Context = QUIET) -> Diagnosis:
    """Examine `plan.limit` images, where the plan would run.

    Raises:
        BindingError: `isolation="none"`, and this process can't honor the plan any more.
        RunnerError: the graph or the data can't be opened or read.
    """
    if host.why_not_here(plan) is None:
        return here(plan, context)
    from modelzoo_runner.execution import launch, listen, protocol

    with launch.started(plan, protocol.DIAGNOSE) as child:
        child.allow_work()
        found = Diagnosis.from_dict(listen.last_message(child, context)["diagnosis"])
    trust.remember(plan)
    return found


def here(plan: Plan, context: Context = QUIET) -> Diagnosis:
    """Examine the images in this process, with the plan's CPUs and threads."""
    began = time.monotonic()
    with opening.opened(plan, context) as opened:
        plan = opened.plan
        examine = getattr(tasks.find(plan.task), "examine", None)
        if examine is None:
            raise RequestError(f"task={plan.task!r}: there is nothing to look at in it")
        with context.phase("examine"):
            found = examine(plan, plan.data_location or "", opened.step, opened.prepare)
    shared = {each.name: getattr(found, each.name) for each in dataclasses.fields(found)}
    return Diagnosis(
        model=plan.model,
        precision=plan.precision,
        data_location=plan.data_location or "",
        seconds=round(time.monotonic() - began, 3),
        **{**shared, "warnings": (*found.warnings, *opened.warnings)},
    )
