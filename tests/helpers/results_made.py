"""Results made without a run, of any speed and spread."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

from modelzoo_runner.results.ab import ABResult, Round, Side, Turn
from modelzoo_runner.results.instances import ProcessRecord
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

PLAN = Plan(
    kind="benchmark",
    model="resnet50",
    task="classification",
    precision="fp32",
    goal="latency",
    graph=GraphFile(source="path", path="/a.pb", input="input:0", outputs={"scores": "predict:0"}),
    batch_size=4,
    steps=3,
    placement=Placement(cpus=(0, 1), inter_threads=1, intra_threads=2),
)

MACHINE = {
    "id": "0123456789abcdef",
    "software": {"tensorflow": {"version": "2.21.0"}, "kernel": "6.1.0"},
    "process": {"env": {"OMP_NUM_THREADS": "2"}},
}


def plan(**changes: Any) -> Plan:
    return dataclasses.replace(PLAN, **changes)


def observed(**changes: Any) -> Observed:
    return Observed(**{"machine": MACHINE, "started": "2026-01-01T00:00:00+00:00", **changes})


def benchmark_result(
    step_seconds: Sequence[float] = (0.1, 0.2, 0.1), *, verdict: str | None = None, **changes: Any
) -> BenchmarkResult:
    """A result with these steps, of 4 examples each."""
    judged = {} if verdict is None else {"verdict": verdict, "causes": ["something else ran"]}
    values: dict[str, Any] = {
        "plan": PLAN,
        "observed": observed(interference=judged),
        "warmup_seconds": (0.9,),
        "step_seconds": tuple(step_seconds),
        "data_seconds": (0.0,) * len(step_seconds),
        "examples": 4 * len(step_seconds),
    }
    return BenchmarkResult(**{**values, **changes})


def of_processes(*seconds: float, **changes: Any) -> BenchmarkResult:
    """A result of several processes: the step time of each."""
    records = tuple(
        ProcessRecord(
            started="2026-01-01T00:00:00+00:00",
            examples=4 * 10,
            step_seconds=(each,) * 10,
            data_seconds=(0.0,) * 10,
        )
        for each in seconds
    )
    steps = [each for record in records for each in record.step_seconds]
    return benchmark_result(steps, processes=records, **changes)


def accuracy_result(counts: dict[str, int], examples: int, **changes: Any) -> AccuracyResult:
    base = benchmark_result()
    values = {field.name: getattr(base, field.name) for field in dataclasses.fields(Result)}
    values |= {"plan": plan(kind="accuracy"), "examples": examples, "counts": counts}
    values["scores"] = {name: count / examples for name, count in counts.items()}
    return AccuracyResult(**{**values, **changes})


def ab_result(
    effects: Sequence[float],
    count: int,
    *,
    spread: float = 0.02,
    seed: int = 0,
    looks: int = 1,
    **changes: Any,
) -> ABResult:
    """Sides that take `effects` times as long as 10 ms a step, with a log-normal spread."""
    chance = random.Random(seed)
    sides = tuple(
        Side(name="abcdef"[number], plan=PLAN, observed=observed())
        for number in range(len(effects))
    )
    found = []
    for _ in range(count):
        order = list(range(len(effects)))
        chance.shuffle(order)
        steps = tuple(
            tuple([0.01 * effect * math.exp(chance.gauss(0, spread))] * 3) for effect in effects
        )
        found.append(Round(turns=(Turn(order=tuple(order), step_seconds=steps),)))
    values: dict[str, Any] = {
        "sides": sides,
        "rounds": tuple(found),
        "min_effect": 0.01,
        "looks": looks,
        "stopped": "rounds",
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
    }
    return ABResult(**{**values, **changes})
