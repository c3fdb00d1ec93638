"""load(): any saved value, as what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_made import ab_result, benchmark_result

from modelzoo_runner import ABResult, AccuracyResult, BenchmarkResult, SweepResult, load
from modelzoo_runner.errors import ResultError
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
