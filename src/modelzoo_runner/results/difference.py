"""What differs between two runs: in their plans, and in the machine and software they ran on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan

NO_MATTER = frozenset(
    {"why", "timeout", "isolation", "processes", "predictions", "published", "release"}
    | {"min_scores", "max_drop", "stop_when"}
)
"""What in a plan has no bearing on the numbers."""

OF_MACHINE = {
    "machine": ("id",),
    "processor": ("processor", "model"),
    "cpus": ("cpus",),
    "governor": ("frequency", "governor"),
    "quota_cpus": ("process", "quota_cpus"),
    "allocator": ("process", "allocator"),
    "env": ("process", "env"),
    "kernel": ("software", "kernel"),
    "python": ("software", "python"),
    "numpy": ("software", "numpy"),
    "tensorflow": ("software", "tensorflow"),
    "runtime": ("software", "runtime"),
    "onednn": ("software", "onednn"),
}
"""Facts of machine and software that move the numbers, by where `observed.machine` has them."""

Differences = Iterator[tuple[str, tuple[Any, Any]]]


def of_runs(
    plan: Plan, observed: Observed, other_plan: Plan, other: Observed
) -> dict[str, tuple[Any, Any]]:
    """All that differs and matters, by dotted names: (value of the first, value of the second)."""
    planned = dict(of_plans(codec.to_dict(plan), codec.to_dict(other_plan)))
    # A variable that the plans set is told once.
    found = {
        name: values
        for name, values in of_observed(observed, other)
        if name.replace("machine.", "placement.", 1) not in planned
    }
    return {**planned, **found}


def of_plans(first: Mapping[str, Any], second: Mapping[str, Any], path: str = "") -> Differences:
    """What of two plans as dicts differs and matters: (dotted name, the values of both)."""
    for key in dict.fromkeys((*first, *second)):
        name = f"{path}.{key}" if path else key
        if name in NO_MATTER or key == "why":
            continue
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from of_plans(a, b, name)
        elif a != b:
            yield name, (a, b)


def of_observed(first: Observed, second: Observed) -> Differences:
    """What of machine, software, environment and threads differs."""
    if first.host != second.host:
        yield "observed.host", (first.host, second.host)
    for name, path in OF_MACHINE.items():
        a, b = _at(first.machine, path), _at(second.machine, path)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from of_plans(a, b, f"machine.{name}")
        elif a != b:
            yield f"machine.{name}", (a, b)
    for name in ("inter_found", "intra_found"):
        a, b = first.threads.get(name), second.threads.get(name)
        if a != b:
            yield f"threads.{name}", (a, b)


def _at(facts: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts
