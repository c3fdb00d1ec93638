"""max_rate(): how many queries a second a model serves within a latency limit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from modelzoo_runner.api import ab
from modelzoo_runner.errors import Interrupted
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.results import stats
from modelzoo_runner.results.max_rate import SHARE, MaxRateResult, Trial
from modelzoo_runner.values import bars, validate, words
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import Told


@bars.shown
def max_rate(
    model: Model,
    *,
    latency_p99: float,
    queries: int = stats.SAMPLES_FOR[SHARE],
    tolerance: float = 0.05,
    max_seconds: float = 600.0,
    offline: bool = False,
    progress: Told = None,
    **shared: Any,
) -> MaxRateResult:
    """The highest rate of Poisson arrivals at which 99 % of the queries are done in time.

    MLPerf Inference's Server scenario: a query is one batch, its latency counts from when it was
    due, and the rate is found by bisection, in one child process in which the graph stays open. The
    two rates between which the answer lies are measured several times, with other arrivals each
    time. See `docs/load.md`.

    Args:
        model: as `benchmark()` has it.
        latency_p99: the limit in seconds, which at most 1 % of the queries may exceed.
        queries: of each measurement. Ask for more if the limit is many times the time of a step:
            queues then take long to build up.
        tolerance: how near to each other the rate found and one that is too high have to be, as a
            share of what the model does without pause.
        max_seconds: when it ends at the latest, whatever is known by then.
        offline: never touch the network.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.
        **shared: arguments of `benchmark()`, such as `batch_size` and `weights`. `goal` is
            `"latency"` if it isn't given, so that a query is one example.

    Returns:
        The rate, and the queries of every rate that was tried.

    Raises:
        RequestError: an argument that can't be.
        Interrupted: Ctrl-C while measuring; holds the rates measured so far.
        RunnerError: what opening or measuring the model raises.

    Examples:
        >>> from modelzoo_runner import max_rate
        >>> found = max_rate("resnet50", latency_p99=0.2, weights="random")  # doctest: +SKIP
        >>> found.rate  # doctest: +SKIP
        9.8
    """
    limit = validate.above_0("latency_p99", latency_p99)
    queries = validate.count("queries", queries, least=stats.SAMPLES_FOR[SHARE])
    tolerance = validate.above_0("tolerance", validate.share("tolerance", tolerance))
    max_seconds = validate.above_0("max_seconds", max_seconds)
    context = Context(offline=offline, progress=progress)
    given = {"goal": "latency", **shared, "model": model}
    _, plan, python = ab.side_of(given, {}, "max_rate", context)
    # Loaded here, so that importing the library is quick.
    from modelzoo_runner.execution import serve

    began = time.monotonic()
    with serve.opened([serve.Program(plan, python=python)]) as (server,):

        def measured(rate: float, seed: int) -> Trial:
            load = {"rate": rate, "seed": seed} if rate else {}
            timings = server.measure(steps=queries, **load)
            return Trial(
                rate=rate,
                seed=seed,
                wait_seconds=timings.wait_seconds or (0.0,) * len(timings.step_seconds),
                step_seconds=timings.step_seconds,
            )

        first = MaxRateResult(
            plan=server.plan,
            observed=server.observed,
            latency_p99=limit,
            tolerance=tolerance,
            trials=(measured(0.0, plan.seed),),
            stopped="interrupted",
            started=words.now(),
            seconds=time.monotonic() - began,
            warnings=server.warnings,
        )
        return searched(first, measured, queries, began + max_seconds, context)


def searched(
    result: MaxRateResult,
    measured: Callable[[float, int], Trial],
    queries: int,
    deadline: float,
    context: Context,
) -> MaxRateResult:
    """The result with all measurements that the answer takes, or that there is time for."""
    began = time.monotonic() - result.seconds
    try:
        while (rate := result.next_rate) is not None:
            context.tell("measurements", len(result.trials), None)
            if time.monotonic() + queries / (rate or result.capacity) > deadline:
                return dataclasses.replace(result, stopped="time")
            trial = measured(rate, result.plan.seed + len(result.trials))
            result = dataclasses.replace(
                result, trials=(*result.trials, trial), seconds=time.monotonic() - began
            )
    except KeyboardInterrupt:
        raise Interrupted(result, f"{len(result.trials)} measurements") from None
    return dataclasses.replace(result, stopped="found")
