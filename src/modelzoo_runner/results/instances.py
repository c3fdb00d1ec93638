"""Several instances at once, or several processes one after the other, and what each measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any


@dataclass(frozen=True, kw_only=True)
class InstanceRecord:
    """The measured steps of one of several instances that ran at once.

    `step_starts` are seconds on the clock that all processes of a machine share
    (CLOCK_MONOTONIC); `examples` is the number in all of the steps.
    """

    cpus: tuple[int, ...]
    examples: int
    step_starts: tuple[float, ...]
    step_seconds: tuple[float, ...]
    data_seconds: tuple[float, ...]
    threads: Mapping[str, Any] = field(default_factory=dict)
    interference: Mapping[str, Any] = field(default_factory=dict)

    @property
    def window(self) -> tuple[float, float]:
        """From the start of the first measured step to the end of the last."""
        return self.step_starts[0], self.step_starts[-1] + self.step_seconds[-1]

    def within(self, window: tuple[float, float]) -> Iterator[int]:
        """The numbers of the steps that lie in `window` from start to end."""
        for number, (start, taken) in enumerate(
            zip(self.step_starts, self.step_seconds, strict=True)
        ):
            if window[0] <= start and start + taken <= window[1]:
                yield number


@dataclass(frozen=True, kw_only=True)
class ProcessRecord:
    """One of several fresh processes that measured the same plan, one after the other.

    `examples` is the number in all of its `step_seconds`. With several instances at once a process
    stands for all of them; `instances` then holds what each did.
    """

    started: str
    examples: int
    step_seconds: tuple[float, ...]
    data_seconds: tuple[float, ...]
    warmup_seconds: tuple[float, ...] = ()
    setup_seconds: Mapping[str, float] = field(default_factory=dict)
    threads: Mapping[str, Any] = field(default_factory=dict)
    interference: Mapping[str, Any] = field(default_factory=dict)
    instances: tuple[InstanceRecord, ...] = ()

    @property
    def throughput(self) -> float:
        """Examples per second of inference."""
        if self.instances:
            return sum(throughputs(self.instances))
        return self.examples / sum(self.step_seconds)

    @property
    def end_to_end_throughput(self) -> float:
        """Examples per second with the wait for the data counted in."""
        if self.instances:
            return sum(throughputs(self.instances, end_to_end=True))
        return self.examples / (sum(self.step_seconds) + sum(self.data_seconds))


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean; 0 where a value is 0.

    >>> round(geometric_mean([1.0, 4.0]), 3)
    2.0
    """
    found = list(values)
    return math.exp(fmean(map(math.log, found))) if all(found) else 0.0


def overlap(records: Sequence[InstanceRecord]) -> tuple[float, float] | None:
    """The time in which all instances ran: from the last first step to the first last step's end.

    `None` if there is no such time, or an instance did no step.
    """
    if not records or not all(record.step_starts for record in records):
        return None
    start = max(record.window[0] for record in records)
    end = min(record.window[1] for record in records)
    return (start, end) if start < end else None


def busy(record: InstanceRecord, window: tuple[float, float]) -> tuple[float, float]:
    """The steps of an instance in `window`, and the seconds they took there.

    Of a step that is only partly in the window, the same part counts.

    >>> record = InstanceRecord(
    ...     cpus=(0,), examples=2, step_starts=(0.0, 1.0), step_seconds=(1.0, 1.0),
    ...     data_seconds=(0.0, 0.0),
    ... )
    >>> busy(record, (0.5, 2.0))
    (1.5, 1.5)
    """
    steps = seconds = 0.0
    for start, taken in zip(record.step_starts, record.step_seconds, strict=True):
        inside = min(start + taken, window[1]) - max(start, window[0])
        if inside > 0:
            seconds += inside
            steps += inside / taken
    return steps, seconds


def throughputs(
    records: Sequence[InstanceRecord], *, end_to_end: bool = False
) -> tuple[float, ...]:
    """Examples per second of each instance while all of them ran.

    Of inference (over the time in its steps), or `end_to_end` (over all of the time). 0 each where
    there was no such time (see `overlap`).
    """
    window = overlap(records)
    if window is None:
        return (0.0,) * len(records)
    found = []
    for record in records:
        steps, seconds = busy(record, window)
        examples = steps * record.examples / len(record.step_seconds)
        over = window[1] - window[0] if end_to_end else seconds
        found.append(examples / over if over > 0 else 0.0)
    return tuple(found)
