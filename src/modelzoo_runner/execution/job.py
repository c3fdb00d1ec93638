"""One plan from start to end, in this process, which `host` found able to honor it."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelzoo_runner.backends.base import Step
from modelzoo_runner.errors import Interrupted
from modelzoo_runner.execution import loop, memory, opening, outcome, stopping
from modelzoo_runner.execution.loop import Timings
from modelzoo_runner.execution.opening import Opened, Start
from modelzoo_runner.machine import binding, interference, verdict
from modelzoo_runner.results import gates
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import BenchmarkResult, Result
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.tasks.base import Scorer, Source
from modelzoo_runner.values import codec
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan

LEAD_IN_SECONDS = 0.06
"""How long a process runs unmeasured before its turn. Threads that have slept are often woken on
one CPU, until the scheduler moves one of them; and those of another runtime may go on watching for
work after their turn. Both slow down the first 50 ms, each runtime and precision by another factor:
MobileNet v1 fp32 takes 12.8 ms a step then and 8.0 ms later, int8 4.1 and 3.7 ms (two CPUs)."""


def run(
    plan: Plan, context: Context = QUIET, *, barrier: Callable[[], None] | None = None
) -> Result:
    """Run the plan, and return what was observed.

    With `barrier` this is one of several instances: it is called after warm-up, and the measured
    steps begin when it returns; the result then has this one's `instances` record. CPU affinity,
    memory policy and environment variables are restored at the end.

    Raises:
        Interrupted: Ctrl-C came while steps were measured; holds the result so far.
        RunnerError: the graph, the data or the machine doesn't allow the run.
    """
    with contextlib.closing(runs(iter((plan,)), context, barrier=barrier)) as results:
        return next(results)


def runs(
    plans: Iterator[Plan],
    context: Context = QUIET,
    *,
    barrier: Callable[[], None] | None = None,
    keep: bool = False,
    is_ahead: bool = False,
) -> Generator[Result, None, None]:
    """The results of plans that differ only in their `examples`, with the graph opened once.

    Each plan is taken when the result before has been. What was changed for the first is restored
    when the generator ends or is closed, but the graph stays open with `keep`: see `opening`.
    Where the first `is_ahead` of the others, the graph is opened for it, and that is all.
    Raises what `run` does; no results follow.
    """
    plan = next(plans)
    try:
        with opening.opened(plan, context, keep=keep) as opened:
            start = opened.start
            for each in plans if is_ahead else itertools.chain((plan,), plans):
                own = replace(opened.plan, examples=each.examples)
                yield _measured(replace(opened, plan=own, start=start), context, barrier)
                start = Start(is_cold=False)
    except MemoryError:
        raise memory.exhausted(plan) from None


@dataclass(frozen=True)
class Warmed:
    """An opened graph after its warm-up steps, and the batches that follow.

    `cpu_times` are those of the threads before the warm-up steps.
    """

    plan: Plan
    step: Step
    batches: Iterator[Any]
    observed: Observed
    warnings: tuple[str, ...]
    cpu_times: Mapping[int, int]

    def measure(
        self,
        *,
        seconds: float | None = None,
        steps: int | None = None,
        rate: float | None = None,
        seed: int = 0,
    ) -> Timings:
        """Time so many steps, or as many as fill so many seconds; with `rate` of Poisson arrivals.

        One step before them isn't counted, nor are, before seconds of measuring, others for
        `LEAD_IN_SECONDS`: they find the caches and the CPUs as another process left them. During
        the first each thread is pinned to a CPU in turn, so that no process keeps the less busy
        ones.
        """
        with binding.pinned_in_turn(random.randrange(1024), self.cpu_times):
            (first,) = loop.run(self.step, self.batches, steps=1).step_seconds
        if seconds is not None and first < LEAD_IN_SECONDS:
            loop.run(self.step, self.batches, steps=1, min_seconds=LEAD_IN_SECONDS - first)
        arrivals = None if rate is None else loop.arrivals("poisson", rate, seed)
        return loop.run(
            self.step, self.batches, steps=steps or 1, min_seconds=seconds, arrivals=arrivals
        )


@contextlib.contextmanager
def warmed(plan: Plan, context: Context = QUIET) -> Iterator[Warmed]:
    """The plan's graph, opened and warmed up, to be measured on request."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(opening.opened(plan, context))
        with opened.start.context.phase("data"):
            source = stack.enter_context(
                tasks.open_source(opened.plan, opened.step, opened.prepare)
            )
        before = binding.cpu_times()  # opening the graph was the work of other threads
        if plan.warmup_steps:
            loop.run(opened.step, source.batches, steps=plan.warmup_steps)
        found = binding.read_back(plan.placement)
        yield Warmed(
            plan=opened.plan,
            step=opened.step,
            batches=source.batches,
            observed=outcome.observed_of(opened, found),
            warnings=(*source.warnings, *opened.warnings, *found.warnings),
            cpu_times=before,
        )


def _measured(opened: Opened, context: Context, barrier: Callable[[], None] | None) -> Result:
    """The result of the opened plan's examples."""
    plan = opened.plan
    with contextlib.ExitStack() as stack:
        with opened.start.context.phase("data"):
            source = stack.enter_context(tasks.open_source(plan, opened.step, opened.prepare))
            scorer = None
            if plan.kind == "accuracy":
                scorer = stack.enter_context(tasks.find(plan.task).open_scorer(plan, source.truth))
        watch = interference.Watch(plan.placement.cpus)

        def finish(timings: Timings) -> Result:
            return _finished(opened, source, scorer, watch, timings, is_one=barrier is not None)

        record = loop.Record()
        with stopping.unfinished(lambda: finish(record.timings(interrupted=True))):
            timings = _timed(opened, source, scorer, watch, context, barrier, record)
        if not timings.interrupted:
            return finish(timings)
        with stopping.deaf():
            raise Interrupted(finish(timings))


def _finished(
    opened: Opened,
    source: Source,
    scorer: Scorer | None,
    watch: interference.Watch,
    timings: Timings,
    *,
    is_one: bool,
) -> Result:
    """The result of the timings; `is_one` of several instances."""
    plan = opened.plan
    counters = watch.stop()
    outcome.require_steps(plan, timings)
    context = opened.start.context
    with context.phase("observe"):
        found = binding.read_back(plan.placement)
        observed = outcome.observed_of(opened, found)
    judged = {**counters.summary(), **verdict.judge(timings.step_seconds, counters).to_dict()}
    setup = dict(context.seconds) if opened.start.is_cold else {}
    observed = replace(observed, interference=codec.to_dict(judged), setup_seconds=setup)
    is_scored = scorer is not None and source.dataset is None
    with context.phase("score") if is_scored else contextlib.nullcontext():
        result = outcome.result_of(plan, observed, timings, scorer, source)
    notes = opened.card.get("notes", ())
    warnings = (*result.warnings, *source.warnings, *opened.warnings, *found.warnings, *notes)
    result = replace(result, warnings=warnings)
    if is_one and isinstance(result, BenchmarkResult):
        return replace(result, instances=(outcome.instance_record(result, timings),))
    return result


def _timed(
    opened: Opened,
    source: Source,
    scorer: Scorer | None,
    watch: interference.Watch,
    context: Context,
    barrier: Callable[[], None] | None,
    record: loop.Record,
) -> Timings:
    """The timings of the loop, with interference counted meanwhile."""
    plan = opened.plan
    report = _reporter(plan, source.examples, context)
    of_warmup = context.counter("warm-up", plan.warmup_steps) if plan.warmup_steps else None
    if of_warmup is not None:
        of_warmup(0)

    def on_measure() -> None:
        if barrier is not None:
            barrier()
        if report is not None:
            report(0, 0)
        watch.start()

    def on_step(steps: int, examples: int) -> None:
        watch.step()
        if report is not None:
            report(steps, examples)

    arrivals = None
    if plan.arrivals is not None and plan.rate is not None:
        arrivals = loop.arrivals(plan.arrivals, plan.rate, plan.seed)
    return loop.run(
        opened.step,
        source.batches,
        warmup_steps=plan.warmup_steps,
        on_warmup=of_warmup,
        steps=plan.steps,
        min_seconds=plan.min_seconds,
        consume=None if scorer is None else scorer.add,
        on_measure=on_measure,
        on_step=on_step,
        enough=_enough(plan, scorer, source.examples),
        arrivals=arrivals,
        record=record,
    )


def _enough(plan: Plan, scorer: Scorer | None, available: int | None) -> Callable[[], bool] | None:
    """Whether the plan's gates are decided, if the run should end then."""
    if plan.stop_when != "decided" or scorer is None or available is None:
        return None
    return lambda: (
        not scorer.in_order_of_labels()
        and gates.decided(plan, scorer.counts(), scorer.examples(), available)
    )


def _reporter(
    plan: Plan, examples: int | None, context: Context
) -> Callable[[int, int], None] | None:
    """Reports the number of steps or of examples that are done; `None` where nobody is told."""
    if plan.kind == "accuracy":
        start, stop = plan.examples or (0, plan.limit)
        known = [each for each in (examples, stop) if each is not None]
        of_examples = context.counter("examples", min(known) - start if known else None)
        return None if of_examples is None else lambda _, done: of_examples(done)
    of_steps = context.counter("steps", plan.steps, plan.min_seconds)
    return None if of_steps is None else lambda done, _: of_steps(done)
