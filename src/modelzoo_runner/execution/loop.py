"""The measuring loop: call a step repeatedly and time it."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


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
    is when each began, by the clock. `exhausted`: the batches ended before the steps asked for.
    """

    warmup_seconds: tuple[float, ...]
    step_seconds: tuple[float, ...]
    data_seconds: tuple[float, ...]
    step_starts: tuple[float, ...] = ()
    examples: int
    exhausted: bool
    interrupted: bool


def run(
    step: Callable[[Any], Any],
    batches: Iterator[Any],
    *,
    warmup_steps: int = 0,
    steps: int | None = None,
    min_seconds: float | None = None,
    consume: Callable[[Any, Any], None] | None = None,
    on_measure: Callable[[], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    enough: Callable[[], bool] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Timings:
    """Warm up, then measure until `steps` are done and, if given, `min_seconds` have been measured.

    Args:
        step: takes a batch's inputs, returns outputs.
        batches: ends where the data ends, or never.
        warmup_steps: steps before the measured ones; kept apart.
        steps: measured steps; `None` runs to the end of the batches.
        min_seconds: go on after `steps` until the measured steps and their data took so long.
        consume: called with the outputs and the batch of each measured step, off the clock.
        on_measure: called once, after warm-up and before the first measured step, off the clock.
        on_step: called with the number of measured steps and of examples so far, off the clock.
        enough: asked after each measured step, off the clock, whether to end with it.
        clock: returns nanoseconds.

    Returns:
        The timings; of what had been done by then if Ctrl-C (or SIGTERM made into one) came.
    """
    warmup: list[int] = []
    taken: list[int] = []
    waited: list[int] = []
    began: list[int] = []
    measured = examples = 0
    least = 0 if min_seconds is None else min_seconds * 1e9
    exhausted = interrupted = False
    try:
        with _gc_paused():
            if warmup_steps == 0 and on_measure is not None:
                on_measure()
            while steps is None or len(taken) < steps or measured < least:
                asked = clock()
                batch = next(batches, None)
                if batch is None:
                    exhausted = True
                    break
                ready = clock()
                outputs = step(batch.inputs)
                done = clock()
                if len(warmup) < warmup_steps:
                    warmup.append(done - ready)
                    if len(warmup) == warmup_steps and on_measure is not None:
                        on_measure()
                    continue
                began.append(ready)
                waited.append(ready - asked)
                taken.append(done - ready)
                measured += done - asked
                examples += len(batch.inputs)
                if consume is not None:
                    consume(outputs, batch)
                if on_step is not None:
                    on_step(len(taken), examples)
                if enough is not None and enough():
                    break
    except KeyboardInterrupt:
        interrupted = True
    return Timings(
        warmup_seconds=_seconds(warmup),
        step_seconds=_seconds(taken),
        data_seconds=_seconds(waited[: len(taken)]),
        step_starts=_seconds(began[: len(taken)]),
        examples=examples,
        exhausted=exhausted,
        interrupted=interrupted,
    )


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Collect garbage now, and not during the block."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _seconds(nanoseconds: list[int]) -> tuple[float, ...]:
    return tuple(each / 1e9 for each in nanoseconds)
