"""Make a result of timings and observations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from modelzoo_runner.backends import base as backends
from modelzoo_runner.errors import DataError
from modelzoo_runner.execution.loop import Timings
from modelzoo_runner.execution.opening import Opened
from modelzoo_runner.machine import facts
from modelzoo_runner.machine.binding import ReadBack
from modelzoo_runner.results import checks
from modelzoo_runner.results.instances import InstanceRecord
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, PartResult, Result
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.tasks.base import Scorer, Source
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan


def observed_of(opened: Opened, found: ReadBack) -> Observed:
    """What was observed of the machine and the graph, as the values JSON has."""
    machine = {**facts.collect(), "load_average_before": opened.start.load_average}
    runtime = backends.find(opened.plan.runtime).facts()
    machine["software"] = {**machine["software"], "runtime": runtime}
    return Observed(
        graph=opened.card,
        threads=codec.to_dict({**opened.threads, "found": found.summary()}),
        machine=codec.to_dict(machine),
        setup_seconds=dict(opened.start.context.seconds),
        started=opened.start.at,
    )


def instance_record(result: Result, timings: Timings) -> InstanceRecord:
    """What one of several instances measured."""
    return InstanceRecord(
        cpus=result.plan.placement.cpus,
        examples=result.examples,
        step_starts=timings.step_starts,
        step_seconds=result.step_seconds,
        data_seconds=result.data_seconds,
        threads=result.observed.threads,
        interference=result.observed.interference,
    )


def require_steps(plan: Plan, timings: Timings) -> None:
    """Raise if no step was measured."""
    if timings.step_seconds:
        return
    if timings.interrupted:
        raise KeyboardInterrupt
    raise DataError(
        f"{plan.data_location}: the data ended after {len(timings.warmup_seconds)} warm-up steps "
        f"of {plan.batch_size} examples, before a step could be measured. Ask for fewer "
        "warmup_steps or a smaller batch_size"
    )


def result_of(
    plan: Plan, observed: Observed, timings: Timings, scorer: Scorer | None, source: Source
) -> Result:
    """The result of the plan's kind, with its warnings."""
    common: dict[str, Any] = {
        "plan": plan,
        "observed": observed,
        "warmup_seconds": timings.warmup_seconds,
        "step_seconds": timings.step_seconds,
        "data_seconds": timings.data_seconds,
        "examples": timings.examples,
        "interrupted": timings.interrupted,
    }
    of_plan = checks.of_plan(plan)
    of_precision = tuple(checks.of_precision(plan, observed.machine, observed.graph))
    if scorer is not None and source.dataset is not None:
        # The other warnings are about the whole run.
        warned = (*of_plan, *of_precision)
        return PartResult(**common, warnings=warned, state=scorer.state(), dataset=source.dataset)
    warnings = [
        *checks.of_steps(plan, len(timings.step_seconds), timings.exhausted, timings.interrupted),
        *of_plan,
        *checks.of_machine(observed.machine, len(plan.placement.cpus) or 1),
        *of_precision,
    ]
    if scorer is None:
        warnings += checks.of_timing(timings.step_seconds)
        result = BenchmarkResult(
            **common, arrival_seconds=timings.arrival_seconds, wait_seconds=timings.wait_seconds
        )
        warnings += checks.of_load(plan, len(result.step_seconds), result.utilization)
        return replace(result, warnings=tuple(warnings))
    scores = scorer.result()
    warnings += scores.warnings
    warnings += checks.of_scores(
        plan,
        timings.examples,
        source.examples,
        scores.counts,
        scores.classes,
        tasks.find(plan.task).PUBLISHED_ON,
    )
    if plan.stop_when == "decided":
        warnings += _of_early_end(scorer, timings, source.examples)
    return AccuracyResult(
        **common,
        available=source.examples,
        warnings=tuple(warnings),
        scores=scores.scores,
        counts=scores.counts,
        per_category=scores.per_category,
        precision_recall=scores.precision_recall,
        legacy_scores=scores.legacy_scores,
        decisions=scores.decisions,
    )


def _of_early_end(scorer: Scorer, timings: Timings, available: int | None) -> Iterator[str]:
    """The warning of `stop_when="decided"`: it ended the run, or why it could not."""
    if available is None:
        yield 'stop_when="decided": how many examples there are isn\'t known, so all were scored'
    elif scorer.in_order_of_labels():
        yield (
            'stop_when="decided": the examples are sorted by their labels, so the first ones say '
            "nothing of the others, and all were scored; shuffle them when they are converted"
        )
    elif timings.examples < available and not timings.exhausted and not timings.interrupted:
        yield (
            f'stop_when="decided": ended after {timings.examples} of {available} examples, with '
            "every gate decided; the scores are of these examples"
        )
