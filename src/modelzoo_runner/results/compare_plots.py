"""Pictures of comparisons, with matplotlib: of two results or sweeps, of sides, of runtimes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelzoo_runner.results import ratio
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.comparison import Comparison, SweepComparison
from modelzoo_runner.results.figures import (
    HUES,
    MAIN,
    SECOND,
    WARM_UP,
    axes_of,
    bars,
    captioned,
    figure_of,
    titled,
)
from modelzoo_runner.results.runtimes import RuntimesResult
from modelzoo_runner.results.stats import percentile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def comparison(found: Comparison, axis: Axes | None = None) -> Figure:
    """The throughput of both, with the intervals over processes where there are any."""
    axis = axes_of(axis)[0]
    both = (("reference", found.reference, WARM_UP), ("changed", found.changed, MAIN))
    bars(
        axis,
        [
            (f"{which}\n{each.name}", each.throughput, each.throughput_interval, color)
            for which, each, color in both
        ],
    )
    said = ratio.in_words(found.ratio)
    known = "" if found.verdict in said else f" ({found.verdict})"
    axis.set(xlabel="examples/s")
    titled(axis, f"changed is {said}{known}")
    return figure_of(axis)


def comparisons(found: SweepComparison, axis: Axes | None = None) -> Figure:
    """The ratio of each pair of runs, with its interval."""
    axis = axes_of(axis)[0]
    for place, each in enumerate(found.comparisons):
        low, high = each.speed.interval or (each.ratio, each.ratio)
        axis.errorbar(
            each.ratio,
            place,
            xerr=[[each.ratio - low], [high - each.ratio]],
            fmt="o",
            capsize=4,
            color=SECOND if each.verdict == "slower" else MAIN,
        )
    names = [each.changed.name for each in found.comparisons]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.axvline(1.0, color="gray", linestyle="--", linewidth=0.8)
    axis.set(xlabel="throughput, changed over reference")
    return figure_of(axis)


def ways(found: RuntimesResult, axis: Axes | None = None) -> Figure:
    """The throughput of each runtime and precision, with the interval over rounds."""
    axis = axes_of(axis)[0]
    colors = dict(zip(dict.fromkeys(way.precision for way in found.ways), HUES, strict=False))
    speeds = [(way, found.throughput(way)) for way in found.ways]
    bars(
        axis,
        [
            (f"{way.runtime} {way.precision}", *speed, colors.get(way.precision, WARM_UP))
            for way, speed in speeds
            if speed is not None
        ],
    )
    axis.set(xlabel="examples/s")
    return captioned(axis, *(found.measured.sides if found.measured else ()))


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
