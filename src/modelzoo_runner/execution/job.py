"""One plan from start to end, in this process.

The order of the steps and what each hands to the next; how a step is done is known to its room.
This is the in-process runner: whether this process can honour the plan is asked before (`host`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow import thread_pools as pool
from modelzoo_runner.errors import DataError, Interrupted
from modelzoo_runner.execution import loop, opening
from modelzoo_runner.execution.loop import Timings
from modelzoo_runner.execution.opening import Opened, Start
from modelzoo_runner.machine import binding, environment, facts, interference, verdict
from modelzoo_runner.results import checks
from modelzoo_runner.results.instances import InstanceRecord
from modelzoo_runner.results.result import (
    AccuracyResult,
    BenchmarkResult,
    Observed,
    PartResult,
    Result,
)
from modelzoo_runner.tasks import scoring, source
from modelzoo_runner.tasks.scorer import Scorer
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Progress, throttled

if TYPE_CHECKING:
    pass


def run(
    plan: Plan,
    *,
    progress: Progress | None = None,
    barrier: Callable[[], None] | None = None,
) -> Result:
    """Do one run and return what was observed.

    With `barrier` this is one of several instances: it is called after warm-up, and the steps are
    measured from when it returns; the result then has this one's `instances` record.

    Everything that was changed for the run (CPU affinity, memory policy, environment variables) is
    as before when it returns or raises.

    Raises:
        Interrupted: Ctrl-C came while steps were measured; it holds the result so far.
        RunnerError: the graph, the data or the machine doesn't allow the run.
    """
    with contextlib.closing(runs(iter((plan,)), progress=progress, barrier=barrier)) as results:
        return next(results)


def runs(
    plans: Iterator[Plan],
    *,
    progress: Progress | None = None,
    barrier: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """The results of plans that differ only in their `examples`, had with one opened graph.

    Each plan is asked for when the result before has been taken. What was changed for the first
    stays so until the generator ends or is closed.

    Raises:
        Interrupted, RunnerError: as `run` does; there are no more results after that.
    """
    plan = next(plans)
    start = Start()
    with (
        environment.variables(plan.placement.env),
        binding.bound(plan.placement) as bound,
        contextlib.ExitStack() as stack,
    ):
        with start.timed("import"):
            import tensorflow  # noqa: F401 - its time is a part of the cold start

        pools = pool.make(
            inter_threads=plan.placement.inter_threads, intra_threads=plan.placement.intra_threads
        )
        opened = stack.enter_context(opening.opened(plan, start))
        yield _measured(opened, start, pools, bound.warnings, progress, barrier)
        for other in plans:
            opened = replace(opened, plan=replace(opened.plan, examples=other.examples))
            yield _measured(opened, Start(), pools, bound.warnings, progress, barrier)


def _measured(
    opened: Opened,
    start: Start,
    pools: pool.Pool,
    warnings: tuple[str, ...],
    progress: Progress | None,
    barrier: Callable[[], None] | None,
) -> Result:
    """The result of the opened plan's examples."""
    plan = opened.plan
    with contextlib.ExitStack() as stack:
        given = stack.enter_context(source.opened(plan, opened.step, opened.prepare))
        scorer = None
        if plan.kind == "accuracy":
            scorer = stack.enter_context(scoring.opened(plan, given.truth))
        watch = interference.Watch(plan.placement.cpus)
        report = _reporter(plan, given.examples, progress)

        def on_step(steps: int, examples: int) -> None:
            watch.step()
            report(steps, examples)

        def on_measure() -> None:
            if barrier is not None:
                barrier()
            watch.start()

        timings = loop.run(
            opened.step,
            given.batches,
            warmup_steps=plan.warmup_steps,
            steps=plan.steps,
            min_seconds=plan.min_seconds,
            consume=None if scorer is None else scorer.add,
            on_measure=on_measure,
            on_step=on_step,
        )
        counters = watch.stop()
        _require_steps(plan, timings)
        found = binding.read_back(plan.placement)
        observed = Observed(
            graph=opened.card,
            # As JSON will have them, so that a result is equal to its saved self.
            threads=codec.to_dict({**asdict(pools), "found": found.summary()}),
            machine=codec.to_dict({**facts.collect(), "load_average_before": start.load_average}),
            setup_seconds=start.seconds,
            interference=codec.to_dict(
                {
                    **counters.summary(),
                    **verdict.judge(timings.step_seconds, counters).to_dict(),
                }
            ),
            started=start.at,
        )
        result = _result(plan, observed, timings, scorer, given)
    warnings = (*result.warnings, *given.warnings, *warnings, *found.warnings)
    result = replace(result, warnings=warnings)
    if barrier is not None and isinstance(result, BenchmarkResult):
        result = replace(result, instances=(_record(result, timings),))
    if result.interrupted:
        raise Interrupted(result)
    return result


def _record(result: Result, timings: Timings) -> InstanceRecord:
    return InstanceRecord(
        cpus=result.plan.placement.cpus,
        examples=result.examples,
        step_starts=timings.step_starts,
        step_seconds=result.step_seconds,
        data_seconds=result.data_seconds,
        threads=result.observed.threads,
        interference=result.observed.interference,
    )


def _reporter(
    plan: Plan, examples: int | None, progress: Progress | None
) -> Callable[[int, int], None]:
    if progress is None:
        return lambda *_: None
    if plan.kind == "accuracy":
        start, stop = plan.examples or (0, plan.limit)
        known = [each for each in (examples, stop) if each is not None]
        total = min(known) - start if known else None
        tell = throttled(progress, "examples", total)
        return lambda _, done: tell(done)
    tell = throttled(progress, "steps", plan.steps)
    return lambda done, _: tell(done)


def _require_steps(plan: Plan, timings: Timings) -> None:
    """There is no result without a measured step."""
    if timings.step_seconds:
        return
    if timings.interrupted:
        raise KeyboardInterrupt
    raise DataError(
        f"{plan.data_location}: the data ended after {len(timings.warmup_seconds)} warm-up steps "
        f"of {plan.batch_size} examples, before a step could be measured. Ask for fewer "
        "warmup_steps or a smaller batch_size"
    )


def _result(
    plan: Plan, observed: Observed, timings: Timings, scorer: Scorer | None, given: source.Source
) -> Result:
    measured = len(timings.step_seconds)
    cpus = len(plan.placement.cpus) or 1
    common: dict[str, Any] = {
        "plan": plan,
        "observed": observed,
        "warmup_seconds": timings.warmup_seconds,
        "step_seconds": timings.step_seconds,
        "data_seconds": timings.data_seconds,
        "examples": timings.examples,
        "interrupted": timings.interrupted,
    }
    of_plan, of_precision = (
        checks.of_plan(plan),
        checks.of_precision(plan, observed.machine, observed.graph["int8_layers"]),
    )
    if scorer is not None and given.dataset is not None:
        # What can only be said of the whole is said when there is one.
        said = (*of_plan, *of_precision)
        return PartResult(**common, warnings=said, state=scorer.state(), dataset=given.dataset)
    warnings = [
        *checks.of_steps(plan, measured, timings.exhausted, timings.interrupted),
        *of_plan,
        *checks.of_machine(observed.machine, cpus),
        *of_precision,
    ]
    if scorer is None:
        warnings += checks.of_timing(timings.step_seconds)
        return BenchmarkResult(**common, warnings=tuple(warnings))
    scores = scorer.result()
    warnings += scores.warnings
    warnings += checks.of_scores(
        plan, timings.examples, given.examples, scores.counts, scores.classes
    )
    return AccuracyResult(
        **common,
        warnings=tuple(warnings),
        scores=scores.scores,
        counts=scores.counts,
        per_category=scores.per_category,
        legacy_scores=scores.legacy_scores,
        decisions=scores.decisions,
    )
