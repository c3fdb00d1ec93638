"""The command `run`: the original's parameters, and all recommended runs in one table."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

import modelzoo_runner
from modelzoo_runner import SweepResult, best_known, load
from modelzoo_runner.cli import main as cli
from modelzoo_runner.results.sweep import Failure

QUICK = ["--socket-id", "-1", "--extra-model-args", "steps=3 warmup_steps=1"]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """main() handles SIGTERM from then on, as a process of its own may."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    roles = modelzoo_runner.models()["ssd-mobilenet"].graph["fp32"].outputs
    return tiny.detector(tmp_path_factory.mktemp("graph") / "detector.pb", dict(roles))


def test_the_originals_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, path = tiny.classifier(tmp_path / "graph.pb"), tmp_path / "result.json"
    given = ["--model-name", str(graph), "--precision", "fp32", "--batch-size", "2"]
    assert cli.main(["run", *given, *QUICK, "--json", str(path)]) == cli.DONE
    assert capsys.readouterr().out.startswith("benchmark  graph fp32, batch 2, synthetic input")
    result = load(path)
    assert (result.examples, len(result.warmup_seconds)) == (6, 1)
    assert result.warnings[0].startswith("data_location is empty: the input is synthetic")


def test_recommended_runs_in_one_table(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _ = tiny.coco(tmp_path / "coco")
    path = tmp_path / "results.json"
    asked = ["--best-known", "ssd-mobilenet", "--precision", "fp32", "--weights", str(detector)]
    assert cli.main(["run", *asked, "--coco", str(images), *QUICK, "--json", str(path)]) == cli.DONE
    header, speed, score = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "model", "precision", "batch", "CPUs", "trust", "result"]
    assert speed.startswith("benchmark  ssd-mobilenet  fp32       1      ")
    assert score.startswith("accuracy   ssd-mobilenet  fp32       1      ")
    assert "AP 1.0000" in score and score.endswith("of 4 examples")
    timed, scored = SweepResult.load(path)
    assert not isinstance(timed, Failure) and not isinstance(scored, Failure)
    assert len(timed.step_seconds) == 3 and timed.plan.data_location == str(images)
    assert scored.plan.kind == "accuracy"


def test_a_run_that_fails_is_in_the_table_and_the_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["--best-known", "rfcn", "--precision", "fp32", "--weights", str(tmp_path / "none.pb")]
    assert cli.main(["run", *asked, "--socket-id", "-1"]) == cli.FAILURE
    said = capsys.readouterr()
    assert said.out.splitlines()[1].endswith(
        f"failed  GraphError: {tmp_path}/none.pb: the graph can't be read: No such file or "
        "directory"
    )
    assert said.err.splitlines()[-1] == "RunnerError: 1 of 1 runs failed"


@pytest.mark.parametrize("with_data", [False, True])
def test_all_recommended_runs_and_scores_where_there_is_data(
    monkeypatch: pytest.MonkeyPatch, with_data: bool
) -> None:
    asked: list[dict[str, Any]] = []

    def sweep(runs: list[dict[str, Any]], **_: Any) -> SweepResult:
        asked.extend(runs)
        return SweepResult(())

    monkeypatch.setattr(modelzoo_runner, "sweep", sweep)
    data = ["--imagenet", "/data/imagenet", "--coco", "/data/coco"] if with_data else []
    image = ["--docker-image", "mine:1"]
    command = ["run", "--best-known", "all", "--weights", "random", *data, *image]
    assert cli.main(command) == cli.DONE
    known = [each for each in best_known() if with_data or each.goal != "accuracy"]
    assert [(run["model"], run["precision"]) for run in asked] == [
        (each.model, each.precision) for each in known
    ]
    for run, each in zip(asked, known, strict=True):
        assert run["verb"] == ("accuracy" if each.goal == "accuracy" else "benchmark")
        assert run["batch_size"] == each.run.batch_size
        assert (run["weights"], run["docker_image"], run["socket_id"]) == ("random", "mine:1", 0)
        is_detector = modelzoo_runner.models()[each.model].task == "detection"
        location = "/data/coco" if is_detector else "/data/imagenet"
        assert run.get("data_location") == (location if with_data else None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--mode", "training"], "mode='training': should be inference"),
        (
            ["--best-known", "resnet5"],
            "model='resnet5': neither the name of a model nor a path to a .pb or a preset (.toml). "
            "Did you mean 'resnet50' or 'resnet101'?",
        ),
        (
            ["--best-known", "all", "--batch-size", "8"],
            "batch_size='8': each recommended run has its own; leave it out with --best-known, and "
            "give data as --imagenet and --coco",
        ),
        (
            ["--best-known", "all", "--precision", "bfloat16"],
            "precision='bfloat16': should be fp32 or int8",
        ),
        (
            ["--imagenet", "/data"],
            "imagenet: goes with --best-known; of a single run it is --data-location",
        ),
        (
            ["--weights", "random"],
            "weights: goes with --best-known; of a single run it is --extra-model-args "
            '"weights=..."',
        ),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_run(
    capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    assert cli.main(["run", *given]) == cli.BAD_REQUEST
    assert capsys.readouterr().err.strip().endswith(f": {message}")


def test_the_parameters_are_the_originals_ten() -> None:
    from modelzoo_runner.cli import options
    from modelzoo_runner.legacy import pipeline
    from modelzoo_runner.legacy import run as original

    assert tuple(options.described(original.run)) == pipeline.PARAMETERS
    assert len(pipeline.PARAMETERS) == 10
