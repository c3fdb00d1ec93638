"""Every example runs, and none is without a test."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_three_lines(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "three_lines.ipynb", as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = notebook.cells[1].outputs[0]["data"]
    assert "examples/s" in shown["text/html"] and "examples/s" in shown["text/plain"]
    assert notebook.cells[-1].outputs[0]["data"]["text/plain"] == "True"
    assert "'child'" in notebook.cells[5].outputs[0]["data"]["text/plain"]


def test_threads(capsys: pytest.CaptureFixture[str]) -> None:
    import threads

    found = threads.main(steps=2)
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
