"""ab_test() and processes= with real graphs in real child processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelzoo_runner import ABResult, WorkerError, ab_test, benchmark, compare, load
from modelzoo_runner.errors import GraphError, RunnerError

SMALL = {"model": "mobilenet_v1", "weights": "random", "batch_size": 1, "warmup_steps": 2}


def test_a_larger_batch_is_measured_against_a_smaller_one(tmp_path: Path) -> None:
    found = ab_test({}, {"batch_size": 4, "name": "four"}, rounds=2, **SMALL)
    assert [each.name for each in found.sides] == ["a", "four"]
    assert len(found.rounds) == 2 and found.ratio > 0
    assert found.differences() == {"batch_size": (1, 4)}
    for each in found.rounds:
        assert len(each.turns) > 3
        for turn in each.turns:
            assert sorted(turn.order) == [0, 1] and all(turn.step_seconds)
    assert found.sides[0].observed.host == "child"
    assert found.sides[0].observed.machine["software"]["tensorflow"]["version"]
    assert ABResult.load(found.save(tmp_path / "ab.json")) == found


def test_another_interpreter_runs_a_side(tmp_path: Path) -> None:
    """An environment of its own that finds this one's packages, as another TensorFlow would be."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True
    )
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "here.pth").write_text("\n".join(each for each in sys.path if each))
    found = ab_test({}, {"python": str(python)}, rounds=2, **SMALL)
    assert found.differences() == {"python": (None, str(python))}


def test_an_interpreter_without_the_library_is_named(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True
    )
    python = str(tmp_path / "venv" / "bin" / "python")
    with pytest.raises(WorkerError, match=r"side b.*\n?.*No module named"):
        ab_test({}, {"python": python}, rounds=2, **SMALL)


def test_a_graph_that_cannot_be_run_is_named_as_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"nonsense")
    with pytest.raises(RunnerError) as caught:
        ab_test({}, {"model": str(path), "weights": "pretrained"}, rounds=2, **SMALL)
    assert isinstance(caught.value, GraphError)


def test_processes_are_kept_and_compared(tmp_path: Path) -> None:
    found = benchmark(**SMALL, steps=3, processes=2)
    assert len(found.processes) == 2 and len(found.step_seconds) == 6
    assert found.plan.processes == 2 and found.throughput_interval is not None
    starts = [each.setup_seconds["import"] for each in found.processes]
    assert len(set(starts)) == 2
    again = load(found.save(tmp_path / "a.json"))
    assert again == found
    assert "2 processes" in str(found)
    assert compare(found, again).speed.interval is not None
