"""Pictures of results, with matplotlib.

Each function draws on the axis given, or on a new figure, which a notebook shows by itself. Units
stand on the axes, and the model, the machine and the software in the caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.results import compare_plots, frames, score_plots
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.comparison import Comparison, SweepComparison
from modelzoo_runner.results.export import Drawn
from modelzoo_runner.results.figures import (
    MAIN,
    MOST_CATEGORIES,
    SECOND,
    WARM_UP,
    axes_of,
    captioned,
    figure,
    figure_of,
    legend_below,
    titled,
)
from modelzoo_runner.results.max_rate import MaxRateResult
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.results.runtimes import RuntimesResult
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
            return compare_plots.comparison(value, axis)
        case SweepComparison():
            return compare_plots.comparisons(value, axis)
        case ABResult():
            return compare_plots.rounds(value, axis)
        case RuntimesResult():
            return compare_plots.ways(value, axis)
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
    legend_below(axis)
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


def rates(found: MaxRateResult, axis: Axes | None = None) -> Figure:
    """p99 at each rate, with what it is at most, and the limit."""
    axis = axes_of(axis)[0]
    rows = [row for row in found.rows() if row["latency_p99_seconds"] is not None]
    for row in rows:
        x, y = row["rate_queries_per_second"], 1000 * row["latency_p99_seconds"]
        bound = 1000 * row["latency_p99_bound_seconds"]
        color, said = (MAIN, "in time") if row["keeps_limit"] else (SECOND, "too late")
        known = axis.get_legend_handles_labels()[1]
        axis.errorbar(
            x,
            y,
            yerr=[[0], [max(0.0, bound - y)]],
            fmt="o",
            capsize=4,
            color=color,
            label=None if said in known else said,
        )
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
        own.set(ylabel="examples/s", xlabel="result")
        titled(own, trend.series)
        own.set_ylim(0, 1.1 * max(speeds))
        labels = [each.label for each in trend.points]
        if any(labels) and len(labels) <= MOST_CATEGORIES:
            own.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > 6 else 0)
    return figure_of(axes[0])


def tried(found: TuneResult, axis: Axes | None = None) -> Figure:
    """Throughput over the time of a step of all that was tried, and the Pareto front as a line."""
    from matplotlib.ticker import LogLocator, NullFormatter

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
    axis.set(xlabel="ms per step", ylabel="examples/s", xscale="log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_ylim(0, 1.1 * max(points(found.tried)[1]))
    legend_below(axis)
    if found.confirmed is not None:
        return captioned(axis, *found.confirmed.sides)
    titled(axis, found.model)
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
