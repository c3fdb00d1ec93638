"""The command, in processes of its own where exit codes and signals matter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

import modelzoo_runner
from modelzoo_runner import load
from modelzoo_runner.cli import main as cli

HERE = ["--num-inter-threads", "1", "--warmup-steps", "1", "--steps", "3"]
pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "graph.pb")


def test_benchmark_prints_and_saves(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    assert cli.main(["benchmark", str(graph), *HERE, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "graph fp32" in out.splitlines()[0]
    assert str(load(path)) == out.rstrip("\n")
    assert cli.main(["show", str(path)]) == 0
    assert capsys.readouterr().out == out
    assert cli.main(["compare", str(path), str(path)]) == 0
    assert "throughput" in capsys.readouterr().out


def test_accuracy_and_predictions(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    command = ["accuracy", "resnet50", "--weights", str(model), "--data-location", str(shards)]
    rows = tmp_path / "rows.csv"
    assert cli.main([*command, "--num-inter-threads", "1", "--predictions", str(rows)]) == 0
    assert "examples   6, hits: top1" in capsys.readouterr().out
    assert len(rows.read_text().splitlines()) == 7
    assert cli.main([*command, "--predictions", str(tmp_path)]) == 2
    assert "can't be written: it is a folder" in capsys.readouterr().err


def test_a_sweep_prints_one_table_and_fails_if_a_run_did(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, saved = tmp_path / "runs.toml", tmp_path / "sweep.json"
    quick = 'isolation = "auto"\nnum_inter_threads = 1\nsteps = 3\nwarmup_steps = 1\n'
    path.write_text(f'[grid]\nmodel = "{graph}"\nbatch_size = [1, 2]\n{quick}')
    command = ["sweep", str(path), "--json", str(saved), "--checkpoint", str(tmp_path / "kept")]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("run        model  precision  batch") and len(out.splitlines()) == 3
    assert cli.main(["show", str(saved)]) == 0
    assert capsys.readouterr().out == out
    path.write_text('[[runs]]\nmodel = "no.pb"\n')
    assert cli.main(["sweep", str(path)]) == 1
    said = capsys.readouterr()
    assert "failed" in said.out and said.err == "RunnerError: 1 of 1 runs failed\n"


def test_an_accuracy_run_keeps_its_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    command = ["accuracy", "resnet50", "--weights", str(model), "--data-location", str(shards)]
    command += ["--num-inter-threads", "1", "--batch-size", "2"]
    assert cli.main([*command, "--checkpoint", str(tmp_path / "kept")]) == 0
    assert "in 3 parts" in capsys.readouterr().out
    assert cli.main([*command, "--checkpoint", str(shards)]) == 2
    assert "is no checkpoint, it holds 'validation-00000" in capsys.readouterr().err
    assert cli.main([*command, "--client", "2"]) == 2
    assert "client='2': no Dask scheduler answers there" in capsys.readouterr().err


def test_inspect(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(graph)]) == 0
    assert "input:0" in capsys.readouterr().out


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str], samples: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((samples / "imagenet" / "images").iterdir())[:5]:
        (images / path.name).write_bytes(path.read_bytes())
    labels = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    out = tmp_path / "shards"
    assert cli.main(["convert", "imagenet", str(images), str(labels), str(out)]) == 0
    assert capsys.readouterr().out.startswith("5 images of 5 classes")
    assert (out / "validation-00000-of-00001").exists()


def test_a_file_that_is_no_graph(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["benchmark", "no.pb"], ["inspect", "no.pb"]):
        assert cli.main(arguments) == cli.FAILURE
        assert capsys.readouterr().err.startswith("GraphError: ")


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_interrupted_saves_the_partial_result_and_exits_130(tmp_path: Path, sent: int) -> None:
    graph = tiny.classifier(tmp_path / "busy.pb", work=40)
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "modelzoo_runner", "benchmark", str(graph)]
    process = subprocess.Popen(
        [*command, "--steps=1000000", "--warmup-steps=0", "--isolation=none", f"--json={path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Steps are under way when the process has burnt some seconds of CPU after it loaded TensorFlow.
    while not _threads(process.pid) >= {"tf_Compute"}:
        time.sleep(0.2)
        assert process.poll() is None
    time.sleep(8)
    process.send_signal(sent)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    result = load(path)
    assert result.interrupted and len(result.step_seconds) > 0
    assert "partial result" in out


def _threads(pid: int) -> set[str]:
    tasks = Path(f"/proc/{pid}/task")
    return {(task / "comm").read_text().strip() for task in tasks.iterdir()}


@pytest.mark.parametrize("seconds", [0, 0.1, 0.3, 1, 2])
def test_interrupted_while_things_are_loaded_is_130_too(tmp_path: Path, seconds: float) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb", work=40)
    command = [sys.executable, "-m", "modelzoo_runner", "benchmark", str(graph)]
    process = subprocess.Popen(
        [*command, "--steps", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # The command has begun when it handles SIGTERM.
    while not _caught(process.pid) & 1 << signal.SIGTERM - 1:
        time.sleep(0.01)
        assert process.poll() is None
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in said


def _caught(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [each for each in status.splitlines() if each.startswith("SigCgt:")]
    return int(line.split()[1], 16)


def test_python_dash_m() -> None:
    command = [sys.executable, "-m", "modelzoo_runner", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == modelzoo_runner.__version__


def test_a_file_from_a_pipe(graph: Path) -> None:
    command = [sys.executable, "-m", "modelzoo_runner", "benchmark", str(graph), *HERE]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["step_seconds"]) == 3
    assert "throughput" in done.stderr
