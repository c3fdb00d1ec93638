"""Pictures of results, with matplotlib.

Each function draws on the axis given, or on a new figure, which a notebook shows by itself. Units
stand on the axes, and the model, the machine and the software in the caption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.results import frames, ratio, score_plots
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.comparison import Comparison, SweepComparison
from modelzoo_runner.results.export import Drawn
from modelzoo_runner.results.figures import (
    MAIN,
    MOST_CATEGORIES,
    SECOND,
    WARM_UP,
    as_wide_as,
    axes_of,
    captioned,
    figure,
    figure_of,
)
from modelzoo_runner.results.max_rate import MaxRateResult
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.results.stats import percentile
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.results.trend import Trend
from modelzoo_runner.results.tune import Tried, TuneResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(value: Drawn, axis: Axes | None = None) -> Figure:
    """The picture of a result: see `Drawn.plot`."""
    match value:
        case AccuracyResult():
            return score_plots.scores(value, axis)
        case Result():
            return steps(value, axis)
        case Comparison():
            return comparison(value, axis)
        case SweepComparison():
            return comparisons(value, axis)
        case ABResult():
            return rounds(value, axis)
        case MaxRateResult():
            return rates(value, axis)
        case TuneResult():
            return tried(value, axis)
    raise TypeError(f"{type(value).__name__} has no picture")


def steps(result: Result, axis: Axes | None = None) -> Figure:
    """The steps of a run over time, with warm-up and disturbances marked, and their distribution.

    On an axis that is given there are the steps alone.
    """
    beside: Axes | None = None
    if axis is None:
        own: tuple[Axes, Axes] = figure(1, 2, width_ratios=(3, 1), sharey=True)[1][0]
        axis, beside = own
    warm_up = [1000 * each for each in result.warmup_seconds]
    measured = [1000 * each for each in result.step_seconds]
    axis.plot(range(-len(warm_up), 0), warm_up, ".", color=WARM_UP, label="warm-up")
    axis.plot(range(len(measured)), measured, ".", color=MAIN, label="measured")
    slow = result.observed.interference.get("slow_steps", ())
    if slow:
        axis.plot(
            [each["step"] for each in slow],
            [1000 * each["seconds"] for each in slow],
            "o",
            color=SECOND,
            fillstyle="none",
            label="slow (outside the upper fence)",
        )
    middle = 1000 * median(result.step_seconds)
    axis.axhline(middle, color=MAIN, linewidth=0.8, label="median")
    # The first steps are often so slow that nothing else could be seen.
    axis.set_ylim(0, 1.15 * max(*measured, 1.5 * middle))
    axis.set(xlabel="step", ylabel="ms per step")
    axis.legend(fontsize="small")
    if beside is not None:
        beside.hist(measured, bins=40, orientation="horizontal", color=MAIN)
        beside.set(xlabel="steps")
    return captioned(axis, result)


def sweep(
    found: SweepResult,
    axis: Axes | None = None,
    *,
    x: str = "batch_size",
    y: str = "throughput_examples_per_second",
    hue: str | None = "precision",
) -> Figure:
    """A line for each value of `hue`, with the columns of `to_dataframe` by name.

    Raises:
        RequestError: there is no such column, or no run has values in both.
    """
    axis = axes_of(axis)[0]
    rows = found.rows()
    for name, column in (("x", x), ("y", y), ("hue", hue)):
        known = frames.columns(rows)
        if column is not None and column not in known:
            said = did_you_mean(str(column), known, otherwise="Columns")
            raise RequestError(f"{name}={column!r}: no such column. {said}")
    rows = [row for row in rows if row.get(x) is not None and row.get(y) is not None]
    if not rows:
        raise RequestError(f"x={x!r}, y={y!r}: no run of this sweep has values of both")
    for value in dict.fromkeys(row.get(hue) for row in rows) if hue else (None,):
        points = sorted((row[x], row[y]) for row in rows if hue is None or row.get(hue) == value)
        axis.plot(*zip(*points, strict=True), marker="o", label=str(value))
    axis.set(xlabel=_label(x), ylabel=_label(y))
    if not isinstance(rows[0][y], str):
        axis.set_ylim(bottom=0)
    if hue:
        axis.legend(title=_label(hue), fontsize="small")
    numbers = sorted({row[x] for row in rows if isinstance(row[x], (int, float))})
    if numbers and numbers[0] > 0 and numbers[-1] >= 10 * numbers[0]:
        axis.set_xscale("log", base=2)
        axis.set_xticks(numbers, [f"{each:g}" for each in numbers])
    return captioned(axis, *found.results)


def comparison(found: Comparison, axis: Axes | None = None) -> Figure:
    """The throughput of both, with the intervals over processes where there are any."""
    axis = axes_of(axis)[0]
    both = (found.reference, found.changed)
    for place, each in enumerate(both):
        low, high = each.throughput_interval or (each.throughput, each.throughput)
        error = [[each.throughput - low], [high - each.throughput]]
        axis.bar(place, each.throughput, yerr=error, capsize=6, color=(WARM_UP, MAIN)[place])
    axis.set_xticks(
        (0, 1), [f"reference\n{found.reference.name}", f"changed\n{found.changed.name}"]
    )
    said = ratio.in_words(found.ratio)
    known = "" if found.verdict in said else f" ({found.verdict})"
    axis.set(ylabel="examples/s", title=f"changed is {said}{known}")
    as_wide_as(axis, 2)
    return figure_of(axis)


def comparisons(found: SweepComparison, axis: Axes | None = None) -> Figure:
    """The ratio of each pair of runs, with its interval."""
    axis = axes_of(axis)[0]
    for place, each in enumerate(found.comparisons):
        low, high = each.speed.interval or (each.ratio, each.ratio)
        axis.errorbar(
            each.ratio, place, xerr=[[each.ratio - low], [high - each.ratio]], fmt="o", color=MAIN
        )
    names = [each.changed.name for each in found.comparisons]
    axis.set_yticks(range(len(names)), names)
    axis.axvline(1.0, color="gray", linestyle="--", linewidth=0.8)
    axis.set(xlabel="throughput, changed over reference")
    return figure_of(axis)


def rounds(found: ABResult, axis: Axes | None = None) -> Figure:
    """The ratio in each round of each side against the first, and the interval as a band."""
    others = range(1, len(found.sides))
    axes = axes_of(axis, len(others))
    for side, own in zip(others, axes, strict=True):
        _rounds(found, side, own)
    return captioned(axes[0], *found.sides)


def _rounds(found: ABResult, side: int, axis: Axes) -> None:
    ratios = [math.exp(each) for each in found.log_ratios(side)]
    compared = found.comparison(side)
    batches = found.sides[side].plan.batch_size / found.sides[0].plan.batch_size
    for number, each in enumerate(found.rounds, 1):
        pairs = zip(each.log_seconds(0), each.log_seconds(side), strict=True)
        turns = sorted(batches * math.exp(first - other) for first, other in pairs)
        axis.vlines(number, percentile(turns, 0.25), percentile(turns, 0.75), color=MAIN, alpha=0.4)
    axis.plot(range(1, len(ratios) + 1), ratios, "o", color=MAIN, label="round (bar: its turns)")
    axis.axhline(1.0, color="gray", linestyle="--", linewidth=0.8, label="equally fast")
    axis.axhline(compared.value, color=MAIN, linewidth=0.8, label="ratio")
    if compared.interval is not None:
        axis.axhspan(*compared.interval, color=MAIN, alpha=0.15, label="95 % interval")
    names = f"{found.sides[side].name} over {found.sides[0].name}"
    axis.set(xlabel="round", ylabel=f"throughput, {names}")
    axis.set_xticks(range(1, len(ratios) + 1))
    axis.legend(fontsize="small", title=str(compared), title_fontsize="small")


def rates(found: MaxRateResult, axis: Axes | None = None) -> Figure:
    """p99 at each rate, with what it is at most, and the limit."""
    axis = axes_of(axis)[0]
    rows = [row for row in found.rows() if row["latency_p99_seconds"] is not None]
    for row in rows:
        x, y = row["rate_queries_per_second"], 1000 * row["latency_p99_seconds"]
        bound = 1000 * row["latency_p99_bound_seconds"]
        color = MAIN if row["keeps_limit"] else SECOND
        axis.errorbar(x, y, yerr=[[0], [max(0.0, bound - y)]], fmt="o", capsize=4, color=color)
    limit = 1000 * found.latency_p99
    axis.axhline(limit, color="gray", linestyle="--", linewidth=0.8, label="limit")
    axis.axvline(found.bracket[0], color=MAIN, linewidth=0.8, label="highest rate in time")
    # Near the capacity p99 has no end.
    axis.set_ylim(0, 3 * limit)
    axis.set(xlabel="queries/s (0: one by one)", ylabel="p99 and its 99 % bound (ms)")
    axis.legend(fontsize="small")
    return captioned(axis, found)


def trends(found: Sequence[Trend], axis: Axes | None = None) -> Figure:
    """The throughput of each series over its results, and its changes as lines."""
    axes = axes_of(axis, len(found))
    for trend, own in zip(found, axes, strict=True):
        speeds = [each.throughput for each in trend.points]
        own.plot(speeds, marker="o")
        for change in trend.changes:
            slower = change.ratio < 1
            color = "tab:red" if slower else "tab:green"
            own.axvline(change.position - 0.5, color=color, linestyle="--")
        own.set(title=trend.series, ylabel="examples/s", xlabel="result")
        own.title.set_fontsize("small")
        own.set_ylim(0, 1.1 * max(speeds))
        labels = [each.label for each in trend.points]
        if any(labels) and len(labels) <= MOST_CATEGORIES:
            own.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > 6 else 0)
    return figure_of(axes[0])


def tried(found: TuneResult, axis: Axes | None = None) -> Figure:
    """Throughput over the time of a step of all that was tried, and the Pareto front as a line."""
    axis = axes_of(axis)[0]

    def points(of: Sequence[Tried]) -> tuple[list[float], list[float]]:
        known = [each for each in of if found.throughput(each) is not None]
        seconds = [1000 * (found.latency(each) or 0.0) for each in known]
        return seconds, [found.throughput(each) or 0.0 for each in known]

    best, default = found.tried[found.best], found.tried[found.default]
    seconds = points(found.tried)[0]
    axis.plot(*points(found.tried), "o", color=WARM_UP, label="tried")
    axis.plot(*points(found.pareto), "o-", color=MAIN, label="Pareto front")
    axis.plot(*points((default,)), "s", color=SECOND, label="default")
    axis.plot(*points((best,)), "*", color=MAIN, markersize=14, label="best")
    axis.set_xlim(min(seconds) / 1.2, 1.2 * max(seconds))
    axis.set(xlabel="ms per step", ylabel="examples/s", xscale="log", title=found.model)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize="small")
    return figure_of(axis)


def _label(column: str) -> str:
    """A column's name with its unit set off.

    >>> _label("throughput_examples_per_second"), _label("latency_p50_seconds"), _label("model")
    ('throughput (examples/s)', 'latency p50 (s)', 'model')
    """
    for end, unit in (("_examples_per_second", "examples/s"), ("_seconds", "s")):
        if column.endswith(end):
            return f"{column.removesuffix(end).replace('_', ' ')} ({unit})"
    return column.replace("_", " ")
