"""Pictures of results, with matplotlib.

Each function draws on the axis given, or on a new figure, which a notebook shows by itself. Units
stand on the axes, and the model, the machine and the software in the caption.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import MissingDependency, RequestError, did_you_mean
from modelzoo_runner.results import frames, paired, ratio
from modelzoo_runner.results.ab import ABResult, Side
from modelzoo_runner.results.comparison import Comparison, SweepComparison
from modelzoo_runner.results.export import Drawn
from modelzoo_runner.results.max_rate import MaxRateResult
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.results.stats import percentile
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.results.trend import Trend
from modelzoo_runner.results.tune import Tried, TuneResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 3.4
"""Of a figure with one row, in inches."""

MOST_CATEGORIES = 40
"""Categories of an accuracy run that are drawn: the best and the worst half of so many."""

RECALLS = 101
"""Points of a precision-recall curve."""

NAMED = 3
"""Of these curves so many of the best and of the worst have a name."""

MAIN, SECOND, WARM_UP, PALE = "tab:blue", "tab:red", "tab:gray", "lightsteelblue"


def figure(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of its own, unknown to pyplot, and its axes [rows, columns].

    Raises:
        MissingDependency: matplotlib isn't installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependency(
            "pictures need matplotlib: pip install 'modelzoo_runner[analysis]'"
        ) from None

    class Picture(Figure):
        """A figure that a notebook shows by itself."""

        def _repr_svg_(self) -> str:
            return svg(self)

    drawn = Picture(figsize=(WIDTH, HEIGHT * rows), layout="constrained")
    return drawn, drawn.subplots(rows, columns, squeeze=False, **options)


def svg(drawn: Figure) -> str:
    """The figure as an SVG element, the same bytes for the same figure."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "modelzoo_runner", "svg.fonttype": "none"}):
        drawn.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def draw(value: Drawn, axis: Axes | None = None) -> Figure:
    """The picture of a result: see `Drawn.plot`."""
    match value:
        case AccuracyResult():
            return scores(value, axis)
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
    return _captioned(axis, result)


def scores(result: AccuracyResult, axis: Axes | None = None) -> Figure:
    """The score of each category, or of a classifier its scores, with their intervals."""
    axis = _axes(axis)[0]
    found = list((result.per_category or result.scores).items())
    if result.per_category:
        found.sort(key=lambda each: -each[1])
    if len(found) > MOST_CATEGORIES:
        found = [*found[: MOST_CATEGORIES // 2], *found[-MOST_CATEGORIES // 2 :]]
    names, values = [name for name, _ in found], [value for _, value in found]
    interval = {} if result.per_category else result.interval
    errors = [
        [value - interval[name][0] if name in interval else 0 for name, value in found],
        [interval[name][1] - value if name in interval else 0 for name, value in found],
    ]
    axis.bar(names, values, yerr=errors if interval else None, color=MAIN, capsize=4)
    _as_wide_as(axis, len(names))
    axis.tick_params(axis="x", rotation=90 if len(names) > 6 else 0)
    axis.set(ylabel="AP" if result.per_category else "share of examples", ylim=(0, 1))
    return _captioned(axis, result)


def classes(result: AccuracyResult, axis: Axes | None = None) -> Figure:
    """The top-1 and top-5 accuracy of each class, from the best to the worst."""
    if not result.counts or result.plan.predictions is None:
        raise RequestError(
            'of="classes": of a classifier whose predictions were kept (predictions="rows.csv"); '
            "a detector has an AP of each category, which is drawn without it"
        )
    hits: dict[str, list[tuple[bool, bool]]] = {}
    for _, label, best, five in paired.predictions(result.plan.predictions):
        hits.setdefault(label, []).append((best == label, label in five))
    found = {
        label: tuple(sum(each) / len(each) for each in zip(*rows, strict=True))
        for label, rows in hits.items()
    }
    names = sorted(found, key=lambda label: (-found[label][0], -found[label][1]))
    axis = _axes(axis)[0]
    if len(names) > MOST_CATEGORIES:
        worst = ", ".join(names[: -NAMED - 1 : -1])
        axis.set(xlabel=f"{len(names)} classes, from the best to the worst ({worst})")
    else:
        axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 0)
        axis.set(xlabel="class, as the graph numbers it")
        _as_wide_as(axis, len(names))
    for column, name, color in ((1, "top5", PALE), (0, "top1", MAIN)):
        values = [found[label][column] for label in names]
        if len(names) > MOST_CATEGORIES:
            axis.fill_between(range(len(names)), values, step="mid", color=color, label=name)
            axis.margins(x=0)
        else:
            axis.bar(range(len(names)), values, color=color, label=name)
    axis.set(ylabel="share of the class's examples", ylim=(0, 1))
    axis.legend(fontsize="small", loc="lower left")
    return _captioned(axis, result)


def precision_recall(result: AccuracyResult, axis: Axes | None = None) -> Figure:
    """Precision over recall at IoU 0.5: each category, the best and the worst ones, the mean."""
    if not result.precision_recall:
        raise RequestError('of="precision_recall": of a detector that was scored by this version')
    axis = _axes(axis)[0]
    curves = {
        name: [max(0.0, each) for each in curve] for name, curve in result.precision_recall.items()
    }
    recalls = [place / (RECALLS - 1) for place in range(RECALLS)]
    ordered = sorted(curves, key=lambda name: -sum(curves[name]))
    named = {*ordered[:NAMED], *ordered[-NAMED:]}
    for name in sorted(ordered, key=lambda each: each in named):
        # To where it is zero: that recall was never reached.
        reached = [each for each in curves[name] if each > 0]
        how = {"label": name} if name in named else {"color": WARM_UP, "alpha": 0.4}
        axis.plot(recalls[: len(reached)], reached, linewidth=1.0 if name in named else 0.5, **how)
    mean = [sum(each) / len(curves) for each in zip(*curves.values(), strict=True)]
    axis.plot(recalls, mean, color="black", linewidth=2, label=f"mean of {len(curves)}")
    axis.set(xlabel="recall", ylabel="precision, at IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _captioned(axis, result)


OF_ACCURACY: Mapping[str, Callable[[AccuracyResult, Axes | None], Figure]] = {
    "scores": scores,
    "classes": classes,
    "precision_recall": precision_recall,
}
"""What an accuracy result can draw, by name."""


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
    axis = _axes(axis)[0]
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
    return _captioned(axis, *found.results)


def comparison(found: Comparison, axis: Axes | None = None) -> Figure:
    """The throughput of both, with the intervals over processes where there are any."""
    axis = _axes(axis)[0]
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
    _as_wide_as(axis, 2)
    return _of(axis)


def comparisons(found: SweepComparison, axis: Axes | None = None) -> Figure:
    """The ratio of each pair of runs, with its interval."""
    axis = _axes(axis)[0]
    for place, each in enumerate(found.comparisons):
        low, high = each.speed.interval or (each.ratio, each.ratio)
        axis.errorbar(
            each.ratio, place, xerr=[[each.ratio - low], [high - each.ratio]], fmt="o", color=MAIN
        )
    names = [each.changed.name for each in found.comparisons]
    axis.set_yticks(range(len(names)), names)
    axis.axvline(1.0, color="gray", linestyle="--", linewidth=0.8)
    axis.set(xlabel="throughput, changed over reference")
    return _of(axis)


def rounds(found: ABResult, axis: Axes | None = None) -> Figure:
    """The ratio in each round of each side against the first, and the interval as a band."""
    others = range(1, len(found.sides))
    axes = _axes(axis, len(others))
    for side, own in zip(others, axes, strict=True):
        _rounds(found, side, own)
    return _captioned(axes[0], *found.sides)


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
    axis = _axes(axis)[0]
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
    return _captioned(axis, found)


def trends(found: Sequence[Trend], axis: Axes | None = None) -> Figure:
    """The throughput of each series over its results, and its changes as lines."""
    axes = _axes(axis, len(found))
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
    return _of(axes[0])


def tried(found: TuneResult, axis: Axes | None = None) -> Figure:
    """Throughput over the time of a step of all that was tried, and the Pareto front as a line."""
    axis = _axes(axis)[0]

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
    return _of(axis)


def _axes(axis: Axes | None, rows: int = 1) -> Sequence[Axes]:
    """So many axes below each other, or the given one so many times."""
    found: Sequence[Axes] = figure(rows)[1][:, 0] if axis is None else [axis] * rows
    return found


def _as_wide_as(axis: Axes, bars: int) -> None:
    """Leave room beside a few bars, so that they don't become walls."""
    room = max(0.6, 3 - bars / 2)
    axis.set_xlim(-room, bars - 1 + room)


def _of(axis: Axes) -> Figure:
    found: Any = axis.get_figure()
    return found  # type: ignore[no-any-return]


def _captioned(axis: Axes, *results: Result | Side | MaxRateResult) -> Figure:
    """Above the axis: which models on which machine, and what all of them share."""
    if results:
        plans = [each.plan for each in results]
        machines = [each.observed.machine.get("processor") or {} for each in results]
        models = dict.fromkeys(f"{plan.model} {plan.precision}" for plan in plans)
        batches = {plan.batch_size for plan in plans}
        processors = dict.fromkeys(each.get("model", "unknown processor") for each in machines)
        cpus = {len(plan.placement.cpus) or "all" for plan in plans}
        parts = [
            ", ".join(models) if len(models) <= NAMED else f"{len(models)} models",
            f", batch {batches.pop()}" if len(batches) == 1 else "",
            f"; {', '.join(processors)}",
            f", {cpus.pop()} CPUs" if len(cpus) == 1 else "",
        ]
        axis.set_title("".join(parts), fontsize="small", loc="left")
    return _of(axis)


def _label(column: str) -> str:
    """A column's name with its unit set off.

    >>> _label("throughput_examples_per_second"), _label("latency_p50_seconds"), _label("model")
    ('throughput (examples/s)', 'latency p50 (s)', 'model')
    """
    for end, unit in (("_examples_per_second", "examples/s"), ("_seconds", "s")):
        if column.endswith(end):
            return f"{column.removesuffix(end).replace('_', ' ')} ({unit})"
    return column.replace("_", " ")
