"""Results as tidy rows: CSV and data frames."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
from results_made import ab_result, accuracy_result, benchmark_result, observed, of_processes

from modelzoo_runner import Failure, SweepResult, compare
from modelzoo_runner.errors import MissingDependency

FAILED = Failure(asked={"verb": "benchmark", "model": "rfcn"}, error="E", message="no\nnetwork")
SWEEP = SweepResult((benchmark_result(), accuracy_result({"top1": 9}, 12), FAILED))


def test_a_sweep_has_a_row_for_each_outcome_with_units_in_the_names() -> None:
    frame = SWEEP.to_dataframe()
    assert list(frame["model"]) == ["resnet50", "resnet50", "rfcn"]
    assert frame["throughput_examples_per_second"][0] == pytest.approx(30)
    assert frame["latency_p50_seconds"][0] == pytest.approx(0.1)
    assert frame["score_top1"][1] == 0.75
    assert 0 < frame["score_top1_low"][1] < 0.75 < frame["score_top1_high"][1] < 1
    assert list(frame["error"].fillna("")) == ["", "", "E: no\nnetwork"]
    assert not any(frame.map(lambda cell: isinstance(cell, (dict, list))).any())


def test_processes_have_an_interval() -> None:
    (row,) = of_processes(0.1, 0.11, 0.12).rows()
    assert row["processes"] == 3
    low, high = (row[f"throughput_interval_{end}_examples_per_second"] for end in ("low", "high"))
    assert low < row["throughput_examples_per_second"] < high


def test_comparisons_and_ab_tests() -> None:
    frame = compare(of_processes(0.1, 0.1001), of_processes(0.05, 0.05)).to_dataframe()
    assert frame["verdict"][0] == "faster" and frame["ratio"][0] == pytest.approx(2, rel=1e-2)
    rounds = ab_result([1.0, 1.1], 5).to_dataframe()
    assert len(rounds) == 10
    slower = rounds.groupby("side")["throughput_examples_per_second"].median()
    assert slower["b"] < slower["a"]
    assert set(rounds[rounds["round"] == 0]["side"]) == {"a", "b"}


def test_csv_is_read_back(tmp_path: Path) -> None:
    path = SWEEP.to_csv(tmp_path / "a.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["resnet50", "resnet50", "rfcn"]
    assert float(rows[0]["latency_p50_seconds"]) == 0.1
    assert rows[2]["error"] == "E: no\nnetwork" and rows[2]["verdict"] == ""


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependency, match="pip install pandas"):
        SWEEP.to_dataframe()


@pytest.mark.parametrize("software", [[1], {"tensorflow": [1]}, {"tensorflow": None}])
def test_facts_in_another_form_are_left_out(software: Any) -> None:
    found = benchmark_result(observed=observed(machine={"software": software}))
    assert found.rows()[0]["tensorflow"] is None
