"""Open a plan's graph: read, check and compile it."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelzoo_runner.backends import base
from modelzoo_runner.backends.base import Model, Step
from modelzoo_runner.execution import forks, memory, preprocessing
from modelzoo_runner.machine import binding, environment
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import words
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan


@dataclass
class Start:
    """When a run began, the load average then, and who is told of the phases of its setup.

    Of a graph that was open already there are no phases that count: not `is_cold`.
    """

    at: str = field(default_factory=words.now)
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


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A compiled graph, which runs of other batches, steps and data can use as well.

    `asked` is the plan that it was opened for, with the largest batch that was found to fit; `plan`
    has the graph's own facts besides. `steps` closes what it holds.
    """

    asked: Plan
    plan: Plan
    step: Step
    prepare: Step | None
    card: Mapping[str, Any]
    steps: contextlib.ExitStack


_kept: list[_Ready] = []
"""What the last run in this process left open; at most one, as each takes memory."""


def release() -> None:
    """Free what runs have left for the next one: the opened graph, and processes with TensorFlow.

    A further run with the same graph then opens it again, and a further run in a child process
    loads TensorFlow again, which takes as long as it took at first. A run with another graph, or in
    another way, frees the opened graph by itself; the processes end after a minute without work.

    Example:
        >>> from modelzoo_runner import release
        >>> release()
    """
    from modelzoo_runner.execution import kept

    kept.release()
    forks.release()
    _free()


def _free() -> None:
    if _kept:
        _close()
        gc.collect()  # TensorFlow's graphs refer to themselves


def _close() -> None:
    while _kept:
        _kept.pop().steps.close()


@contextlib.contextmanager
def opened(plan: Plan, context: Context = QUIET, *, keep: bool = False) -> Iterator[Opened]:
    """The plan's graph, ready to run; this process has the plan's CPUs and variables meanwhile.

    With `keep` it stays open for the next run that needs it as this one did, until `release`.

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
        ready = _taken(plan) or _open(plan, start)
        steps = stack.enter_context(ready.steps)
        own = _with_facts_of(plan, ready.plan)
        if plan.batch_size > ready.asked.batch_size:
            memory.require(own, _read(plan, start))
            ready = replace(ready, asked=plan)

        def kept(failure: type[BaseException] | None, *_: object) -> None:
            # A generator that is closed has given its result, and nobody takes more.
            if failure in (None, GeneratorExit):
                _keep(replace(ready, steps=steps.pop_all()))

        if keep and plan.graph.sha256 is not None:
            stack.push(kept)
        yield Opened(
            plan=own,
            step=ready.step,
            prepare=ready.prepare,
            card=ready.card,
            threads=threads,
            warnings=bound.warnings,
            start=start,
        )


def _keep(ready: _Ready) -> None:
    _free()  # what another thread's run has kept meanwhile
    _kept.append(ready)
    # A session that goes with the interpreter finds its modules gone, and says so.
    atexit.unregister(_close)
    atexit.register(_close)


def _taken(plan: Plan) -> _Ready | None:
    """What was kept, if it is the plan's graph, opened as the plan needs it."""
    return _kept.pop() if _kept and how(_kept[-1].asked) == how(plan) else None


def how(plan: Plan) -> tuple[Any, ...]:
    """What a plan says that decides how its graph is compiled."""
    placement = replace(plan.placement, why={}, warnings=())
    graphs = (plan.graph, plan.preprocess_graph, plan.feeds, plan.task)
    return (*graphs, plan.runtime, plan.precision, plan.optimize, plan.allow_unsafe_ops, placement)


_held: list[tuple[tuple[Any, ...], Model]] = []
"""The graph that the process which forks has read and prepared for its forks; at most one."""


def hold(plan: Plan) -> bool:
    """Read and prepare a plan's graph, so that forks of this process have it; whether that is new.

    No thread is made for that, and a fork shares the memory until it is written to.

    Raises:
        RunnerError: as `opened`.
    """
    from modelzoo_runner.backends.tensorflow import backend

    if any(what == what_is_held(plan) for what, _ in _held):
        return False
    _held.clear()
    model = _read(plan, Start())
    own = with_own_facts(plan, model)
    if isinstance(model, backend.Model):
        held = backend.hold(
            model,
            input=own.graph.input or "",
            outputs=list(own.graph.outputs.values()),
            precision=own.precision,
            optimize=own.optimize,
        )
        _held.append((what_is_held(plan), held))
    return True


def what_is_held(plan: Plan) -> tuple[Any, ...]:
    """What a plan says that decides what `hold` makes."""
    how = (plan.runtime, plan.precision, plan.optimize, plan.allow_unsafe_ops)
    return (plan.graph, plan.feeds, plan.task, *how)


def _read(plan: Plan, start: Start) -> Model:
    for what, held in _held:
        if what == what_is_held(plan):
            return held
    with start.context.phase("read"):
        backend = base.find(plan.runtime)
        model = backend.load(plan.graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
    return model.with_feeds(plan.feeds) if plan.feeds else model


def _open(asked: Plan, start: Start) -> _Ready:
    """Read, check and compile the plan's graph, and the one that prepares its images."""
    _free()
    model = _read(asked, start)
    plan = with_own_facts(asked, model)
    input, outputs = plan.graph.input or "", plan.graph.outputs
    model.check_tensors(input, outputs)
    memory.require(plan, model)
    compiled = base.find(plan.runtime).compile(
        model,
        input=input,
        outputs=list(outputs.values()),
        placement=plan.placement,
        precision=plan.precision,
        optimize=plan.optimize,
        timed=start.context.phase,
    )
    with contextlib.ExitStack() as steps:
        step = steps.enter_context(contextlib.closing(compiled.step))
        plan = replace(plan, encoded_input=step.input_dtype == base.ENCODED)
        plan, prepare = steps.enter_context(preprocessing.opened(plan, step))
        return _Ready(
            asked=asked,
            plan=plan,
            step=step,
            prepare=prepare,
            card=compiled.card,
            steps=steps.pop_all(),
        )


def _with_facts_of(plan: Plan, found: Plan) -> Plan:
    """The plan with what was found out of its graph when that was opened."""
    return replace(
        plan,
        graph=found.graph,
        preprocess_graph=found.preprocess_graph,
        encoded_input=found.encoded_input,
        task=found.task,
        precision=found.precision,
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
