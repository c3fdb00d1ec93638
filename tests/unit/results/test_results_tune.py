"""What tune() returns, from measurements that are made."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from results_made import ab_result

from modelzoo_runner import TuneResult, load
from modelzoo_runner.errors import ResultError
from modelzoo_runner.results.runtimes import Way
from modelzoo_runner.results.tune import Heat, Tried

BESIDE = (0.1, 0.1, 0.1)


def tried(speed: float, batch_size: int = 1, heats: int = 1, **changes: Any) -> Tried:
    """So many times as fast as the reference, which takes 0.1 s for a batch of one."""
    seconds = tuple(each * batch_size / speed for each in BESIDE)
    values: dict[str, Any] = {
        "settings": {"batch_size": batch_size},
        "runtime": "tensorflow",
        "precision": "fp32",
        "batch_size": batch_size,
        "heats": (Heat(seconds=seconds, reference_seconds=BESIDE),) * heats,
        "dropped": "slower than the best",
    }
    return Tried(**{**values, **changes})


def made(**changes: Any) -> TuneResult:
    values: dict[str, Any] = {
        "model": "resnet50",
        "objective": "throughput",
        "budget": 300.0,
        "seconds": 120.0,
        "started": "2026-01-01T00:00:00+00:00",
        "shared": {"weights": "random", "env": {"A": "1"}},
        "tried": (
            tried(1.0, settings={}),
            tried(3.0, 4, heats=3, dropped=None),
            tried(2.5, 2, runtime="openvino"),
            tried(2.5, 8),
            tried(4.0, 4, instances=2, settings={"instances": 2, "batch_size": 4}, heats=0),
        ),
        "default": 0,
        "best": 1,
        "challenger": 1,
        "scores": (Way(runtime="tensorflow", precision="fp32", scores={"top1": 0.75}),),
        "confirmed": ab_result([1.0, 0.5], 3),
        "complete": True,
        "warnings": ("a warning",),
    }
    return TuneResult(**{**values, **changes})


def test_throughput_and_latency_follow_from_the_turns() -> None:
    found = made()
    assert found.throughput(found.tried[1]) == pytest.approx(30)
    assert found.latency(found.tried[1]) == pytest.approx(4 / 30)
    assert found.throughput(found.tried[4]) is found.latency(found.tried[4]) is None
    two = tried(4.0, 4, instances=2)
    assert made(tried=(two,), default=0, best=0, challenger=0).latency(two) == pytest.approx(0.2)


def test_a_drift_of_the_machine_drops_out() -> None:
    slow = Heat(seconds=(0.1, 0.1), reference_seconds=(0.2, 0.2))
    quick = Heat(seconds=(0.05, 0.05), reference_seconds=(0.1, 0.1))
    both = (tried(1, heats=0, settings={}), tried(1, heats=0))
    first = dataclasses.replace(both[0], heats=(slow,))
    other = dataclasses.replace(both[1], heats=(quick,))
    found = made(tried=(first, other))
    assert found.throughput(first) == pytest.approx(found.throughput(other))
    assert first.log_speed == pytest.approx(math.log(2))


def test_the_front_has_what_nothing_surpasses() -> None:
    found = made()
    assert [each.batch_size for each in found.pareto] == [2, 4]
    flags = {row["settings"]: row["pareto"] for row in found.rows()}
    assert flags == {
        "the default": False,
        "batch_size=4": True,
        "batch_size=2": True,
        "batch_size=8": False,
        "batch_size=4, instances=2": False,
    }


def test_the_default_that_was_only_confirmed_has_its_throughput_from_there() -> None:
    default = tried(1.0, 128, settings={}, heats=0)
    found = made(tried=(default, tried(3.0, 4, dropped=None)))
    assert found.confirmed is not None
    assert found.throughput(default) == pytest.approx(30 / found.confirmed.ratio)


def test_the_gain_is_of_throughput_or_of_a_step() -> None:
    found = made()
    assert found.gain is not None and found.confirmed is not None
    assert found.gain == found.confirmed.comparison(1)
    step = made(objective="latency").gain
    assert step is not None and step.interval is not None
    assert step.value == pytest.approx(found.gain.value / 4)
    assert step.interval[0] < step.value < step.interval[1]
    assert made(confirmed=None).gain is None
    assert made(best=0).gain is None


def test_the_call_has_what_all_share_and_what_is_best() -> None:
    assert made().arguments == {"weights": "random", "env": {"A": "1"}, "batch_size": 4}
    python = 'benchmark("resnet50", goal="latency", weights="random", env={"A": "1"}, batch_size=4)'
    assert made(objective="latency").python == python
    shell = "modelzoo-runner benchmark resnet50 --weights random --env A=1 --batch-size 4"
    assert made().shell == shell


def test_text_and_page_have_the_call_the_gain_and_the_reasons() -> None:
    found = made()
    for page in (str(found), found._repr_html_()):
        assert "--batch-size 4" in page
        assert str(found.gain) in page
        assert "slower than the best" in page
        assert "top1 0.75" in page
        assert "a warning" in page
    assert "not confirmed" in str(made(confirmed=None))
    assert "nothing was faster" in str(made(best=0, challenger=0, confirmed=None))
    assert "interrupted" in str(made(interrupted=True))


def test_it_is_read_as_it_was_saved(tmp_path: Path) -> None:
    found = made()
    path = found.save(tmp_path / "tune.json")
    assert load(path, TuneResult) == TuneResult.load(path) == found
    assert found.to_csv(tmp_path / "tune.csv").read_text().count("\n") == 6
    assert len(found.to_dataframe()) == 5


def test_what_is_no_result_of_it_is_refused() -> None:
    with pytest.raises(ResultError, match="should be tune"):
        TuneResult.from_dict({"schema": 2, "kind": "ab"})
    with pytest.raises(ResultError, match="best=9"):
        TuneResult.from_dict({**made().to_dict(), "best": 9})
    with pytest.raises(ResultError, match="challenger=4: was not measured"):
        TuneResult.from_dict({**made().to_dict(), "challenger": 4})
