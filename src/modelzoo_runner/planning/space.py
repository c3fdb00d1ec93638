"""Which settings of a run there are to choose from: what machine, runtimes and objective allow."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.backends import base
from modelzoo_runner.machine import allocator, processor
from modelzoo_runner.machine.topology import Topology
from modelzoo_runner.values.options import Goal
from modelzoo_runner.values.plan import Plan

Settings = Mapping[str, Any]
"""Some arguments of `benchmark()`; what isn't in them the preset or the library decides."""

BATCH_SIZES = (1, 4, 16, 64)
"""Those to try beside the preset's, where throughput is what counts."""

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "runtime": ("runtime", "precision"),
    "cores": ("num_cores", "instances", "cores_per_instance", "num_intra_threads"),
    "batch_size": ("batch_size",),
    "allocator": ("allocator",),
    "num_inter_threads": ("num_inter_threads",),
    "calling_thread": ("env",),
}
"""The axes in the order in which they are searched, and the arguments that each is about."""

CALLING_THREAD = {"TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD": "1"}
"""Lets the thread that calls a oneDNN kernel do a share of it instead of waiting for the others:
1.30x in MobileNet v1 int8, 1.09x in ResNet-50 int8, 0.91x in SSD-MobileNet fp32 (batch 1, two CPUs,
TensorFlow 2.21)."""

START_BATCH = 16
"""At most so many examples are in a step while the other settings are chosen."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Settings by axes, in the order in which they are searched; `runtime` is the default one.

    The first setting of each axis is the default, `{}` where the caller doesn't exclude that.
    """

    axes: Mapping[str, tuple[Settings, ...]]
    runtime: str = base.DEFAULT

    @property
    def default(self) -> Settings:
        """The first setting of each axis."""
        return _merged(axis[0] for axis in self.axes.values())

    def start(self, batch_size: int) -> Settings:
        """The default with a batch small enough to search with; `batch_size` is the default's."""
        axis = self.axes.get("batch_size", ())
        sizes = {each.get("batch_size", batch_size): each for each in axis}
        small = [size for size in sizes if size <= START_BATCH] or [min(sizes, default=batch_size)]
        return {**self.default, **sizes.get(max(small), {})}

    def choices(self, settings: Settings, axis: str) -> list[Settings]:
        """The settings with each value of an axis in place of their own."""
        rest = {name: each for name, each in settings.items() if name not in ARGUMENTS[axis]}
        return [found for each in self.axes[axis] if self.can_be(found := {**rest, **each})]

    def every(self) -> list[Settings]:
        """All combinations of the settings of all axes."""
        combined = map(_merged, itertools.product(*self.axes.values()))
        return [each for each in combined if self.can_be(each)]

    def can_be(self, settings: Settings) -> bool:
        """Whether the settings go together, and all of them have an effect."""
        runtime = settings.get("runtime", self.runtime)
        if settings.get("env") == CALLING_THREAD and runtime != base.DEFAULT:
            return False
        if not base.converts(runtime):
            return True
        aborts = settings.get("allocator") in base.converter(runtime).ABORTS_WITH
        return not aborts and "num_inter_threads" not in settings


def of(
    plan: Plan,
    here: Topology,
    *,
    objective: Goal,
    ways: Sequence[tuple[str, str]],
    batch_sizes: Sequence[int] | None = None,
    fixed: Collection[str] = (),
) -> Space:
    """The space around a plan.

    Args:
        plan: that of the default run.
        here: the machine as this process sees it.
        objective: for `"latency"` there are no several instances, and one batch size.
        ways: runtimes and precisions; the plan's own is the default if it is among them.
        batch_sizes: those to try; `None`: by the objective.
        fixed: arguments that the caller has decided: what they are about isn't searched.
    """
    own = (plan.runtime, plan.precision)
    ways = sorted(ways, key=lambda each: each != own)
    if batch_sizes is None:
        batch_sizes = (plan.batch_size, *(BATCH_SIZES if objective == "throughput" else ()))
    batch_sizes = sorted(batch_sizes, key=lambda each: each != plan.batch_size)
    mallocs = ("system", *allocator.available())
    axes: dict[str, Iterable[Settings]] = {
        "runtime": (_departure(own, each) for each in ways),
        "cores": _of_cores(plan, here, objective, fixed),
        "batch_size": (
            {} if each == plan.batch_size else {"batch_size": each} for each in batch_sizes
        ),
        "allocator": _of("allocator", mallocs, plan.placement.allocator),
        "num_inter_threads": _of("num_inter_threads", (1, 2), plan.placement.inter_threads),
        "calling_thread": ({}, {"env": CALLING_THREAD}),
    }
    return Space(
        axes={
            name: _unique(axes[name])
            for name, arguments in ARGUMENTS.items()
            if not set(arguments) & set(fixed) - {"num_cores"}
        },
        runtime=plan.runtime,
    )


def precisions(has_data: bool) -> tuple[str, ...]:
    """The precisions to try where the caller names none: int8 only with data to calibrate it with
    and to score it on, bfloat16 where the processor multiplies in it.
    """
    native = processor.bfloat16(processor.flags()) == "native"
    return ("fp32", *(("bfloat16",) if native else ()), *(("int8",) if has_data else ()))


def runtimes() -> tuple[str, ...]:
    """The runtimes of this library that are installed here."""

    def is_there(name: str) -> bool:
        packages = base.converter(name).PACKAGES if base.converts(name) else (name,)
        return all(importlib.util.find_spec(each) is not None for each in packages)

    return tuple(filter(is_there, base.BACKENDS))


def _departure(own: tuple[str, str], way: tuple[str, str]) -> Settings:
    """The arguments for a runtime and a precision that aren't the plan's."""
    named = zip(("runtime", "precision"), way, own, strict=True)
    return {name: value for name, value, default in named if value != default}


def _of(name: str, values: Iterable[Any], default: Any) -> Iterable[Settings]:
    return ({}, *({name: value} for value in values if value != default))


def _of_cores(
    plan: Plan, here: Topology, objective: Goal, fixed: Collection[str]
) -> Iterable[Settings]:
    """How the cores are used: by one instance with so many threads, or by several instances.

    With a quota of CPU time below the number of cores, no more cores are used than that.
    """
    cores = len(here.cores(plan.placement.cpus or None))
    usable = cores if here.quota is None else max(1, min(cores, int(here.quota)))
    few: Settings = {} if usable == cores or "num_cores" in fixed else {"num_cores": usable}
    halves = [usable >> shift for shift in range(usable.bit_length())]
    yield {}
    for count in halves if objective == "latency" else halves[:2]:
        threads: Settings = {} if count == usable and few else {"num_intra_threads": count}
        if few or count != plan.placement.intra_threads:
            yield {**few, **threads}
    if objective == "throughput":
        nodes = len({here.cpu(core[0]).node for core in here.cores()})
        counts = {*halves, nodes, len(here.usable_sockets)} - {1}
        yield from ({**few, "instances": each} for each in sorted(counts) if each <= usable)


def _unique(axis: Iterable[Settings]) -> tuple[Settings, ...]:
    return tuple({str(each): each for each in axis}.values())


def _merged(settings: Iterable[Settings]) -> Settings:
    return {name: value for each in settings for name, value in each.items()}
