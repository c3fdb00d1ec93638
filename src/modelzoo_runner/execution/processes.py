"""One plan in several fresh processes, one after the other.

Memory layout, hash seeds and the state of the machine differ from process to process, by more than
the steps of one process do. Comparisons need that spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelzoo_runner.errors import Interrupted
from modelzoo_runner.execution import launch
from modelzoo_runner.results.instances import ProcessRecord
from modelzoo_runner.results.result import BenchmarkResult
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan

SEVERITY = (None, "valid", "noisy", "invalid")


def run(plan: Plan, run_one: Callable[[Plan], Any], context: Context = QUIET) -> BenchmarkResult:
    """One result of `plan.processes` processes, each run by `run_one`; `plan.timeout` is of each.

    Raises:
        Interrupted: Ctrl-C; holds what the processes had measured by then.
        RunnerError: what one of the processes raised.
    """
    own_processes = bool(plan.instances) or plan.docker_image is not None  # whatever isolation says
    one = replace(plan, processes=1, isolation="auto" if own_processes else "child")
    done: list[Any] = []
    try:
        for number in range(plan.processes):
            context.tell("processes", number, plan.processes)
            with launch.anew():
                done.append(run_one(one))
    except Interrupted as interrupted:
        raise Interrupted(joined(plan, [*done, interrupted.result])) from None
    except KeyboardInterrupt:
        if not done:
            raise
        raise Interrupted(replace(joined(plan, done), interrupted=True)) from None
    return joined(plan, done)


def joined(plan: Plan, results: Sequence[BenchmarkResult]) -> BenchmarkResult:
    """One result of the results of single processes."""
    first = results[0]
    said = tuple(dict.fromkeys(each for result in results for each in result.warnings))
    return replace(
        first,
        plan=replace(first.plan, processes=plan.processes, isolation=plan.isolation),
        observed=replace(
            first.observed,
            host_reason=f"processes={plan.processes}",
            interference=worst(
                (f"process {number}", result.observed.interference)
                for number, result in enumerate(results, 1)
            ),
        ),
        warmup_seconds=tuple(each for result in results for each in result.warmup_seconds),
        step_seconds=tuple(each for result in results for each in result.step_seconds),
        data_seconds=tuple(each for result in results for each in result.data_seconds),
        examples=sum(result.examples for result in results),
        warnings=said,
        interrupted=any(result.interrupted for result in results),
        instances=(),
        processes=tuple(
            ProcessRecord(
                started=result.observed.started,
                examples=result.examples,
                step_seconds=result.step_seconds,
                data_seconds=result.data_seconds,
                warmup_seconds=result.warmup_seconds,
                setup_seconds=result.observed.setup_seconds,
                threads=result.observed.threads,
                interference=result.observed.interference,
                instances=result.instances,
            )
            for result in results
        ),
    )


def worst(found: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The worst of several named verdicts, and the causes of each with its name."""
    found = tuple(found)
    return {
        "verdict": max((each.get("verdict") for _, each in found), key=SEVERITY.index),
        "causes": [f"{name}: {cause}" for name, each in found for cause in each.get("causes", ())],
    }
