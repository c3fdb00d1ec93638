"""Judge a measurement by its durations and the counted interference. Pure.

*Invalid*: something else than the model was measured (the process was throttled, the machine was
suspended, other processes had the CPUs). *Noisy*: the error is larger than usual. Each cause says
what to do about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles, stdev
from typing import Any, Literal

from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.machine.interference import Counters, Window
from modelzoo_runner.values.words import percent

SPREAD = 0.10
"""Standard deviation over mean: pyperf calls a benchmark unstable from here (`pyperf check`)."""

WINDOWS, BETWEEN_WINDOWS = 5, 0.10
"""Largest over smallest median of five equal parts of the run, less 1: Triton's perf_analyzer takes
a measurement for stable when its windows agree within 10 % (`--stability-percentage`)."""

OUTLIERS = 0.05
"""Share of steps above the upper fence, Q3 + 1.5 (Q3 - Q1) (Tukey, Exploratory Data Analysis,
1977); of normal durations 0.35 % are."""

STEAL, MUCH_STEAL = 0.01, 0.10
"""Share of the CPUs' time that a hypervisor took; two quiet runs differ by 1 % too."""

OTHERS, MANY_OTHERS = 0.05, 0.20
"""Share of the CPUs' time that other processes ran. Below 5 % are the error of the kernel's ticks
and the background work of any system."""

THROTTLED = 0.01
"""Share of the run that a CPU quota held it up. Any throttling at all is at least noise."""

FAULTS_PER_SECOND = 10
"""Pages read from disk: at 0.1 to 10 ms each this is 0.1 to 10 % of the time."""

SLOWER_CLOCK = 0.10
"""How far the lowest clock frequency seen may lie below the highest."""

SLEPT_SECONDS = 0.01
"""Two clocks read one after the other differ by less than this."""

LISTED = 10
"""How many slow steps are listed."""


@dataclass(frozen=True, kw_only=True)
class SlowStep:
    """A step above the upper fence, and what coincided with it, as far as it was counted."""

    step: int
    seconds: float
    causes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`causes` are sentences, the worst first; `slow_steps` the slowest, at most ten."""

    verdict: Literal["valid", "noisy", "invalid"]
    causes: tuple[str, ...] = ()
    slow_steps: tuple[SlowStep, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        slow = [vars(each) | {"causes": list(each.causes)} for each in self.slow_steps]
        return {"verdict": self.verdict, "causes": list(self.causes), "slow_steps": slow}


def judge(step_seconds: Sequence[float], counters: Counters) -> Verdict:
    """The verdict on at least one measured step, given what was counted meanwhile."""
    slow = slow_steps(step_seconds, counters)
    fatal = tuple(_fatal(counters))
    noise = (*_noise(counters), *_unsteady(step_seconds, slow))
    return Verdict(
        verdict="invalid" if fatal else "noisy" if noise else "valid",
        causes=fatal + noise,
        slow_steps=tuple(sorted(slow, key=lambda each: -each.seconds)[:LISTED]),
    )


def slow_steps(step_seconds: Sequence[float], counters: Counters) -> tuple[SlowStep, ...]:
    """The steps above the upper fence in order, with the causes counted in them."""
    if len(step_seconds) < 4:
        return ()
    low, _, high = quantiles(step_seconds, n=4, method="inclusive")
    # Steps that are all but equal have a fence at their own height.
    fence = max(high + 1.5 * (high - low), 1.05 * median(step_seconds))
    usual = median(counters.step_switches) if counters.step_switches else 0
    return tuple(
        SlowStep(step=index, seconds=seconds, causes=tuple(_coincident(index, counters, usual)))
        for index, seconds in enumerate(step_seconds)
        if seconds > fence
    )


def _coincident(index: int, counters: Counters, usual_switches: float) -> Iterator[str]:
    if index < len(counters.step_faults) and counters.step_faults[index] > 0:
        yield "pages read from disk"
    window = _window(index, counters)
    if window.throttled_periods:
        yield "CPU quota"
    if (window.steal or 0) > STEAL:
        yield "hypervisor"
    if (window.others or 0) > OTHERS:
        yield "other processes"
    # One or two switches more are what a step of twice the length has anyway.
    if (
        index < len(counters.step_switches)
        and counters.step_switches[index] > 2 * usual_switches + 2
    ):
        yield "CPU taken away"


def _window(index: int, counters: Counters) -> Window:
    end = 0
    for window in counters.windows:
        end += window.steps
        if index < end:
            return window
    return Window(steps=0)


def _fatal(counters: Counters) -> Iterator[str]:
    if counters.slept_seconds > SLEPT_SECONDS:
        yield f"the machine was suspended for {counters.slept_seconds:.1f} s: measure again"
    if counters.cpus_lost:
        yield (
            f"CPU {format_cpu_list(counters.cpus_lost)} became unavailable to this process during "
            "the run: find out what changes its CPU set or takes CPUs offline, and measure again"
        )
    throttled = counters.throttled_seconds or 0.0
    if throttled > THROTTLED * counters.wall_seconds:
        yield (
            f"the CPU quota throttled the run for {throttled:.1f} s of "
            f"{counters.wall_seconds:.1f}: use fewer threads (num_cores=), or raise the quota of "
            "the control group"
        )
    if _share(counters.others_seconds, counters) > MANY_OTHERS:
        yield _others(counters)
    if _share(counters.steal_seconds, counters) > MUCH_STEAL:
        yield _stolen(counters)


def _noise(counters: Counters) -> Iterator[str]:
    throttled = counters.throttled_seconds or 0.0
    if counters.throttled_periods and throttled <= THROTTLED * counters.wall_seconds:
        yield (
            f"the CPU quota throttled the run in {counters.throttled_periods} periods: use fewer "
            "threads (num_cores=), or raise the control group's quota"
        )
    if OTHERS < _share(counters.others_seconds, counters) <= MANY_OTHERS:
        yield _others(counters)
    if STEAL < _share(counters.steal_seconds, counters) <= MUCH_STEAL:
        yield _stolen(counters)
    if counters.major_faults > FAULTS_PER_SECOND * counters.wall_seconds:
        yield (
            f"{counters.major_faults} pages were read from disk: the memory is short; use a "
            "smaller batch_size, or end what else uses memory"
        )
    if counters.mhz is not None:
        low, high = counters.mhz
        if low < (1 - SLOWER_CLOCK) * high:
            yield (
                f"the clock frequency was between {low:.0f} and {high:.0f} MHz: fix it (governor "
                "performance, turbo off), or measure longer (min_seconds=)"
            )


def _unsteady(step_seconds: Sequence[float], slow: Sequence[SlowStep]) -> Iterator[str]:
    if len(step_seconds) > 1 and fmean(step_seconds) > 0:
        spread = stdev(step_seconds) / fmean(step_seconds)
        if spread >= SPREAD:
            yield (
                f"the steps spread by {percent(spread)} of their mean (limit {percent(SPREAD)}): "
                "compare medians, or measure longer (min_seconds=)"
            )
    between = between_windows(step_seconds)
    if between is not None and between > BETWEEN_WINDOWS:
        yield (
            f"the medians of {WINDOWS} parts of the run differ by {percent(between)} (limit "
            f"{percent(BETWEEN_WINDOWS)}): use more warmup_steps, or measure longer (min_seconds=)"
        )
    if len(slow) > OUTLIERS * len(step_seconds):
        were = "was" if len(slow) == 1 else "were"
        yield f"{len(slow)} of {len(step_seconds)} steps {were} unusually slow{_mostly(slow)}"


def between_windows(step_seconds: Sequence[float]) -> float | None:
    """By how much the largest median of five equal parts exceeds the smallest.

    `None` below four steps a part, where a median is no better than a step.

    >>> between_windows([1.0] * 16 + [1.5] * 4)
    0.5
    """
    size = len(step_seconds) // WINDOWS
    if size < 4:
        return None
    parts = [step_seconds[part * size : (part + 1) * size] for part in range(WINDOWS)]
    medians = [median(part) for part in parts]
    return max(medians) / min(medians) - 1 if min(medians) > 0 else None


def _mostly(slow: Sequence[SlowStep]) -> str:
    """The most frequent cause of the slow steps, as the end of a sentence."""
    named = Counter(cause for each in slow for cause in each.causes)
    if not named:
        return ", and nothing that is counted coincided with them"
    cause, count = named.most_common(1)[0]
    which = f"{count} of them" if count < len(slow) else "it" if count == 1 else "all of them"
    return f"; {which} coincided with: {cause}"


def _share(seconds: float | None, counters: Counters) -> float:
    return (seconds or 0.0) / max(counters.wall_seconds * counters.cpus, 1e-9)


def _others(counters: Counters) -> str:
    share = percent(_share(counters.others_seconds, counters))
    return f"other processes took {share} of the CPUs' time: end them, or choose other CPUs (cpus=)"


def _stolen(counters: Counters) -> str:
    share = percent(_share(counters.steal_seconds, counters))
    return (
        f"the hypervisor took {share} of the CPUs' time: measure again, or on a machine of your own"
    )
