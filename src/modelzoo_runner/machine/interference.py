"""Count what disturbs a measurement: context switches, page faults, steal time, throttling.

It disturbs little itself: after each step one `getrusage`, which takes microseconds and isn't
timed, and at most twice a second some files. There is no sampling thread. `verdict` judges the
counts.
"""

from __future__ import annotations

import os
import re
import resource
import time
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from modelzoo_runner.machine import cgroup, processor

N = TypeVar("N", int, float)

SECONDS_BETWEEN_READINGS = 0.5
"""Between two readings of files: one takes up to a millisecond on a machine with many CPUs."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What files said about consecutive steps: half a second of them, or one longer step.

    `steal` and `others` are shares of the time of the CPUs watched; `None`: can't be read.
    """

    steps: int
    steal: float | None = None
    others: float | None = None
    throttled_periods: int | None = None


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What was counted from the first measured step to the last, waits for data included.

    Switches, faults and `cpu_seconds` are of all threads of this process. `steal_seconds` is time
    that a hypervisor took from the CPUs watched, `others_seconds` time that other processes ran
    there, both summed over `cpus` CPUs. `slept_seconds` is how long the whole machine was
    suspended. `None` or empty: can't be read here.
    """

    wall_seconds: float
    cpus: int
    cpu_seconds: float
    involuntary_switches: int
    voluntary_switches: int
    major_faults: int
    migrations: int | None = None
    steal_seconds: float | None = None
    others_seconds: float | None = None
    throttled_periods: int | None = None
    throttled_seconds: float | None = None
    mhz: tuple[float, float] | None = None
    slept_seconds: float = 0.0
    cpus_lost: tuple[int, ...] = ()
    step_switches: tuple[int, ...] = ()
    step_faults: tuple[int, ...] = ()
    windows: tuple[Window, ...] = ()

    def summary(self) -> dict[str, Any]:
        """All but what belongs to single steps, as JSON values."""
        steps = ("step_switches", "step_faults", "windows")
        found = {name: value for name, value in vars(self).items() if name not in steps}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


class Watch:
    """Counts from `start` (which may be called again) to `stop`; `step` marks the end of each step.

    Args:
        cpus: the CPUs the run is bound to; none for those it may use.
        root: where `/proc` and `/sys` are.
    """

    def __init__(self, cpus: Collection[int] = (), root: Path = Path("/")) -> None:
        self._cpus = tuple(cpus) or tuple(sorted(os.sched_getaffinity(0)))
        self._root = root
        self.start()

    def start(self) -> None:
        """Start counting from zero."""
        self._affinity = os.sched_getaffinity(0)
        self._migrations = _migrations()
        self._slept = _slept()
        self._readings = [(0, _read(self._cpus, self._root))]
        self._first = usage = _usage()
        # What has been counted by the end of each step; arrays, since a run may have a million.
        self._switches = array("q", [usage.involuntary])
        self._faults = array("q", [usage.major_faults])

    def step(self, *_: object) -> None:
        """A step has ended; arguments are ignored."""
        usage = _usage()
        self._switches.append(usage.involuntary)
        self._faults.append(usage.major_faults)
        if usage.now - self._readings[-1][1].now >= SECONDS_BETWEEN_READINGS:
            self._readings.append((len(self._switches) - 1, _read(self._cpus, self._root)))

    def stop(self) -> Counters:
        """What was counted since `start`."""
        last_usage, last = _usage(), _read(self._cpus, self._root)
        readings = [*self._readings, (len(self._switches) - 1, last)]
        first_usage, first = self._first, readings[0][1]
        mhz = [each for _, reading in readings for each in reading.mhz]
        migrations = _migrations()
        return Counters(
            wall_seconds=last_usage.now - first_usage.now,
            cpus=len(self._cpus),
            cpu_seconds=last_usage.cpu_seconds - first_usage.cpu_seconds,
            involuntary_switches=last_usage.involuntary - first_usage.involuntary,
            voluntary_switches=last_usage.voluntary - first_usage.voluntary,
            major_faults=last_usage.major_faults - first_usage.major_faults,
            migrations=(
                sum(max(0, count - self._migrations.get(id, 0)) for id, count in migrations.items())
                if migrations
                else None
            ),
            steal_seconds=_difference(first.steal, last.steal),
            others_seconds=_others(first, last),
            throttled_periods=_difference(first.throttled_periods, last.throttled_periods),
            throttled_seconds=_difference(first.throttled_seconds, last.throttled_seconds),
            mhz=(min(mhz), max(mhz)) if mhz else None,
            slept_seconds=max(0.0, _slept() - self._slept),
            cpus_lost=tuple(sorted(self._affinity - os.sched_getaffinity(0))),
            step_switches=tuple(after - before for before, after in pairwise(self._switches)),
            step_faults=tuple(after - before for before, after in pairwise(self._faults)),
            windows=tuple(self._windows(readings)),
        )

    def _windows(self, readings: list[tuple[int, _Reading]]) -> Iterator[Window]:
        for (start, before), (end, after) in pairwise(readings):
            capacity = max(after.now - before.now, 1e-9) * len(self._cpus)
            steal, others = _difference(before.steal, after.steal), _others(before, after)
            yield Window(
                steps=end - start,
                steal=None if steal is None else steal / capacity,
                others=None if others is None else others / capacity,
                throttled_periods=_difference(before.throttled_periods, after.throttled_periods),
            )


class _Usage(NamedTuple):
    """Of all threads of this process, from getrusage(2)."""

    now: float
    involuntary: int
    voluntary: int
    major_faults: int
    cpu_seconds: float


class _Reading(NamedTuple):
    """Of the CPUs watched and the control group, from files; `busy` is of all processes."""

    now: float
    own_cpu_seconds: float
    steal: float | None
    busy: float | None
    throttled_periods: int | None
    throttled_seconds: float | None
    mhz: tuple[float, ...]


def _usage() -> _Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return _Usage(
        time.monotonic(),
        used.ru_nivcsw,
        used.ru_nvcsw,
        used.ru_majflt,
        used.ru_utime + used.ru_stime,
    )


def _read(cpus: Collection[int], root: Path) -> _Reading:
    steal, busy = _times(cpus, root)
    periods, seconds = cgroup.throttling(root) or (None, None)
    mhz = tuple(processor.current_mhz(cpus, root).values())
    usage = _usage()
    return _Reading(usage.now, usage.cpu_seconds, steal, busy, periods, seconds, mhz)


def _times(cpus: Collection[int], root: Path) -> tuple[float | None, float | None]:
    """Seconds stolen from and spent on `cpus` since boot, from `/proc/stat` (see proc(5))."""
    try:
        text = (root / "proc/stat").read_text(encoding="utf-8")
    except OSError:
        return None, None
    steal = busy = 0
    for line in re.findall(r"^cpu(\d+ .*)$", text, re.MULTILINE):
        id, user, nice, system, _idle, _iowait, irq, softirq, stolen, *_ = map(int, line.split())
        if id in cpus:
            steal += stolen
            busy += user + nice + system + irq + softirq
    return steal / _TICKS, busy / _TICKS


_TICKS = os.sysconf("SC_CLK_TCK")


def _others(before: _Reading, after: _Reading) -> float | None:
    busy = _difference(before.busy, after.busy)
    if busy is None:
        return None
    # Ticks are hundredths of a second and our own time is exact, so it may come out below 0.
    return max(0.0, busy - (after.own_cpu_seconds - before.own_cpu_seconds))


def _difference(before: N | None, after: N | None) -> N | None:
    return None if before is None or after is None else after - before


def _migrations() -> dict[int, int]:
    """How often each thread was moved to another CPU; empty on kernels that don't count it."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            text = (task / "sched").read_text(encoding="utf-8")
        except OSError:
            continue  # not counted here, or the thread has ended meanwhile
        match = re.search(r"nr_migrations\s*:\s*(\d+)", text)
        if match:
            found[int(task.name)] = int(match[1])
    return found


def _slept() -> float:
    """Seconds that this machine was suspended since boot: one clock counts them, the other not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
