"""Open a plan's graph: read, check and compile it; also the one that prepares its images."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelzoo_runner.backends import base
from modelzoo_runner.backends.base import Model, Step, fits, show_shape
from modelzoo_runner.errors import GraphError, RequestError
from modelzoo_runner.execution import memory
from modelzoo_runner.machine import binding, environment
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import GraphFile, Plan

TRIAL_SIDE = 32
"""Height and width of the image that is tried first, where the graph leaves them open."""


@dataclass
class Start:
    """When a run began, the load average then, and who is told of the phases of its setup.

    Of a graph that was open already there are no phases that count: not `is_cold`.
    """

    at: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    )
    load_average: tuple[float, float, float] = field(default_factory=os.getloadavg)
    context: Context = field(default_factory=Context)
    is_cold: bool = True


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A graph that is ready to run, in a process that is bound.

    `plan` has the graph's tensors; `card` is what was done to the graph, `threads` the runtime's
    thread counts, `warnings` those of binding.
    """

    plan: Plan
    step: Step
    prepare: Step | None
    card: Mapping[str, Any]
    threads: Mapping[str, Any]
    warnings: tuple[str, ...]
    start: Start


@contextlib.contextmanager
def opened(plan: Plan, context: Context = QUIET) -> Iterator[Opened]:
    """The plan's graph, ready to run; this process has the plan's CPUs and variables meanwhile.

    Raises:
        BindingError: this process can't be bound as planned.
        GraphError: the graph can't be run here.
    """
    start = Start(context=replace(context, seconds={}))
    backend = base.find(plan.runtime)
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment.variables(plan.placement.env))
        bound = stack.enter_context(binding.bound(plan.placement))
        with start.context.phase("import"):
            backend.import_runtime()
        threads = backend.set_threads(plan.placement)
        with start.context.phase("read"):
            model = backend.load(plan.graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
        if plan.feeds:
            model = model.with_feeds(plan.feeds)
        plan = with_own_facts(plan, model)
        input, outputs = plan.graph.input or "", plan.graph.outputs
        model.check_tensors(input, outputs)
        memory.require(plan, model)
        compiled = backend.compile(
            model,
            input=input,
            outputs=list(outputs.values()),
            placement=plan.placement,
            precision=plan.precision,
            optimize=plan.optimize,
            timed=start.context.phase,
        )
        step = stack.enter_context(contextlib.closing(compiled.step))
        plan = replace(plan, encoded_input=step.input_dtype == base.ENCODED)
        plan, prepare = stack.enter_context(_preprocessor(plan, step))
        yield Opened(
            plan=plan,
            step=step,
            prepare=prepare,
            card=compiled.card,
            threads=threads,
            warnings=bound.warnings,
            start=start,
        )


def with_own_facts(plan: Plan, model: Model) -> Plan:
    """The plan with the graph's own tensors where none are named, and its optional outputs."""
    present = model.present_outputs(plan.graph.optional)
    named = replace(plan.graph, outputs={**plan.graph.outputs, **present}, optional={})
    precision = plan.precision
    if named.input is None or not plan.graph.outputs:
        found_input, found_outputs = model.guess_tensors(plan.graph.outputs)
        named = replace(
            named, input=named.input or found_input, outputs=plan.graph.outputs or found_outputs
        )
        if precision == "fp32" and model.int8_layers > 0:
            precision = "int8"
    task = tasks.name_for(named.outputs, otherwise=plan.task)
    return replace(plan, graph=named, task=task, precision=precision)


@contextlib.contextmanager
def _preprocessor(plan: Plan, fed: Step) -> Iterator[tuple[Plan, Step | None]]:
    """The plan with the preprocessing graph's tensors filled in, and its step; `None` without one.

    The step takes one image, uint8 [1, height, width, 3], and gives one row of what `fed` takes. It
    can be called by several threads at once, and isn't optimized.

    Raises:
        GraphError: the graph can't be run, or its output isn't what `fed` takes.
    """
    if plan.preprocess_graph is None:
        yield plan, None
        return
    backend = base.find(plan.runtime)
    model = backend.load(plan.preprocess_graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
    file = _with_tensors(plan.preprocess_graph, model)
    model.check_tensors(file.input or "", file.outputs)
    compiled = backend.compile(
        model,
        input=file.input or "",
        outputs=list(file.outputs.values()),
        placement=plan.placement,
        precision="fp32",
        optimize=False,
        timed=Context().phase,
    )
    with contextlib.closing(compiled.step) as step:
        _try(file, step, plan.graph, fed)
        yield replace(plan, preprocess_graph=file), step


def _with_tensors(file: GraphFile, model: Model) -> GraphFile:
    """The file with the graph's own tensors, where no preset names them."""
    if file.outputs:
        return file
    try:
        found, outputs = model.guess_tensors()
    except GraphError as error:
        raise GraphError(
            f"{file.path}: {error}, in a preset's table [graph.<precision>.preprocess_graph]"
        ) from None
    if len(outputs) > 1:
        raise GraphError(
            f"{file.path}: is a detector; preprocess_graph is the graph that prepares its images"
        )
    return replace(file, input=found, outputs={"image": next(iter(outputs.values()))})


def _try(file: GraphFile, step: Step, graph: GraphFile, fed: Step) -> None:
    """Prepare a black image, to check before the run that the two graphs fit."""
    import numpy as np

    sides = (step.input_shape or (None,) * 4)[1:-1]
    image = np.zeros((1, *(side or TRIAL_SIDE for side in sides), 3), np.uint8)
    try:
        (made,) = step(image)
    except RequestError as error:
        raise GraphError(
            f"{file.path}: should take an image, uint8 [1, height, width, 3], at {file.input}. "
            f"{error}"
        ) from None
    wanted = fed.input_shape or (None,) * made.ndim
    any_batch = (*(None for _ in wanted[:1]), *wanted[1:])
    if not fits(any_batch, made.shape) or made.dtype.name != fed.input_dtype:
        raise GraphError(
            f"{file.path}: makes {made.dtype.name} {show_shape(made.shape)} of an image, and "
            f"{graph.path} takes {fed.input_dtype} {show_shape(wanted)} at {graph.input}"
        )
