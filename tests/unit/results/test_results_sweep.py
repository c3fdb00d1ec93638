"""The outcomes of a sweep as a value: printed, saved, loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelzoo_runner import Failure, SweepResult, load
from modelzoo_runner.errors import FetchError, ResultError
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

PLAN = Plan(
    kind="benchmark",
    model="resnet50",
    task="classification",
    precision="int8",
    goal="latency",
    graph=GraphFile(source="path", path="/a.pb", input="input:0", outputs={"scores": "predict:0"}),
    batch_size=4,
    steps=3,
    placement=Placement(cpus=(0, 1), inter_threads=1, intra_threads=2),
)
RAW: dict[str, Any] = {
    "plan": PLAN,
    "step_seconds": (0.1, 0.2, 0.1),
    "data_seconds": (0.0, 0.0, 0.0),
    "examples": 12,
}
FAST = BenchmarkResult(
    **RAW,
    observed=Observed(interference={"verdict": "noisy", "causes": ["one"]}),
    warnings=("a < b",),
)
GOOD = AccuracyResult(
    **RAW, observed=Observed(), scores={"top1": 0.75, "top5": 1.0}, counts={"top1": 9, "top5": 12}
)
FOUND = AccuracyResult(
    **RAW,
    observed=Observed(),
    scores={"AP": 0.3, "AP50": 0.5, "AP75": 0.25, "AR1": 0.1},
    interrupted=True,
)
FAILED = Failure(
    asked={"verb": "benchmark", "model": "rfcn", "batch_size": 1},
    error="FetchError",
    message="no network\nat all",
)
SWEEP = SweepResult((FAST, GOOD, FOUND, FAILED), warnings=("something",))


def test_it_is_a_sequence_in_order() -> None:
    assert len(SWEEP) == 4 and list(SWEEP) == [FAST, GOOD, FOUND, FAILED]
    assert SWEEP[0] is FAST and SWEEP[1:3] == (GOOD, FOUND)
    assert SWEEP.results == (FAST, GOOD, FOUND) and SWEEP.failures == (FAILED,)
    assert repr(SWEEP) == "<SweepResult: 3 results, 1 failure>"


def test_a_failure_says_so_and_is_an_error_to_raise() -> None:
    assert str(FAILED) == "benchmark rfcn: FetchError: no network\nat all"
    assert isinstance(FAILED.exception, FetchError)
    assert str(FAILED.exception) == "no network\nat all"


def test_one_table() -> None:
    assert str(SWEEP).splitlines() == [
        "run        model     precision  batch  CPUs  verdict           result",
        "benchmark  resnet50  int8       4      2     noisy, 1 warning  "
        "30.0 examples/s, median 100 ms per step",
        "benchmark  resnet50  int8       4      2     no warnings       "
        "top1 0.7500, top5 1.0000 of 12 examples",
        "benchmark  resnet50  int8       4      2     no warnings       "
        "AP 0.3000, AP50 0.5000, AP75 0.2500 of 12 examples (interrupted)",
        "benchmark  rfcn                 1            failed            "
        "FetchError: no network at all",
        "warning: something",
    ]


def test_html_is_escaped() -> None:
    failed = Failure(asked={"verb": "benchmark", "model": "<b>"}, error="E", message="<i>")
    markup = SweepResult((failed,), warnings=("a < b",))._repr_html_()
    assert "warning: a &lt; b" in markup and "<i>" not in markup
    assert "&lt;b&gt;" in markup and "E: &lt;i&gt;" in markup


def test_a_saved_sweep_is_the_same_when_loaded(tmp_path: Path) -> None:
    path = SWEEP.save(tmp_path / "sweep.json")
    assert SweepResult.load(path) == SWEEP == load(path, SweepResult)
    assert load(FAST.save(tmp_path / "one.json")) == FAST


def saved(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps({**SWEEP.to_dict(), **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"schema": 3},
            "schema=3: this version of modelzoo_runner reads results of schema 1 to 2. Read the "
            "file with the version that wrote it.",
        ),
        (
            {"kind": "benchmark"},
            "kind='benchmark': should be sweep",
        ),
        ({"outcomes": 3}, "outcomes: should be a list of results and failures"),
        ({"outcomes": [3]}, "outcomes: should be a list of results and failures"),
        (
            {"outcomes": [{"kind": "failure", "asked": {}, "error": "E"}]},
            "message: the key is missing",
        ),
    ],
)
def test_a_file_that_is_something_else(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = saved(tmp_path, **changes)
    with pytest.raises(ResultError) as raised:
        SweepResult.load(path)
    assert str(raised.value) == f"{path}: {said}"


def test_a_sweep_is_not_a_single_result(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(ResultError, match=r"is a SweepResult, not a Result"):
        load(path)
