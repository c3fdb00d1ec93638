"""History: results in one SQLite file."""

from __future__ import annotations

import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from results_made import accuracy_result, benchmark_result, observed, of_processes, plan

from modelzoo_runner import BenchmarkResult, Failure, History, SweepResult
from modelzoo_runner.errors import MissingDependency, RequestError, ResultError


def result(day: int, seconds: float, **changes: Any) -> BenchmarkResult:
    at = observed(started=f"2026-01-{day:02}T00:00:00+00:00")
    three = (seconds, seconds * 1.01, seconds * 0.99)
    return of_processes(*three, observed=at, **changes)


def test_results_come_back_as_they_were_in_the_order_of_their_start(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    later, sooner = result(2, 0.1), result(1, 0.2)
    assert history.add(later, label="b") == 1 and history.add(sooner, label="a") == 1
    assert [each.result for each in history.entries()] == [sooner, later]
    assert [each.label for each in history.entries()] == ["a", "b"]
    assert history.entries("rfcn") == ()


def test_the_same_is_added_once(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    saved = result(1, 0.1).save(tmp_path / "one.json")
    assert history.add(saved) == 1 and history.add(result(1, 0.1)) == 0
    assert len(history.entries()) == 1


def test_a_sweep_is_added_without_its_failures(tmp_path: Path) -> None:
    failed = Failure(asked={}, error="E", message="m")
    history = History(tmp_path / "history.db")
    assert history.add(SweepResult((result(1, 0.1), failed, accuracy_result({"top1": 1}, 2)))) == 2
    assert "top1 0.5000" in history.table() and "resnet50" in history.table()


def test_a_notebook_shows_a_table_for_each_series_with_its_last_change(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    for day in range(1, 12):
        history.add(result(day, 0.1 if day < 7 else 0.12), label=f"commit {day}")
    history.add(result(12, 0.1, plan=plan(model="<other>")))
    page = history._repr_html_()
    assert page.count("<table") == 2 and "&lt;other&gt;" in page
    assert page.count('<span class="badge bad">slower</span></h4>') == 1
    assert "<td>2026-01-07 00:00:00 UTC</td><td>commit 7</td>" in page
    first, header, row, *_ = history.table().splitlines()
    assert first.startswith("benchmark, resnet50") and header.split()[:2] == ["started", "label"]
    assert row.startswith("  2026-01-01 00:00:00 UTC  commit 1")
    assert "benchmark, <other>, fp32" in history.table()


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    def add(day: int) -> int:
        return History(tmp_path / "history.db").add(result(day, 0.1))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, range(1, 25))) == 24
    assert len(History(tmp_path / "history.db").entries()) == 24


def test_a_regression_is_found_and_a_repaired_one_is_none(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    for day in range(1, 7):
        history.add(result(day, 0.1), label=f"commit {day}")
    for day in range(7, 12):
        history.add(result(day, 0.12), label=f"commit {day}")
        other = plan(model="other")
        history.add(result(day, 0.1, plan=other))
    (found,) = history.regressions()
    assert "resnet50" in found.series and found.first.label == "commit 7"
    assert found.ratio == pytest.approx(1 / 1.2, rel=0.01)
    assert history.regressions("other") == () and history.regressions(min_effect=0.5) == ()
    (trend,) = history.trend("resnet50")
    assert "changed: 0.833x" in str(trend) and len(trend.points) == 11
    for day in range(12, 18):
        history.add(result(day, 0.1))
    assert history.regressions("resnet50") == ()


def test_rows_and_a_plot(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    for day in range(1, 4):
        history.add(result(day, 0.1), label=str(day))
    frame = history.to_dataframe()
    assert list(frame["label"]) == ["1", "2", "3"]
    assert len(frame["throughput_examples_per_second"]) == 3
    history.plot("resnet50").savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    with pytest.raises(ResultError, match="no benchmark results of rfcn"):
        history.plot("rfcn")


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path / "history.db")
    history.add(result(1, 0.1))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install .*analysis"):
        history.plot()


class TestBadFiles:
    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(ResultError, match="no such history"):
            History(tmp_path / "none.db").entries()
        assert list(tmp_path.iterdir()) == []

    def test_at_a_store(self) -> None:
        with pytest.raises(RequestError, match="copy it from"):
            History("gs://bucket/history.db")

    @pytest.mark.parametrize("text", ["{}", "x" * 5000])
    def test_no_database_is_left_as_it_is(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(ResultError, match="as a history"):
            History(path).add(result(1, 0.1))
        assert path.read_text() == text

    def test_another_database(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE x (y)")
        database.close()
        with pytest.raises(ResultError, match="not a history"):
            History(path).add(result(1, 0.1))

    def test_a_newer_one(self, tmp_path: Path) -> None:
        history = History(tmp_path / "a.db")
        history.add(result(1, 0.1))
        with sqlite3.connect(history.path) as database:
            database.execute("PRAGMA user_version = 7")
        database.close()
        with pytest.raises(ResultError, match="version 7"):
            history.entries()

    def test_a_broken_result_in_it(self, tmp_path: Path) -> None:
        history = History(tmp_path / "a.db")
        history.add(result(1, 0.1))
        with sqlite3.connect(history.path) as database:
            database.execute("UPDATE results SET json = '{}'")
        database.close()
        with pytest.raises(ResultError, match="a result in it can't be read"):
            history.table()

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ResultError, match="can't be written"):
            History(tmp_path / "no" / "a.db").add(result(1, 0.1))

    def test_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(ResultError, match="should be a result"):
            History(tmp_path / "a.db").add(3)  # type: ignore[arg-type]
        assert benchmark_result().throughput
