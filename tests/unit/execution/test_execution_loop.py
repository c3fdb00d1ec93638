from __future__ import annotations

import gc
import itertools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from modelzoo_runner.execution import loop


class Clock:
    """Ticks only when told to, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


@dataclass
class Batch:
    inputs: list[int]


class Run:
    """A run on a fake clock: each batch takes `wait` seconds to come, each step `take` seconds."""

    def __init__(self, sizes: list[int], *, wait: float = 1.0, take: float = 10.0) -> None:
        self.clock, self.wait, self.take = Clock(), wait, take
        self.sizes = sizes
        self.called = 0

    def batches(self) -> Iterator[Batch]:
        for size in self.sizes:
            self.clock.pass_seconds(self.wait)
            yield Batch([0] * size)

    def step(self, inputs: list[int]) -> int:
        self.called += 1
        self.clock.pass_seconds(self.take * (3 if self.called == 1 else 1))
        return len(inputs)


def test_warm_up_data_wait_and_steps_are_timed_apart() -> None:
    run = Run([4] * 10)
    timings = loop.run(run.step, run.batches(), warmup_steps=2, steps=3, clock=run.clock)
    assert timings.warmup_seconds == (30.0, 10.0)
    assert timings.step_seconds == (10.0, 10.0, 10.0)
    assert timings.data_seconds == (1.0, 1.0, 1.0)
    assert timings.examples == 12
    assert not timings.exhausted and not timings.interrupted


def test_the_last_short_batch_counts() -> None:
    run = Run([4, 4, 1])
    timings = loop.run(run.step, run.batches(), clock=run.clock)
    assert timings.examples == 9 and len(timings.step_seconds) == 3 and timings.exhausted


def test_data_that_ends_before_the_steps_do_is_told() -> None:
    run = Run([4, 4])
    timings = loop.run(run.step, run.batches(), warmup_steps=1, steps=5, clock=run.clock)
    assert timings.exhausted and len(timings.step_seconds) == 1


def test_a_minimum_duration_is_reached_after_the_steps() -> None:
    run = Run([1] * 100)
    timings = loop.run(run.step, run.batches(), steps=2, min_seconds=50, clock=run.clock)
    # A step and its data take 11 seconds here, the first 31: 31 + 11 + 11.
    assert len(timings.step_seconds) == 3


def test_a_minimum_duration_does_not_shorten_the_steps() -> None:
    run = Run([1] * 100)
    timings = loop.run(run.step, run.batches(), steps=7, min_seconds=5, clock=run.clock)
    assert len(timings.step_seconds) == 7


@pytest.mark.parametrize("warmup_steps", [0, 2])
def test_measuring_is_announced_once_between_warm_up_and_the_first_step(warmup_steps: int) -> None:
    run = Run([1] * 10)
    calls: list[int] = []
    loop.run(
        run.step,
        run.batches(),
        warmup_steps=warmup_steps,
        steps=3,
        on_measure=lambda: calls.append(run.called),
        clock=run.clock,
    )
    assert calls == [warmup_steps]


def test_what_becomes_of_outputs_is_off_the_clock() -> None:
    run = Run([2, 2])
    seen: list[tuple[int, int]] = []

    def consume(outputs: int, batch: Batch) -> None:
        run.clock.pass_seconds(1000)
        seen.append((outputs, len(batch.inputs)))

    timings = loop.run(run.step, run.batches(), consume=consume, clock=run.clock)
    assert seen == [(2, 2), (2, 2)]
    assert timings.step_seconds == (30.0, 10.0) and timings.data_seconds == (1.0, 1.0)


@pytest.mark.parametrize("after", [1, 2, 4])
def test_ctrl_c_leaves_what_was_measured(after: int) -> None:
    run = Run([2] * 10)

    def step(inputs: list[int]) -> int:
        if run.called == after:
            raise KeyboardInterrupt
        return run.step(inputs)

    timings = loop.run(step, run.batches(), warmup_steps=1, steps=9, clock=run.clock)
    assert timings.interrupted
    assert len(timings.step_seconds) == after - 1 == len(timings.data_seconds)
    assert timings.examples == 2 * (after - 1)


def test_garbage_is_not_collected_in_between_and_again_after() -> None:
    assert gc.isenabled()
    run = Run([1])
    loop.run(lambda inputs: pytest.fail("on") if gc.isenabled() else 0, run.batches())
    assert gc.isenabled()


def test_an_error_of_the_step_passes_and_garbage_collection_is_restored() -> None:
    def step(inputs: list[int]) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        loop.run(step, Run([1]).batches())
    assert gc.isenabled()


def test_progress_counts_measured_steps_and_examples() -> None:
    run = Run([4] * 5)
    told: list[tuple[int, int]] = []
    warmed: list[int] = []
    loop.run(
        run.step,
        run.batches(),
        warmup_steps=1,
        steps=2,
        on_warmup=warmed.append,
        on_step=lambda steps, examples: told.append((steps, examples)),
        clock=run.clock,
    )
    assert told == [(1, 4), (2, 8)] and warmed == [1]


class Ticking(Clock):
    """Also ticks a microsecond whenever it is looked at, so that watching it comes to an end."""

    def __call__(self) -> int:
        self.now += 1000
        return self.now


def test_queries_behind_a_stalled_step_count_their_wait() -> None:
    clock, called = Ticking(), 0

    def step(inputs: list[int]) -> None:
        nonlocal called
        clock.pass_seconds(5.5 if called == 3 else 0.1)
        called += 1

    timings = loop.run(
        step,
        iter([Batch([0])] * 20),
        warmup_steps=1,
        steps=10,
        arrivals=loop.arrivals("constant", 1.0, seed=0),
        clock=clock,
        sleep=clock.pass_seconds,
    )
    due = tuple(range(1, 11))
    assert timings.arrival_seconds == pytest.approx(due, abs=1e-3)
    # The third is done after 3 + 5.5 s, so the fourth to the eighth wait, each for those before it.
    waits = (0, 0, 0, 4.5, 3.6, 2.7, 1.8, 0.9, 0, 0)
    assert timings.wait_seconds == pytest.approx(waits, abs=1e-3)
    steps = (0.1, 0.1, 5.5, *(0.1,) * 7)
    assert timings.step_seconds == pytest.approx(steps, abs=1e-3)
    assert len(timings.warmup_seconds) == 1


def test_waiting_for_data_makes_a_query_wait() -> None:
    clock = Ticking()

    def batches() -> Iterator[Batch]:
        for seconds in (0.0, 3.0, 0.0):
            clock.pass_seconds(seconds)
            yield Batch([0])

    timings = loop.run(
        lambda inputs: None,
        batches(),
        arrivals=loop.arrivals("constant", 1.0, seed=0),
        clock=clock,
        sleep=clock.pass_seconds,
    )
    assert timings.exhausted
    assert timings.wait_seconds == pytest.approx((0, 2, 1), abs=2e-3)
    assert timings.data_seconds == pytest.approx((0, 3, 0), abs=1e-3)


def test_poisson_arrivals_are_those_of_their_seed_and_rate() -> None:
    def some(seed: int) -> list[float]:
        return list(itertools.islice(loop.arrivals("poisson", 50.0, seed), 20_000))

    due = some(1)
    assert due == some(1) != some(2)
    gaps = [after - before for before, after in itertools.pairwise([0.0, *due])]
    assert statistics.fmean(gaps) == pytest.approx(1 / 50, rel=0.03)
    # Of an exponential distribution: the deviation is the mean, and 1 in e is longer than it.
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.03)
    longer = sum(gap > 1 / 50 for gap in gaps) / len(gaps)
    assert longer == pytest.approx(math.exp(-1), rel=0.03)


def test_without_arrivals_nothing_waits() -> None:
    run = Run([1] * 3)
    timings = loop.run(run.step, run.batches(), clock=run.clock)
    assert timings.arrival_seconds == timings.wait_seconds == ()
