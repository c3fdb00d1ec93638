"""Many runs with one call, here and one after another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import (
    AccuracyResult,
    BenchmarkResult,
    Failure,
    RequestError,
    SweepResult,
    best_known,
    sweep,
)
from modelzoo_runner.api import calls

QUICK: dict[str, Any] = {
    "warmup_steps": 1,
    "steps": 3,
    "num_inter_threads": 1,
    "allocator": "system",
    "isolation": "auto",
}
"""What keeps a run in this process, and short."""

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "graph.pb")


def test_outcomes_are_in_order_and_a_failure_is_in_its_place(graph: Path, tmp_path: Path) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    told: list[tuple[str, int, int | None]] = []
    found = sweep(
        [
            {"model": graph, "batch_size": 2, "warmup_steps": 1, "steps": 3},
            {"model": "resnet50", "weights": "random", "precision": "int4"},
            {"verb": "accuracy", "model": "resnet50", "weights": model, "data_location": shards},
        ],
        progress=lambda *said: told.append(said),
    )
    first, second, third = found
    assert isinstance(first, BenchmarkResult) and first.examples == 6
    assert first.observed.host == "child"
    assert isinstance(second, Failure) and second.error == "RequestError"
    assert second.message == (
        "precision='int4': not one of the values allowed here. Did you mean 'int8'?"
    )
    assert second.asked["precision"] == "int4"
    assert isinstance(third, AccuracyResult) and third.examples == 6
    assert [each for each in told if each[0] == "runs"] == [("runs", done, 3) for done in range(4)]
    names = {name for name, _, _ in told}
    assert {"start", "import", "warm-up", "steps", "examples", "score"} <= names
    path = found.save(tmp_path / "sweep.json")
    assert SweepResult.load(path) == found
    assert len(str(found).splitlines()) == 4


def test_a_grid_is_all_combinations_the_last_changing_fastest(graph: Path) -> None:
    found = sweep(
        {"model": str(graph), "batch_size": [1, 0], "seed": [3, 4], "isolation": "none", "cpus": ""}
    )
    asked = [(each.asked["batch_size"], each.asked["seed"]) for each in found.failures]
    assert asked == [(1, 3), (1, 4), (0, 3), (0, 4)]


def test_what_nobody_foresaw_does_not_lose_the_others(graph: Path) -> None:
    class Odd(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise TypeError("odd")

    failed, done = sweep([{"model": graph, "weights": Odd()}, {"model": graph, **QUICK}])
    assert isinstance(done, BenchmarkResult) and isinstance(failed, Failure)
    assert failed.error == "WorkerError"
    assert failed.message.startswith("the run failed in a way nobody foresaw: TypeError: odd")


def test_a_plan_is_run_as_it_is(graph: Path) -> None:
    (first,) = sweep([{"model": graph, **QUICK}])
    assert isinstance(first, BenchmarkResult)
    (second,) = sweep([first.plan])
    assert isinstance(second, BenchmarkResult) and second.plan == first.plan


def test_recommended_runs_without_data_say_what_is_missing() -> None:
    known = [each for each in best_known("ssd-mobilenet", "int8") if each.goal == "accuracy"]
    (failed,) = sweep(known)
    assert isinstance(failed, Failure)
    assert failed.error == "DataRequired"
    assert failed.asked == {"verb": "accuracy", "model": "ssd-mobilenet", "precision": "int8"}


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "runs: there are none; give a sequence of runs, or a grid of arguments"),
        ({"model": []}, "runs: there are none; give a sequence of runs, or a grid of arguments"),
        (
            ["resnet50"],
            "runs[0]='resnet50': should be a mapping of the arguments of benchmark() or "
            "accuracy(), a Plan, or what best_known() returns",
        ),
        (
            [{"model": "resnet50"}, {"batch_size": 1}],
            "runs[1]: model is missing, which every run needs",
        ),
        (
            {"model": "resnet50", "verb": ["race", {}]},
            "runs[0]: verb='race': should be one of benchmark, accuracy",
        ),
        (
            [{"model": "resnet50", "batchsize": 1}],
            "runs[0]: 'batchsize' is no argument of a run of benchmark(). "
            "Did you mean 'batch_size'?",
        ),
    ],
)
def test_what_is_no_run_is_refused_before_anything_runs(runs: Any, said: str) -> None:
    with pytest.raises(RequestError) as raised:
        sweep(runs)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", "nothing"),
        ("steps = 3", "steps"),
        ("runs = 3", "runs"),
        ("[runs]", "runs"),
        ("[[grid]]", "grid"),
        ("[grid]\n[[runs]]", "grid, runs"),
    ],
)
def test_a_file_that_lists_no_runs(tmp_path: Path, text: str, held: str) -> None:
    path = tmp_path / "runs.toml"
    path.write_text(text)
    with pytest.raises(RequestError) as raised:
        calls.read(path)
    assert str(raised.value) == (
        f"{path}: should hold either tables [[runs]], one for each run, or one table [grid], and "
        f"holds {held}"
    )


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "runs.toml"
    path.write_text("runs = [")
    with pytest.raises(RequestError, match=rf"^{path}: can't be read as TOML: Invalid value"):
        calls.read(path)


def test_a_callback_that_raises_costs_nothing_but_itself(graph: Path) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("my mistake")

    found = sweep([{"model": graph, **QUICK}], progress=broken)
    assert isinstance(found[0], BenchmarkResult)
    assert found.warnings == (
        "the progress callback raised RuntimeError: my mistake; it was not called again",
    )


INTERRUPTED = """
import json, sys
from modelzoo_runner import Interrupted, sweep
run = {"model": sys.argv[1], "num_cores": 1, "warmup_steps": 1}
def progress(what, done, total):
    if what == "runs":
        print(done, flush=True)
try:
    sweep(
        [{**run, "steps": 3}, {**run, "min_seconds": 600}, run],
        progress=progress, checkpoint=sys.argv[2],
    )
except Interrupted as interrupted:
    interrupted.result.save(sys.argv[3])
    print(interrupted)
"""


def test_ctrl_c_keeps_the_outcomes_and_another_call_goes_on(tmp_path: Path) -> None:
    model = tiny.classifier(tmp_path / "graph.pb")
    command = [sys.executable, "-c", INTERRUPTED, str(model), str(tmp_path / "kept")]
    process = subprocess.Popen(
        [*command, str(tmp_path / "sweep.json")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    assert [process.stdout.readline(), process.stdout.readline()] == ["0\n", "1\n"]
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said == "interrupted after 1 of 3 runs\n"
    found = SweepResult.load(tmp_path / "sweep.json")
    first, second, third = found
    assert isinstance(first, BenchmarkResult) and not first.interrupted
    assert isinstance(second, Failure) or second.interrupted
    assert third == Failure(
        asked={"verb": "benchmark", "model": str(model), "num_cores": 1, "warmup_steps": 1},
        error="RunnerError",
        message="the sweep was interrupted before this run had a result",
    )
    run = {"model": str(model), "num_cores": 1, "warmup_steps": 1}
    quick = {**run, "steps": 3, "seed": 1}
    again = sweep([quick, {**run, "steps": 3}], checkpoint=tmp_path / "kept")
    assert again[1] == first and isinstance(again[0], BenchmarkResult)


def test_what_is_kept_is_of_the_same_files(graph: Path, tmp_path: Path) -> None:
    model = tmp_path / "graph.pb"
    model.write_bytes(graph.read_bytes())
    runs = [{"model": model, **QUICK}, {"model": tmp_path / "none.pb"}, {"model": model, **QUICK}]
    first = sweep(runs, checkpoint=tmp_path / "kept")
    assert first[0] != first[2] and isinstance(first[1], Failure)
    assert sweep(runs[::-1], checkpoint=tmp_path / "kept")[0] == first[0]
    tiny.classifier(model, work=1)
    changed = sweep(runs[:1], checkpoint=tmp_path / "kept")[0]
    assert isinstance(changed, BenchmarkResult) and isinstance(first[0], BenchmarkResult)
    assert changed.plan.graph.sha256 != first[0].plan.graph.sha256


def test_a_damaged_result_is_named_and_had_again(graph: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    runs = [{"model": graph, **QUICK}]
    first = sweep(runs, checkpoint=kept)
    (path,) = kept.glob("*.done")
    path.write_text(path.read_text()[:-50])
    second = sweep(runs, checkpoint=kept)
    assert second[0] != first[0] and second.warnings == (
        f"checkpoint: {path}: its checksum is wrong; done again",
    )
