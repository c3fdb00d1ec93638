"""Figures and axes with matplotlib: what pictures of results are drawn on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import MissingDependency
from modelzoo_runner.results.ab import Side
from modelzoo_runner.results.max_rate import MaxRateResult
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 3.4
"""Of a figure with one row, in inches."""

MOST_CATEGORIES = 40
"""Categories of an accuracy run that are drawn: the best and the worst half of so many."""

NAMED = 3
"""So many models, or curves at each end, are named."""

MAIN, SECOND, WARM_UP, PALE = "tab:blue", "tab:red", "tab:gray", "lightsteelblue"

HUES = (MAIN, "tab:orange", "tab:green", "tab:purple")
"""Of what several bars have in common."""


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


def axes_of(axis: Axes | None, rows: int = 1) -> Sequence[Axes]:
    """So many axes below each other, or the given one so many times."""
    found: Sequence[Axes] = figure(rows)[1][:, 0] if axis is None else [axis] * rows
    return found


def as_wide_as(axis: Axes, bars: int) -> None:
    """Leave room beside a few bars, so that they don't become walls."""
    room = max(0.6, 3 - bars / 2)
    axis.set_xlim(-room, bars - 1 + room)


def legend_below(axis: Axes) -> None:
    """The legend below the axis, where it hides nothing."""
    axis.legend(
        fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.16), ncols=4, frameon=False
    )


Bar = tuple[str, float, Interval | None, str]
"""A name, a value, its interval and a color."""


def bars(axis: Axes, found: Sequence[Bar]) -> None:
    """Bars to the right, the first above, each with its name, value and interval."""
    ends = [interval[1] if interval else value for _, value, interval, _ in found]
    for place, (_, value, interval, color) in enumerate(found):
        axis.barh(place, value, height=0.6, color=color)
        if interval is not None:
            error = [[value - interval[0]], [interval[1] - value]]
            axis.errorbar(value, place, xerr=error, color="black", capsize=4, linewidth=1)
        axis.annotate(
            f"{value:.4g}", (ends[place], place), (6, 0), textcoords="offset points", va="center"
        )
    axis.set_yticks(range(len(found)), [name for name, *_ in found])
    # Room for the values, and beside a few bars, so that they don't become walls.
    axis.set_xlim(0, 1.12 * max(ends))
    room = max(0.6, 1.6 - len(found) / 4)
    axis.set_ylim(len(found) - 1 + room, -room)


def titled(axis: Axes, text: str) -> None:
    """A caption above the axis."""
    axis.set_title(text, fontsize="small", loc="left")


def figure_of(axis: Axes) -> Figure:
    """The figure that the axis is in."""
    found: Any = axis.get_figure()
    return found  # type: ignore[no-any-return]


def captioned(axis: Axes, *results: Result | Side | MaxRateResult) -> Figure:
    """The figure, and above the axis which models on which machine, and what all of them share."""
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
        titled(axis, "".join(parts))
    return figure_of(axis)
