"""The measuring loop: call a step repeatedly and time it."""

from __future__ import annotations

import contextlib
import gc
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelzoo_runner.values.options import Arrivals


class Batch(Protocol):
    """What the loop needs of a batch."""

    @property
    def inputs(self) -> Any:
        """An array; its first dimension counts the examples."""


@dataclass(frozen=True, kw_only=True)
class Timings:
    """The times of each step, in seconds.

    `warmup_seconds` and `step_seconds` are the calls of the step function alone, with the batch
    already in memory; `data_seconds` is the wait for the batch of each measured step; `step_starts`
    is when each began, by the clock. With arrivals `arrival_seconds` is when each query was due,
    from the start of the schedule, and `wait_seconds` how much later its step began. `exhausted`:
    the batches ended before the steps asked for.
    """

    warmup_seconds: tuple[float, ...]
    step_seconds: tuple[float, ...]
    data_seconds: tuple[float, ...]
    step_starts: tuple[float, ...] = ()
    arrival_seconds: tuple[float, ...] = ()
    wait_seconds: tuple[float, ...] = ()
    examples: int
    exhausted: bool
    interrupted: bool


WATCHED = 500_000
"""Nanoseconds before a query is due in which the clock is watched: sleeping ends up to some tenths
of a millisecond late, which would count as waiting in the queue."""


def arrivals(kind: Arrivals, rate: float, seed: int) -> Iterator[float]:
    """When queries come, in seconds from the start; whatever becomes of those before.

    Poisson arrivals have independent, exponentially distributed distances of 1 / `rate` s on
    average.

    >>> due = arrivals("constant", 4.0, seed=0)
    >>> next(due), next(due), next(due)
    (0.25, 0.5, 0.75)
    """
    chance = random.Random(seed)
    due = 0.0
    while True:
        due += chance.expovariate(rate) if kind == "poisson" else 1 / rate
        yield due


@dataclass
class Record:
    """What the loop has done so far, in nanoseconds; another thread may read it meanwhile."""

    warmup: list[int] = field(default_factory=list)
    began: list[int] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    dues: list[int] = field(default_factory=list)
    start: int = 0
    examples: int = 0
    exhausted: bool = False

    def timings(self, *, interrupted: bool) -> Timings:
        """The times of the steps that are done."""
        done = len(self.taken)
        return Timings(
            warmup_seconds=_seconds(self.warmup),
            step_seconds=_seconds(self.taken[:done]),
            data_seconds=_seconds(self.waited[:done]),
            step_starts=_seconds(self.began[:done]),
            arrival_seconds=_seconds([due - self.start for due in self.dues[:done]]),
            wait_seconds=_seconds(
                [ready - due for ready, due in zip(self.began, self.dues[:done], strict=False)]
            ),
            examples=self.examples,
            exhausted=self.exhausted,
            interrupted=interrupted,
        )


def run(
    step: Callable[[Any], Any],
    batches: Iterator[Any],
    *,
    warmup_steps: int = 0,
    steps: int | None = None,
    min_seconds: float | None = None,
    consume: Callable[[Any, Any], None] | None = None,
    on_warmup: Callable[[int], None] | None = None,
    on_measure: Callable[[], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    enough: Callable[[], bool] | None = None,
    arrivals: Iterator[float] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
    record: Record | None = None,
) -> Timings:
    """Warm up, then measure until `steps` are done and, if given, `min_seconds` have been measured.

    Args:
        step: takes a batch's inputs, returns outputs.
        batches: ends where the data ends, or never.
        warmup_steps: steps before the measured ones; kept apart.
        steps: measured steps; `None` runs to the end of the batches.
        min_seconds: go on after `steps` until the measured steps and their data took so long.
        consume: called with the outputs and the batch of each measured step, off the clock.
        on_warmup: called with the number of warm-up steps so far.
        on_measure: called once, after warm-up and before the first measured step, off the clock.
        on_step: called with the number of measured steps and of examples so far, off the clock.
        enough: asked after each measured step, off the clock, whether to end with it.
        arrivals: when the query of each measured step is due, in seconds from the first measured
            step on. A step begins then, or when the one before is done: the queue has one server.
        clock: returns nanoseconds.
        sleep: waits for so many seconds.
        record: is filled while the loop runs.

    Returns:
        The timings; of what had been done by then if Ctrl-C (or SIGTERM made into one) came.
    """
    record = record or Record()
    warmup, taken = record.warmup, record.taken
    measured = 0
    least = 0 if min_seconds is None else min_seconds * 1e9
    interrupted = False
    try:
        with _gc_paused():
            if warmup_steps == 0 and on_measure is not None:
                on_measure()
            while steps is None or len(taken) < steps or measured < least:
                asked = clock()
                batch = next(batches, None)
                if batch is None:
                    record.exhausted = True
                    break
                ready = fetched = clock()
                if arrivals is not None and len(warmup) >= warmup_steps:
                    record.start = record.start if record.dues else asked
                    record.dues.append(record.start + round(next(arrivals) * 1e9))
                    while (left := record.dues[-1] - clock()) > 0:
                        if left > WATCHED:
                            sleep((left - WATCHED) / 1e9)
                    ready = clock()
                outputs = step(batch.inputs)
                done = clock()
                if len(warmup) < warmup_steps:
                    warmup.append(done - ready)
                    if on_warmup is not None:
                        on_warmup(len(warmup))
                    if len(warmup) == warmup_steps and on_measure is not None:
                        on_measure()
                    continue
                record.began.append(ready)
                record.waited.append(fetched - asked)
                taken.append(done - ready)
                measured += done - asked
                record.examples += len(batch.inputs)
                if consume is not None:
                    consume(outputs, batch)
                if on_step is not None:
                    on_step(len(taken), record.examples)
                if enough is not None and enough():
                    break
    except KeyboardInterrupt:
        interrupted = True
    return record.timings(interrupted=interrupted)


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Collect what is garbage of late, and nothing during the block."""
    was_enabled = gc.isenabled()
    gc.collect(1)  # all of it would be looked at for 0.1 s, TensorFlow's modules among it
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _seconds(nanoseconds: list[int]) -> tuple[float, ...]:
    return tuple(each / 1e9 for each in nanoseconds)
