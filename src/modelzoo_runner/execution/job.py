"""One plan from start to end, in this process.

The order of the steps and what each hands to the next; how a step is done is known to its room.
This is the in-process runner: whether this process can honour the plan is asked before (`host`).
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelzoo_runner import codec
from modelzoo_runner.errors import DataError, Interrupted
from modelzoo_runner.execution import loop, pool, scoring, source
from modelzoo_runner.execution.loop import Timings
from modelzoo_runner.execution.progress import Progress, throttled
from modelzoo_runner.execution.scorer import Scores
from modelzoo_runner.graphs import kernels, load, session
from modelzoo_runner.graphs import prepare as preparation
from modelzoo_runner.machine import binding, environment, facts, interference, verdict
from modelzoo_runner.plan import Plan
from modelzoo_runner.preset import ROLES
from modelzoo_runner.results import checks
from modelzoo_runner.results.instances import InstanceRecord
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Observed, Result

if TYPE_CHECKING:
    from modelzoo_runner.graphs.session import Step


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
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    load_average = os.getloadavg()
    stages = _Stages()
    with (
        environment.variables(plan.placement.env),
        binding.bound(plan.placement) as bound,
        contextlib.ExitStack() as stack,
    ):
        with stages.timed("import"):
            import tensorflow  # noqa: F401 - its time is a part of the cold start

        pools = pool.make(
            inter_threads=plan.placement.inter_threads, intra_threads=plan.placement.intra_threads
        )
        opened = stack.enter_context(_opened(plan, stages))
        plan = opened.plan
        given = stack.enter_context(source.opened(plan, opened.step))
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
            machine=codec.to_dict({**facts.collect(), "load_average_before": load_average}),
            setup_seconds=stages.seconds,
            interference=codec.to_dict(
                {
                    **counters.summary(),
                    **verdict.judge(timings.step_seconds, counters).to_dict(),
                }
            ),
            started=started,
        )
        scores = None if scorer is None else scorer.result()
    result = _result(plan, observed, timings, scores, given.examples)
    warnings = (*result.warnings, *given.warnings, *bound.warnings, *found.warnings)
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


@dataclass
class _Stages:
    """How long each part of the cold start took, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A graph that is ready to run: the plan with its tensors found, and what became of it."""

    plan: Plan
    step: Step
    card: Mapping[str, Any]


@contextlib.contextmanager
def _opened(plan: Plan, stages: _Stages) -> Iterator[_Opened]:
    with stages.timed("read"):
        graph = load.read_graph(plan.graph.path, trust=plan.trust)
    plan = with_tensors(plan, graph)
    source_tensor, outputs = plan.graph.input or "", plan.graph.outputs
    load.check_tensors(graph, source_tensor, outputs)
    nodes = len(graph.node)
    changes: Mapping[str, int] = {}
    if plan.optimize:
        with stages.timed("prepare"):
            prepared = preparation.prepare(
                graph,
                input=source_tensor,
                outputs=list(outputs.values()),
                bfloat16=plan.precision == "bfloat16",
            )
            graph, changes = prepared.graph_def, prepared.changes
    kernels.check_kernels(graph, outputs=outputs.values())
    card = {"nodes": nodes, "nodes_run": len(graph.node), "changes": dict(changes)}
    with stages.timed("session"):
        step = session.open_step(
            graph,
            input=source_tensor,
            outputs=list(outputs.values()),
            inter_threads=plan.placement.inter_threads,
            intra_threads=plan.placement.intra_threads,
            auto_mixed_precision_bfloat16=plan.precision == "bfloat16",
        )
    with step:
        yield _Opened(plan=plan, step=step, card=card)


def with_tensors(plan: Plan, graph: Any) -> Plan:
    """The plan with the graph's own tensors where nobody named any, and the task they are for."""
    named = plan.graph
    if named.input is None or not named.outputs:
        found_input, found_outputs = load.guess_tensors(graph)
        named = replace(
            named, input=named.input or found_input, outputs=named.outputs or found_outputs
        )
    is_detector = set(ROLES["detection"]) <= set(named.outputs)
    return replace(plan, graph=named, task="detection" if is_detector else plan.task)


def _reporter(
    plan: Plan, examples: int | None, progress: Progress | None
) -> Callable[[int, int], None]:
    if progress is None:
        return lambda *_: None
    if plan.kind == "accuracy":
        known = [each for each in (examples, plan.limit) if each is not None]
        tell = throttled(progress, "examples", min(known, default=None))
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
    plan: Plan,
    observed: Observed,
    timings: Timings,
    scores: Scores | None,
    available: int | None,
) -> Result:
    measured = len(timings.step_seconds)
    cpus = len(plan.placement.cpus) or 1
    warnings = [
        *checks.of_steps(plan, measured, timings.exhausted, timings.interrupted),
        *checks.of_plan(plan),
        *checks.of_machine(observed.machine, cpus),
        *checks.of_precision(plan, observed.machine),
    ]
    common: dict[str, Any] = {
        "plan": plan,
        "observed": observed,
        "warmup_seconds": timings.warmup_seconds,
        "step_seconds": timings.step_seconds,
        "data_seconds": timings.data_seconds,
        "examples": timings.examples,
        "interrupted": timings.interrupted,
    }
    if scores is None:
        warnings += checks.of_timing(timings.step_seconds)
        return BenchmarkResult(**common, warnings=tuple(warnings))
    warnings += scores.warnings
    warnings += checks.of_scores(plan, timings.examples, available, scores.counts, scores.classes)
    return AccuracyResult(
        **common,
        warnings=tuple(warnings),
        scores=scores.scores,
        counts=scores.counts,
        per_category=scores.per_category,
        legacy_scores=scores.legacy_scores,
    )
