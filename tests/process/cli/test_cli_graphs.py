"""`modelzoo-runner quantize` and `int8-report`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from modelzoo_runner import benchmark, inspect_graph
from modelzoo_runner.cli import main as cli

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    return tiny.classifier(folder / "graph.pb", output="predict:0", size=(224, 224))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.shards(tmp_path_factory.mktemp("tiny") / "shards", images=6)


def test_a_models_graph_with_its_images(
    graph: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "int8.pb"
    command = ["quantize", "resnet50", "--weights", str(graph), "--out", str(out)]
    assert cli.main([*command, "--data-location", str(shards), "--examples", "6"]) == 0
    printed = capsys.readouterr().out
    assert str(out) in printed and "1 of 1 layers" in printed
    assert "QuantizedMatMulWithBiasAndDequantize" in printed
    assert inspect_graph(out).precision == "int8"
    how = {"weights": out, "batch_size": 1, "warmup_steps": 1, "steps": 2, "allocator": "system"}
    assert benchmark("resnet50", precision="int8", **how).examples == 2  # type: ignore[arg-type]

    report = ["int8-report", str(out), "--fp32", str(graph), "--steps", "2", "--model", "resnet50"]
    assert cli.main([*report, "--data-location", str(shards), "--batch-size", "6"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "correlation 0.9" in last or "correlation 1.000" in last
    assert last.endswith(str(shards))


def test_a_graphs_path_with_made_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb")
    command = ["quantize", str(graph), "--out", str(tmp_path / "int8.pb"), "--synthetic"]
    assert cli.main([*command, "--examples", "3", "--ranges", "entropy", "--no-per-channel"]) == 0
    assert "1 of 1 layers" in capsys.readouterr().out
    kept = [*command[:3], str(tmp_path / "kept.pb"), "--synthetic", "--exclude", "Softmax,MatMul"]
    assert cli.main(kept) == 1
    assert capsys.readouterr().err.startswith("GraphError: ")
    assert not (tmp_path / "kept.pb").exists()


def test_a_detectors_path_with_its_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which has nothing that can be int8, but that is found out last."""
    from modelzoo_runner import models

    outputs = models()["rfcn"].graph["fp32"].outputs
    graph = tiny.detector(tmp_path / "graph.pb", dict(outputs))
    images, _ = tiny.coco(tmp_path / "coco")
    command = ["quantize", str(graph), "--data-location", str(images), "--examples", "2"]
    assert cli.main([*command, "--out", str(tmp_path / "int8.pb")]) == 1
    assert "GraphError: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["--out", "int8.pb"], ["DataRequired: data_location"]),
        (["--out", "/nowhere/int8.pb", "--synthetic"], ["RequestError: out=", "/nowhere"]),
        (["--out", ".", "--synthetic"], ["RequestError: out='.'", "folder"]),
        (["--out", "int8.pb", "--synthetic", "--exclude", "Conv9"], ["exclude='Conv9'"]),
        (["--out", "int8.pb", "--synthetic", "--ranges", "kl"], ["kl", "minmax", "entropy"]),
    ],
)
def test_a_slip_is_told_and_leaves_no_file(
    arguments: list[str],
    keys: list[str],
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["quantize", "resnet50", "--weights", str(graph), *arguments]
    assert cli.main(command) == cli.BAD_REQUEST
    said = capsys.readouterr().err
    for key in keys:
        assert key in said
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_told(
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    out = tmp_path / "int8.pb"
    command = ["quantize", "resnet50", "--weights", str(graph), "--synthetic", "--out", str(out)]
    assert cli.main([*command, "--examples", "1"]) == 2
    said = capsys.readouterr().err
    assert f"RequestError: out={str(out)!r}" in said and "No space left on device" in said
    assert not list(tmp_path.iterdir())
