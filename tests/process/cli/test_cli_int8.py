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
    assert printed.startswith(f"graph        {out}\nint8         1 of 1 layers, 100.0% of 0.000 G")
    assert "QuantizedMatMulWithBiasAndDequantize    1  100.0%  int8\n" in printed
    assert inspect_graph(out).precision == "int8"
    how = {"weights": out, "batch_size": 1, "warmup_steps": 1, "steps": 2, "allocator": "system"}
    assert benchmark("resnet50", precision="int8", **how).examples == 2  # type: ignore[arg-type]

    report = ["int8-report", str(out), "--fp32", str(graph), "--steps", "2", "--model", "resnet50"]
    assert cli.main([*report, "--data-location", str(shards), "--batch-size", "6"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("agreement    correlation 0.9") or "correlation 1.000" in last
    assert last.endswith(f"with fp32, on images of {shards}")


def test_a_graphs_path_with_made_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb")
    command = ["quantize", str(graph), "--out", str(tmp_path / "int8.pb"), "--synthetic"]
    assert cli.main([*command, "--examples", "3", "--ranges", "entropy", "--no-per-channel"]) == 0
    assert "1 of 1 layers" in capsys.readouterr().out
    kept = [*command[:3], str(tmp_path / "kept.pb"), "--synthetic", "--exclude", "Softmax,MatMul"]
    assert cli.main(kept) == 1
    assert "GraphError: nothing can be int8: it was excluded (1)" in capsys.readouterr().err
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
    assert "GraphError: there is nothing to quantise: the graph has no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "int8.pb"], 2, "DataRequired: data_location: real images are needed: a folder"),
        (["--out", "/nowhere/int8.pb", "--synthetic"], 2,
         "RequestError: out='/nowhere/int8.pb': can't be written: no writable folder /nowhere"),
        (["--out", ".", "--synthetic"], 2,
         "RequestError: out='.': can't be written: it is a folder"),
        (["--out", "int8.pb", "--synthetic", "--exclude", "Conv9"], 2,
         "RequestError: exclude='Conv9': the graph has no node and no operation of this name."),
        (["--out", "int8.pb", "--synthetic", "--ranges", "kl"], 2,
         "RequestError: ranges='kl': should be one of minmax, percentile, entropy"),
    ],
)  # fmt: skip
def test_a_slip_is_told_and_leaves_no_file(
    arguments: list[str],
    code: int,
    message: str,
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["quantize", "resnet50", "--weights", str(graph), *arguments]
    assert cli.main(command) == code
    assert message in capsys.readouterr().err
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
    assert f"RequestError: out={str(out)!r}: can't be written: No space left on device" in said
    assert not list(tmp_path.iterdir())


def test_out_is_needed(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["quantize", str(graph), "--synthetic"])
    assert "the following arguments are required: --out" in capsys.readouterr().err
