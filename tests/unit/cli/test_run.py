"""The command `run`: which runs it asks for, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

import modelzoo_runner
from modelzoo_runner import SweepResult, best_known
from modelzoo_runner.cli import main as cli


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
    ("given", "keys"),
    [
        (["--mode", "training"], ["mode='training'", "inference"]),
        (["--best-known", "resnet5"], ["model='resnet5'", "'resnet50'"]),
        (["--best-known", "all", "--batch-size", "8"], ["batch_size='8'", "--best-known"]),
        (["--best-known", "all", "--precision", "bfloat16"], ["precision='bfloat16'", "fp32"]),
        (["--imagenet", "/data"], ["imagenet", "--best-known", "--data-location"]),
        (["--weights", "random"], ["weights", "--best-known", "--extra-model-args"]),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_run(
    capsys: pytest.CaptureFixture[str], given: list[str], keys: list[str]
) -> None:
    assert cli.main(["run", *given]) == cli.BAD_REQUEST
    said = capsys.readouterr().err
    for key in keys:
        assert key in said
