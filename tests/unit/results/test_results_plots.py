"""Pictures: what is drawn, on which axis, and that they show themselves in a notebook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from results_made import ab_result, accuracy_result, benchmark_result, observed, plan

from modelzoo_runner import MaxRateResult, MissingDependency, RequestError, SweepResult, compare
from modelzoo_runner.results import plots, score_plots
from modelzoo_runner.results.changes import Point
from modelzoo_runner.results.max_rate import Trial
from modelzoo_runner.results.runtimes import RuntimesResult, Way
from modelzoo_runner.results.trend import Trend
from modelzoo_runner.results.tune import Heat, Tried, TuneResult

SWEEP = SweepResult(
    tuple(
        benchmark_result(plan=plan(batch_size=size, precision=precision), examples=3 * size)
        for precision in ("fp32", "int8")
        for size in (8, 1)
    )
)
BEFORE, AFTER = benchmark_result(), benchmark_result(plan=plan(precision="int8"))
RATES = MaxRateResult(
    plan=plan(),
    observed=observed(),
    latency_p99=0.5,
    tolerance=0.1,
    trials=tuple(
        Trial(rate=rate, seed=0, wait_seconds=(rate / 10,) * 700, step_seconds=(0.1,) * 700)
        for rate in (0.0, 2.0, 8.0)
    ),
    stopped="time",
    started="",
    seconds=1.0,
)
HEAT = Heat(seconds=(0.1, 0.1), reference_seconds=(0.2, 0.2))
TRIED = Tried(settings={}, runtime="tensorflow", precision="fp32", heats=(HEAT,))
TUNED = TuneResult(
    model="resnet50",
    objective="latency",
    budget=1.0,
    seconds=1.0,
    started="2026-01-01T00:00:00+00:00",
    tried=(TRIED,),
    default=0,
    best=0,
    challenger=0,
    complete=True,
)
WAYS = RuntimesResult(
    model="resnet50",
    ways=(
        Way(runtime="tensorflow", precision="fp32", side=0),
        Way(runtime="onnxruntime", precision="bfloat16", problem="has no bfloat16"),
        Way(runtime="openvino", precision="int8", side=1),
    ),
    measured=ab_result([1.0, 0.5], 4),
)
DRAWN = {
    "steps": BEFORE,
    "scores": accuracy_result({"top1": 7, "top5": 9}, 10),
    "sweep": SWEEP,
    "comparison": compare(BEFORE, AFTER),
    "sweep comparison": compare(SWEEP, SWEEP),
    "rounds": ab_result([1.0, 1.1, 0.5], 5),
    "ways": WAYS,
    "rates": RATES,
    "tried": TUNED,
}


@pytest.mark.parametrize("value", DRAWN.values(), ids=DRAWN)
def test_it_is_drawn_on_a_figure_of_its_own_and_shows_itself(value: Any) -> None:
    figure = value.plot()
    shown = figure._repr_svg_()
    assert ElementTree.fromstring(shown).tag.endswith("svg")
    assert shown == value.plot()._repr_svg_()
    assert all(axis.get_xlabel() or axis.get_xticklabels() for axis in figure.axes)


@pytest.mark.parametrize("value", DRAWN.values(), ids=DRAWN)
def test_it_is_drawn_on_the_axis_that_is_given(value: Any) -> None:
    axis = Figure().subplots()
    assert value.plot(axis) is axis.figure and len(axis.figure.axes) == 1
    assert axis.has_data()


def test_steps_with_warm_up_and_disturbances() -> None:
    interference = {"slow_steps": [{"step": 1, "seconds": 0.2, "causes": []}]}
    seen = observed(interference=interference)
    result = benchmark_result(warmup_seconds=(1.0, 0.5), observed=seen)
    axis, beside = result.plot().axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axis.get_lines()}
    assert drawn["warm-up"] == [[-2, 1000], [-1, 500]]
    assert len(drawn["measured"]) == len(result.step_seconds)
    assert drawn["slow (outside the upper fence)"] == [[1, 200]]
    assert axis.get_ylabel() == "ms per step" and "resnet50" in axis.get_title(loc="left")
    assert sum(patch.get_width() for patch in beside.patches) == len(result.step_seconds)


def test_a_sweep_has_a_line_for_each_hue_in_the_order_of_x() -> None:
    (axis,) = SWEEP.plot(x="batch_size", y="latency_p50_seconds").axes
    assert [line.get_label() for line in axis.get_lines()] == ["fp32", "int8"]
    assert list(axis.get_lines()[0].get_xdata()) == [1, 8]
    assert axis.get_ylabel() == "latency p50 (s)"
    assert len(SWEEP.plot(hue=None).axes[0].get_lines()) == 1


@pytest.mark.parametrize("argument", ["x", "y", "hue"])
def test_a_column_that_is_not_there(argument: str) -> None:
    with pytest.raises(RequestError, match=f"{argument}='batch': no such column.*batch_size"):
        SWEEP.plot(**{argument: "batch"})


def test_many_categories_are_the_best_and_the_worst() -> None:
    result = accuracy_result({}, 10, per_category={f"c{n}": n / 100 for n in range(90)})
    (axis,) = result.plot().axes
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert len(names) == score_plots.MOST_CATEGORIES and (names[0], names[-1]) == ("c89", "c0")


def test_the_bars_of_runtimes_are_those_that_ran_with_their_values() -> None:
    (axis,) = WAYS.plot().axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["tensorflow fp32", "openvino int8"]
    slow, fast = (bar.get_width() for bar in axis.patches)
    assert fast == pytest.approx(2 * slow, rel=0.05)
    assert {f"{slow:.4g}", f"{fast:.4g}"} <= {text.get_text() for text in axis.texts}


def test_names_of_compared_runs_do_not_cover_each_other() -> None:
    figure = compare(
        benchmark_result(plan=plan(model="a" * 30)), benchmark_result(plan=plan(model="b" * 30))
    ).plot()
    figure._repr_svg_()  # lays it out
    first, second = (label.get_window_extent() for label in figure.axes[0].get_yticklabels())
    assert not first.overlaps(second)


def test_a_trend_has_its_changes() -> None:
    points = tuple(Point(throughput=each, started="") for each in (1.0, 2.0))
    trend = Trend(series="s", points=points, changes=())
    assert len(plots.trends([trend, trend]).axes) == 2


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install .*analysis"):
        BEFORE.plot()


def test_the_accuracy_of_each_class_comes_from_the_predictions(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    lines = ["filename,label,prediction,top5", "a,7,7,7 1", "b,7,1,1 7", "c,3,1,1 2"]
    rows.write_text("\n".join(lines))
    result = accuracy_result({"top1": 1, "top5": 2}, 3, plan=plan(predictions=str(rows)))
    (axis,) = result.plot(of="classes").axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["7", "3"]
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in axis.containers}
    assert heights == {"top5": [1, 0], "top1": [0.5, 0]}
    own = Figure().subplots()
    assert result.plot(own, of="classes") is own.figure and own.has_data()


def test_many_classes_are_a_row_from_the_best_to_the_worst(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    lines = (f"{n},{n},{n if n < 50 else 0},{n}" for n in range(100))
    rows.write_text("\n".join(("filename,label,prediction,top5", *lines)))
    result = accuracy_result({"top1": 50}, 100, plan=plan(predictions=str(rows)))
    (axis,) = result.plot(of="classes").axes
    assert axis.get_xlabel() == "100 classes, from the best to the worst (99, 98, 97)"


def test_precision_over_recall() -> None:
    curves = {f"c{n}": (1 - n / 10,) * score_plots.RECALLS for n in range(9)} | {
        "odd": (-1.0,) * 101
    }
    result = accuracy_result({}, 10, precision_recall=curves)
    (axis,) = result.plot(of="precision_recall").axes
    drawn = {line.get_label(): line.get_ydata() for line in axis.get_lines()}
    # No recall was reached in "odd".
    assert drawn["c0"][0] == 1 and len(drawn["odd"]) == 0
    assert drawn["mean of 10"][50] == pytest.approx(0.54)
    assert axis.get_xlabel() == "recall" and axis.get_ylabel() == "precision, at IoU 0.5"


@pytest.mark.parametrize("of", ["classes", "precision_recall", "recall"])
def test_what_a_result_does_not_have(of: Any) -> None:
    with pytest.raises(RequestError, match=f"of=.{of}.: "):
        accuracy_result({"top1": 7}, 10).plot(of=of)
