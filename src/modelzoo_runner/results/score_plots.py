"""Pictures of scores, with matplotlib: what an accuracy result draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.errors import RequestError
from modelzoo_runner.results import paired
from modelzoo_runner.results.figures import (
    MAIN,
    MOST_CATEGORIES,
    NAMED,
    PALE,
    WARM_UP,
    as_wide_as,
    axes_of,
    captioned,
)
from modelzoo_runner.results.result import AccuracyResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECALLS = 101
"""Points of a precision-recall curve."""


def scores(result: AccuracyResult, axis: Axes | None = None) -> Figure:
    """The score of each category, or of a classifier its scores, with their intervals."""
    axis = axes_of(axis)[0]
    found = list((result.per_category or result.scores).items())
    if result.per_category:
        found.sort(key=lambda each: -each[1])
    half, categories = MOST_CATEGORIES // 2, len(found)
    if categories > MOST_CATEGORIES:
        found = [*found[:half], *found[-half:]]
        axis.set(xlabel=f"the {half} best and the {half} worst of {categories} categories")
        axis.axvline(half - 0.5, color="gray", linestyle="--", linewidth=0.8)
    names, values = [name for name, _ in found], [value for _, value in found]
    interval = {} if result.per_category else result.interval
    errors = [
        [value - interval[name][0] if name in interval else 0 for name, value in found],
        [interval[name][1] - value if name in interval else 0 for name, value in found],
    ]
    drawn = axis.bar(names, values, yerr=errors if interval else None, color=MAIN, capsize=4)
    if not result.per_category:
        axis.bar_label(drawn, fmt="%.4f", label_type="center", color="white")
    as_wide_as(axis, len(names))
    axis.tick_params(axis="x", rotation=90 if len(names) > 6 else 0)
    axis.set(ylabel="AP" if result.per_category else "share of examples", ylim=(0, 1))
    return captioned(axis, result)


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
    axis = axes_of(axis)[0]
    if len(names) > MOST_CATEGORIES:
        worst = ", ".join(names[: -NAMED - 1 : -1])
        axis.set(xlabel=f"{len(names)} classes, from the best to the worst ({worst})")
    else:
        axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 0)
        axis.set(xlabel="class, as the graph numbers it")
        as_wide_as(axis, len(names))
    for column, name, color in ((1, "top5", PALE), (0, "top1", MAIN)):
        values = [found[label][column] for label in names]
        if len(names) > MOST_CATEGORIES:
            axis.fill_between(range(len(names)), values, step="mid", color=color, label=name)
            axis.margins(x=0)
        else:
            axis.bar(range(len(names)), values, color=color, label=name)
    axis.set(ylabel="share of the class's examples", ylim=(0, 1))
    axis.legend(fontsize="small", loc="lower left")
    return captioned(axis, result)


def precision_recall(result: AccuracyResult, axis: Axes | None = None) -> Figure:
    """Precision over recall at IoU 0.5: each category, the best and the worst ones, the mean."""
    if not result.precision_recall:
        raise RequestError('of="precision_recall": of a detector that was scored by this version')
    axis = axes_of(axis)[0]
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
    return captioned(axis, result)


OF_ACCURACY: Mapping[str, Callable[[AccuracyResult, Axes | None], Figure]] = {
    "scores": scores,
    "classes": classes,
    "precision_recall": precision_recall,
}
"""What an accuracy result can draw, by name."""
