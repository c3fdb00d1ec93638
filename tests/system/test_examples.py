"""Every example runs, and none is without a test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


Shown = list[dict[str, Any]]
"""What the last expression of each code cell is shown as, by MIME type."""


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Shown]:
    """Runs a notebook in a kernel, in an empty folder; nothing may be said on standard error."""

    def run(name: str) -> Shown:
        # As for a user: with it a kernel leaves out what is written to the descriptor.
        monkeypatch.delenv("PYTEST_CURRENT_TEST")
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        cells = [each for each in notebook.cells if each.cell_type == "code"]
        assert all(each.outputs == [] and each.execution_count is None for each in cells)
        NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
        for each in cells:
            said = [out for out in each.outputs if out.get("name") == "stderr"]
            assert said == [], each.source
        return [
            next((out.data for out in each.outputs if out.output_type == "execute_result"), {})
            for each in cells
        ]

    return run


def test_benchmark(shown: Callable[[str], Shown]) -> None:
    first, steps, plan, machine, models, host, comparison, sweep, same = shown("benchmark")
    assert "examples/s" in first["text/html"] and "examples/s" in first["text/plain"]
    assert "ms per step" in steps["image/svg+xml"] and "batch size" in sweep["image/svg+xml"]
    assert "decided by" in plan["text/html"] and "<svg" in machine["text/html"]
    assert "resnet101" in models["text/html"] and "inconclusive" in comparison["text/html"]
    assert "'child'" in host["text/plain"] and same["text/plain"] == "True"


def test_accuracy_and_doctor(samples: Path, tmp_path: Path, shown: Callable[[str], Shown]) -> None:
    graphs, coco = samples / "graphs", samples / "coco" / "val2017_mini"
    for name, target in {
        "mobilenet_v1_1.0_224_frozen.pb": graphs / "mobilenet_v1_1.0_224_frozen.pb",
        "ssdlite_mobilenet_v2_coco.pb": graphs
        / "ssdlite_mobilenet_v2_coco_frozen_inference_graph.pb",
        "images": samples / "imagenet" / "images",
        "synsets.txt": samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt",
        "coco": coco / "images",
        "instances.json": coco / "instances_val2017_mini.json",
    }.items():
        (tmp_path / name).symlink_to(target)
    _, good, bad, score, classes, detected, curves, drawn = shown("accuracy_and_doctor")
    assert "nothing is wrong" in good["text/html"] and "label_offset" in bad["text/html"]
    assert "top1 0.9" in score["text/html"] and "top5" in classes["image/svg+xml"]
    assert "AP 0." in detected["text/html"] and "recall" in curves["image/svg+xml"]
    assert drawn["image/png"]


def test_int8(shown: Callable[[str], Shown]) -> None:
    _, card, layers, report, found, rounds = shown("int8")
    assert "parameters" in card["text/html"] and "int8=28" in layers["text/plain"]
    assert "28 of 28 layers" in report["text/html"] and "int8 against fp32" in found["text/html"]
    assert "round" in rounds["image/svg+xml"]


def test_runtimes(shown: Callable[[str], Shown]) -> None:
    table, rounds, frame = shown("runtimes")
    assert "onnxruntime" in table["text/html"] and "round" in rounds["image/svg+xml"]
    assert "openvino" in frame["text/plain"]


def test_history_in_ci(tmp_path: Path, shown: Callable[[str], Shown]) -> None:
    history, trend, _, page = shown("history_in_ci")
    assert "commit9" in history["text/html"] and "examples/s" in trend["image/svg+xml"]
    assert "report.html" in page["text/plain"] and (tmp_path / "report.html").exists()


def test_threads(capsys: pytest.CaptureFixture[str]) -> None:
    import threads

    found = threads.main("mobilenet_v1", steps=2)
    assert all(speed > 0 for speed in found.values())
    assert "1 threads:" in capsys.readouterr().out


def test_score_a_folder(samples: Path) -> None:
    import score_a_folder

    result = score_a_folder.main(
        str(samples / "graphs" / "mobilenet_v1_1.0_224_frozen.pb"),
        str(samples / "imagenet" / "images"),
        str(samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"),
    )
    assert result.examples == 500 and result.scores["top1"] > 0.85


def test_no_example_is_without_a_test() -> None:
    examples = {path.stem for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    tested = {name.removeprefix("test_") for name in vars(sys.modules[__name__])}
    assert examples <= tested
