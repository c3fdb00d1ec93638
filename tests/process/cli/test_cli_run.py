"""The commands `run` and `translate`, and all recommended runs in one table."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

import modelzoo_runner
from modelzoo_runner import SweepResult, load
from modelzoo_runner.cli import main as cli
from modelzoo_runner.results.sweep import Failure

QUICK = ["--socket-id", "-1", "--extra-model-args", "steps=3 warmup_steps=1"]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    roles = modelzoo_runner.models()["ssd-mobilenet"].graph["fp32"].outputs
    return tiny.detector(tmp_path_factory.mktemp("graph") / "detector.pb", dict(roles))


def test_the_originals_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, path = tiny.classifier(tmp_path / "graph.pb"), tmp_path / "result.json"
    given = ["--model-name", str(graph), "--precision", "fp32", "--batch-size", "2"]
    assert cli.main(["run", *given, *QUICK, "--json", str(path)]) == cli.DONE
    assert "graph fp32, batch 2" in capsys.readouterr().out.splitlines()[0]
    result = load(path)
    assert (result.examples, len(result.warmup_seconds)) == (6, 1)
    assert "data_location" in result.warnings[0] and "synthetic" in result.warnings[0]


def test_a_translated_command_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, path = tiny.classifier(tmp_path / "graph.pb"), tmp_path / "result.json"
    line = f"python launch_benchmark.py -m {graph} -p fp32 -b 2 -- steps=3 warmup_steps=1 | tee log"
    assert cli.main(["translate", line, "--run", "--json", str(path)]) == cli.DONE
    python, shell, *rest = capsys.readouterr().out.splitlines()
    assert python.startswith("benchmark(") and shell.startswith("modelzoo-runner benchmark ")
    assert any("graph fp32, batch 2" in line for line in rest)
    result = load(path)
    assert (len(result.step_seconds), len(result.warmup_seconds)) == (3, 1)
    assert result.warnings[0].startswith("`tee log`")


def test_recommended_runs_in_one_table(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _ = tiny.coco(tmp_path / "coco")
    path = tmp_path / "results.json"
    asked = ["--best-known", "ssd-mobilenet", "--precision", "fp32", "--weights", str(detector)]
    assert cli.main(["run", *asked, "--coco", str(images), *QUICK, "--json", str(path)]) == cli.DONE
    header, speed, score = capsys.readouterr().out.splitlines()
    assert header.startswith("run")
    assert speed.split()[:4] == ["benchmark", "ssd-mobilenet", "fp32", "1"]
    assert score.split()[:4] == ["accuracy", "ssd-mobilenet", "fp32", "1"]
    assert "AP 1.0000" in score and score.endswith("of 4 examples")
    timed, scored = SweepResult.load(path)
    assert not isinstance(timed, Failure) and not isinstance(scored, Failure)
    assert len(timed.step_seconds) == 3 and timed.plan.data_location == str(images)
    assert any("data_location" in each for each in timed.warnings)
    assert scored.plan.kind == "accuracy"


def test_a_run_that_fails_is_in_the_table_and_the_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["--best-known", "rfcn", "--precision", "fp32", "--weights", str(tmp_path / "none.pb")]
    assert cli.main(["run", *asked, "--socket-id", "-1"]) == cli.FAILURE
    said = capsys.readouterr()
    assert f"GraphError: {tmp_path}/none.pb" in said.out.splitlines()[1]
    assert said.err.splitlines()[-1].startswith("RunnerError: 1 of 1 ")
