"""One plan in several processes: how their results become one. No process is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from results_made import PLAN, benchmark_result, observed

from modelzoo_runner.errors import Interrupted, WorkerError
from modelzoo_runner.execution import processes
from modelzoo_runner.results.result import BenchmarkResult
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

THREE = dataclasses.replace(PLAN, processes=3)


def single(seconds: float, verdict: str = "valid", **changes: Any) -> BenchmarkResult:
    causes = [f"because of {seconds}"] if verdict != "valid" else []
    found = observed(interference={"verdict": verdict, "causes": causes})
    return benchmark_result((seconds,) * 2, observed=found, **changes)


class Giving:
    """Runs one plan after the other: gives the next result, or raises it."""

    def __init__(self, *found: BenchmarkResult | BaseException) -> None:
        self.coming: Iterator[BenchmarkResult | BaseException] = iter(found)
        self.asked: list[Plan] = []

    def __call__(self, plan: Plan) -> BenchmarkResult:
        self.asked.append(plan)
        each = next(self.coming)
        if isinstance(each, BaseException):
            raise each
        return dataclasses.replace(each, plan=plan)


def test_each_is_kept_and_the_steps_are_those_of_all() -> None:
    first, second = (single(each, warnings=("w",)) for each in (0.1, 0.2))
    run_one = Giving(first, second, single(0.4))
    found = processes.run(THREE, run_one)
    assert found.step_seconds == (0.1, 0.1, 0.2, 0.2, 0.4, 0.4) and found.examples == 24
    assert [each.step_seconds[0] for each in found.processes] == [0.1, 0.2, 0.4]
    assert found.throughput == pytest.approx(20) and found.warnings == ("w",)
    assert found.plan == THREE and found.observed.host_reason == "processes=3"
    assert [each.isolation for each in run_one.asked] == ["child"] * 3
    assert [each.processes for each in run_one.asked] == [1] * 3


def test_the_verdict_is_the_worst_with_the_causes_of_each() -> None:
    run_one = Giving(single(0.1), single(0.2, "invalid"), single(0.4, "noisy"))
    found = processes.run(THREE, run_one)
    assert found.verdict == "invalid"
    assert found.causes == ("process 2: because of 0.2", "process 3: because of 0.4")


def test_progress_counts_processes() -> None:
    run_one = Giving(single(0.1), single(0.1), single(0.1))
    told: list[Any] = []
    processes.run(THREE, run_one, Context(progress=lambda *said: told.append(said)))
    assert told == [("processes", number, 3) for number in range(3)]


@pytest.mark.parametrize("with_steps", [True, False])
def test_an_interrupt_keeps_what_was_done(with_steps: bool) -> None:
    partial = single(0.2, interrupted=True)
    error = Interrupted(partial) if with_steps else KeyboardInterrupt()
    run_one = Giving(single(0.1), error)
    with pytest.raises(Interrupted) as caught:
        processes.run(THREE, run_one)
    assert caught.value.result.interrupted
    assert len(caught.value.result.processes) == (2 if with_steps else 1)


def test_an_interrupt_before_anything_is_one() -> None:
    run_one = Giving(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        processes.run(THREE, run_one)
    assert not isinstance(caught.value, Interrupted)


def test_an_error_of_one_ends_all() -> None:
    run_one = Giving(single(0.1), WorkerError("died"))
    with pytest.raises(WorkerError, match="died"):
        processes.run(THREE, run_one)
    assert len(run_one.asked) == 2


def test_several_instances_are_no_matter_of_isolation() -> None:
    run_one = Giving(*[single(0.1)] * 3)
    processes.run(dataclasses.replace(THREE, instances=(PLAN.placement,)), run_one)
    assert [each.isolation for each in run_one.asked] == ["auto"] * 3
