"""load(): any saved value, as what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from results_made import ab_result, accuracy_result, benchmark_result

from modelzoo_runner import ABResult, AccuracyResult, BenchmarkResult, SweepResult, load
from modelzoo_runner.errors import ResultError
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.max_rate import MaxRateResult, Trial
from modelzoo_runner.results.runtimes import RuntimesResult, Way

ONE = benchmark_result()


def test_each_kind_is_read_as_itself(tmp_path: Path) -> None:
    path = ONE.save(tmp_path / "one.json")
    assert load(path) == load(path, BenchmarkResult) == ONE
    found = ab_result([1.0, 1.1], 3)
    assert load(found.save(tmp_path / "ab.json"), ABResult) == found
    ways = (Way(runtime="openvino", precision="fp32", problem="no"),)
    table = RuntimesResult(model="m", ways=ways, measured=None)
    assert load(table.save(tmp_path / "runtimes.json"), RuntimesResult) == table
    trial = Trial(rate=0.0, seed=0, wait_seconds=(0.0,), step_seconds=(0.1,))
    rates = MaxRateResult(
        plan=ONE.plan,
        observed=ONE.observed,
        latency_p99=1.0,
        tolerance=0.1,
        trials=(trial,),
        stopped="time",
        started="",
        seconds=1.0,
    )
    assert load(rates.save(tmp_path / "rates.json"), MaxRateResult) == rates
    sweep = SweepResult((ONE,))
    assert load(sweep.save(tmp_path / "sweep.json"), SweepResult) == sweep


def test_another_kind_is_named(tmp_path: Path) -> None:
    path = ONE.save(tmp_path / "one.json")
    with pytest.raises(ResultError, match="is a BenchmarkResult, not an AccuracyResult"):
        load(path, AccuracyResult)
    with pytest.raises(ResultError, match=r"load\(path, SweepResult\)"):
        load(SweepResult((ONE,)).save(path))


def with_interference(tmp_path: Path, made: Exportable, **said: object) -> Path:
    record = made.to_dict()
    record["observed"]["interference"] = said
    del record["summary"]
    path = tmp_path / "one.json"
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("verdict", [5, [], "good", True])
def test_a_verdict_that_is_none_is_refused(tmp_path: Path, verdict: object) -> None:
    for made in (accuracy_result({"top1": 1}, 2), ONE):
        path = with_interference(tmp_path, made, verdict=verdict)
        with pytest.raises(ResultError, match=r"interference\.verdict: .* should be valid"):
            load(path)


@pytest.mark.parametrize("causes", [5, None])
def test_what_can_not_be_shown_is_refused_when_it_is_read(tmp_path: Path, causes: object) -> None:
    path = with_interference(tmp_path, ONE, verdict="noisy", causes=causes)
    with pytest.raises(ResultError, match="holds what no result holds"):
        load(path)
