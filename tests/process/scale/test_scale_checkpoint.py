"""A folder that keeps what is done: of one run only, whole entries only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelzoo_runner.errors import RequestError, ResultError
from modelzoo_runner.scale import checkpoint

OF = {"kind": "test", "graph": {"sha256": "abc", "outputs": ("a", "b")}, "batch_size": 4}


def refused(path: Path, of: dict[str, Any] | None = None) -> str:
    with pytest.raises(RequestError) as raised, checkpoint.opened(path, of or OF):
        pass
    return str(raised.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of `OF` with two entries."""
    with checkpoint.opened(tmp_path / "kept", OF) as kept:
        kept.add("one", {"value": 0.1 + 0.2, "text": "é\n"})
        kept.add("two", {"value": [2]})
    return tmp_path / "kept"


def test_what_is_kept_is_there_for_the_same_run(folder: Path) -> None:
    with checkpoint.opened(str(folder), OF) as kept:
        assert kept.entries() == {
            "one": {"value": 0.1 + 0.2, "text": "é\n"},
            "two": {"value": [2]},
        }
        kept.add("two", {"value": [3]})
        assert kept.entries()["two"] == {"value": [3]}
        assert kept.problems == ()


def test_another_run_is_refused_by_what_differs(folder: Path) -> None:
    other = {**OF, "batch_size": 8, "graph": {"sha256": "def", "outputs": ["a", "b"]}, "new": 1}
    said = refused(folder, other)
    assert said.startswith(f"checkpoint='{folder}': ") and "outputs" not in said
    for differs in ("sha256 is 'abc' there, 'def' here", "size is 4 there, 8", "new is None there"):
        assert differs in said


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-9], lambda text: text.replace("[2]", "[1]"), lambda text: ""]
)
def test_a_damaged_entry_is_named_and_left_out(folder: Path, damage: Any) -> None:
    path = folder / "two.done"
    path.write_text(damage(path.read_text()))
    with checkpoint.opened(folder, OF) as kept:
        assert list(kept.entries()) == ["one"]
        (problem,) = kept.problems
        assert problem.startswith(f"checkpoint: {path}: ") and "checksum" in problem


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file").startswith(f"checkpoint='{tmp_path / 'file'}': is a file")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    said = refused(tmp_path)
    assert said.startswith(f"checkpoint='{tmp_path}': ") and "'photo.jpg'" in said
    assert [each.name for each in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_without_what_it_is_of_it_is_refused(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    said = refused(folder)
    assert said.startswith(f"checkpoint='{folder}': run.json") and "can't be read" in said
    (folder / "run.json").unlink()
    said = refused(folder)
    assert said.startswith(f"checkpoint='{folder}': run.json") and "missing" in said


def test_nobody_else_can_use_it_meanwhile(folder: Path) -> None:
    code = (
        "import sys; from modelzoo_runner.scale import checkpoint\n"
        "try:\n"
        "    with checkpoint.opened(sys.argv[1], {}): pass\n"
        "except Exception as error: print(error)"
    )
    with checkpoint.opened(folder, OF):
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
        )
    assert done.stdout.startswith(f"checkpoint='{folder}': another run is using it")


def test_what_a_killed_process_left_is_cleared_away(folder: Path) -> None:
    for name in (".two.done.abc123", ".run.json.x_y"):
        (folder / name).write_text("half")
    with checkpoint.opened(folder, OF) as kept:
        assert list(kept.entries()) == ["one", "two"]
    assert sorted(each.name for each in folder.iterdir()) == [
        ".lock",
        "one.done",
        "run.json",
        "two.done",
    ]


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultError) as raised:
        refused(tmp_path / "file" / "kept")
    said = str(raised.value)
    assert said.startswith(f"{tmp_path / 'file' / 'kept'}: ") and said.endswith("Not a directory")


def test_what_it_is_of_can_be_read_by_people(folder: Path) -> None:
    assert json.loads((folder / "run.json").read_text())["graph"]["outputs"] == ["a", "b"]
