"""benchmark() with arrivals, and max_rate(), on a runtime that is a fake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fake_backend
import pytest

from modelzoo_runner import BenchmarkResult, MaxRateResult, RequestError, benchmark, load, max_rate
from modelzoo_runner.cli import main as cli

pytestmark = pytest.mark.usefixtures("fakes")

HERE: dict[str, Any] = {"isolation": "none", "num_intra_threads": 1, "warmup_steps": 0}


def test_latency_counts_from_when_a_query_was_due(tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "a.fake", seconds=0.001, stalls={"5": 0.2})
    result = benchmark(model, arrivals="constant", rate=100.0, steps=40, **HERE)
    assert result.arrival_seconds == pytest.approx([number / 100 for number in range(1, 41)])
    # One step stalled, and some fifteen queries were due meanwhile: in a closed loop they would
    # have been asked for later, and one slow step in forty would have been all there is to see.
    assert sum(each > 0.01 for each in result.step_seconds) < 10
    assert sum(each > 0.05 for each in result.latency_seconds) >= 12
    assert result.latency.p90 is None and result.latency.max >= 0.2
    assert result.queue_wait is not None and result.queue_wait.max >= 0.15
    assert result.service.p50 < 0.05
    for latency, wait, step in zip(
        result.latency_seconds, result.wait_seconds, result.step_seconds, strict=True
    ):
        assert latency == pytest.approx(wait + step) and wait >= 0
    assert result.utilization is not None and result.utilization < 1
    assert any("too few for p99" in each for each in result.warnings)
    assert load(result.save(tmp_path / "a.json"), BenchmarkResult) == result
    assert "constant arrivals at 100/s" in str(result)
    assert result.rows()[0]["rate_queries_per_second"] == 100


def test_more_queries_than_can_be_done_are_an_overload(tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "a.fake", seconds=0.004)
    result = benchmark(model, arrivals="poisson", rate=2000.0, **HERE)
    assert len(result.step_seconds) == 662
    assert result.plan.why["steps"].startswith("library default with arrivals")
    assert result.utilization is not None and result.utilization > 2
    assert result.achieved_rate is not None and result.achieved_rate < 260
    assert any("overload" in each and "without bound" in each for each in result.warnings)
    # The queue only grows: the last query waits for nearly all of the others.
    assert result.wait_seconds[-1] > 0.8 * sum(result.step_seconds)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arrivals": "poisson"}, "rate is missing"),
        ({"rate": 20.0}, "arrivals is missing"),
        ({"arrivals": "poison", "rate": 20.0}, "poisson"),
        ({"arrivals": "poisson", "rate": 0}, "rate=0: should be a number above 0"),
        ({"arrivals": "poisson", "rate": 20.0, "processes": 3}, "processes=3: not with arrivals"),
        ({"arrivals": "poisson", "rate": 20.0, "instances": 2}, "instances=2: not with arrivals"),
    ],
)
def test_what_a_queue_cant_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        benchmark("resnet50", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"latency_p99": 0}, "latency_p99=0"),
        ({"latency_p99": 1.0, "queries": 100}, "queries=100.*at least 662"),
        ({"latency_p99": 1.0, "tolerance": 2}, "tolerance=2"),
        ({"latency_p99": 1.0, "rate": 5.0}, r"rate.*max_rate\(\) finds one"),
        ({"latency_p99": 1.0, "processes": 3}, "processes: not of a side"),
    ],
)
def test_what_max_rate_cant_be_asked_for(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        max_rate("resnet50", **given)


def test_max_rate_on_the_command_line(tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "a.fake", seconds=0.0005)
    files = {name: tmp_path / f"rates.{name}" for name in ("json", "csv", "html")}
    options = [each for name, path in files.items() for each in (f"--{name}", str(path))]
    limit = ["--latency-p99", "10", "--tolerance", "0.6", "--batch-size", "2"]
    assert cli.main(["max-rate", str(model), *limit, *options]) == cli.DONE
    found = load(files["json"], MaxRateResult)
    assert found.stopped == "found" and found.plan.batch_size == 2
    # With so high a limit and so wide a tolerance, half of what can be done is the answer.
    assert found.rate == pytest.approx(found.capacity / 2, rel=0.3)
    assert len(found.at(found.rate or 0)) >= 3
    assert found.rows()[-1]["queue_wait_mean_seconds"] > 0
    assert json.loads(files["json"].read_text())["kind"] == "max_rate"
    assert len(files["csv"].read_text().splitlines()) == 1 + len(found.rates)
    assert "in time" in files["html"].read_text()
