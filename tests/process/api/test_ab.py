"""ab_test() and processes= with real graphs in real child processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import ABResult, WorkerError, ab_test, benchmark, compare, load
from modelzoo_runner.errors import GraphError, RunnerError
from modelzoo_runner.execution import in_turns


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    graph = tiny.classifier(tmp_path_factory.mktemp("graph") / "graph.pb", work=1)
    return {"model": graph, "batch_size": 1, "warmup_steps": 2}


def empty_environment(folder: Path) -> Path:
    """A virtual environment with Python and no packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def test_a_larger_batch_in_another_environment_is_measured_against_a_smaller_one_here(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment finds this one's packages, as one with another TensorFlow would its own."""
    monkeypatch.setattr(in_turns, "ROUND_SECONDS", 1.0)
    python = empty_environment(tmp_path / "venv")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "here.pth").write_text("\n".join(each for each in sys.path if each))
    other = {"python": str(python), "batch_size": 4, "name": "four"}
    found = ab_test({}, other, rounds=2, **small)
    assert [each.name for each in found.sides] == ["a", "four"]
    assert len(found.rounds) == 2 and found.ratio > 0
    assert found.differences() == {"batch_size": (1, 4), "python": (None, str(python))}
    for each in found.rounds:
        assert len(each.turns) > 3
        for turn in each.turns:
            assert sorted(turn.order) == [0, 1] and all(turn.step_seconds)
    assert found.sides[0].observed.host == "child"
    assert found.sides[0].observed.machine["software"]["tensorflow"]["version"]
    assert ABResult.load(found.save(tmp_path / "ab.json")) == found


def test_an_interpreter_without_the_library_is_named(small: dict[str, Any], tmp_path: Path) -> None:
    python = str(empty_environment(tmp_path / "venv"))
    with pytest.raises(WorkerError, match=r"side b.*\n?.*No module named"):
        ab_test({}, {"python": python}, rounds=2, **small)


def test_a_graph_that_cannot_be_run_is_named_as_elsewhere(
    small: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"nonsense")
    with pytest.raises(RunnerError) as caught:
        ab_test({}, {"model": str(path)}, rounds=2, **small)
    assert isinstance(caught.value, GraphError)


def test_processes_are_kept_and_compared(small: dict[str, Any], tmp_path: Path) -> None:
    found = benchmark(**small, steps=3, processes=2)
    assert len(found.processes) == 2 and len(found.step_seconds) == 6
    assert found.plan.processes == 2 and found.throughput_interval is not None
    starts = [each.setup_seconds["import"] for each in found.processes]
    assert len(set(starts)) == 2
    again = load(found.save(tmp_path / "a.json"))
    assert again == found
    assert "2 processes" in str(found)
    assert compare(found, again).speed.interval is not None
