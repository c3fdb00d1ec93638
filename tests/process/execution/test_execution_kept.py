"""The child of the last run, for the next one that needs the graph as it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_backend
import pytest
import tiny

from modelzoo_runner import BenchmarkResult, benchmark, release
from modelzoo_runner.errors import WorkerError
from modelzoo_runner.execution import kept, launch


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    release()
    yield
    release()


@pytest.fixture
def fake(fakes: None, tmp_path: Path) -> Path:
    return fake_backend.write(tmp_path / "model.fake")


def run(model: Path, **given: Any) -> BenchmarkResult:
    """A run that can't be in this process."""
    found = benchmark(model, **{"steps": 3, "warmup_steps": 1, "timeout": 60, **given})
    assert found.observed.host == "child"
    return found


def is_new(found: BenchmarkResult) -> bool:
    """Whether the child was started for this run."""
    return "start" in found.observed.setup_seconds


def test_another_run_of_the_graph_is_in_the_same_child(fake: Path) -> None:
    assert is_new(run(fake))
    (only,) = kept._kept
    again = run(fake, steps=5, batch_size=2, seed=3)
    assert not is_new(again) and (again.examples, len(again.step_seconds)) == (10, 5)
    assert [each.child for each in kept._kept] == [only.child]


@pytest.mark.parametrize(
    "changed",
    [
        {"num_intra_threads": 1},
        {"env": {"OMP_NUM_THREADS": "3"}},
        {"isolation": "child"},
        {"optimize": False},
    ],
    ids=str,
)
def test_a_run_that_needs_another_child_has_one(fake: Path, changed: dict[str, Any]) -> None:
    run(fake)
    assert is_new(run(fake, **changed))
    assert len(kept._kept) == 1


def test_what_the_child_was_given_has_to_be_the_same(
    fake: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(fake)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    assert is_new(run(fake))
    monkeypatch.chdir(tmp_path)
    assert is_new(run(fake))
    assert not is_new(run(fake))


def test_whether_this_process_has_loaded_tensorflow_makes_no_difference(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")  # as it is until then
    run(fake)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    assert not is_new(run(fake))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert is_new(run(fake))


def test_a_child_that_has_to_be_new_is_not_kept(fake: Path) -> None:
    assert is_new(run(fake, isolation="child"))
    assert not kept._kept
    run(fake)
    with launch.anew():
        assert is_new(run(fake))


def test_release_ends_it(fake: Path) -> None:
    run(fake)
    (only,) = kept._kept
    release()
    assert only.child.process.poll() is not None and not kept._kept
    assert is_new(run(fake))


def test_one_that_died_is_replaced(fake: Path) -> None:
    run(fake)
    (only,) = kept._kept
    os.kill(only.child.process.pid, signal.SIGKILL)
    while only.child.process.poll() is None:
        time.sleep(0.01)
    assert is_new(run(fake))


def test_one_that_has_failed_is_not_kept(fake: Path) -> None:
    run(fake)
    with pytest.raises(WorkerError, match=r"timeout=0\.2"):
        run(fake, steps=100_000, timeout=0.2)
    assert not kept._kept
    assert is_new(run(fake))


def test_a_fork_of_this_process_leaves_it_alone(fakes: None, tmp_path: Path) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb")
    code = """
import os, sys
from modelzoo_runner import benchmark

def is_new():
    found = benchmark(sys.argv[1], steps=3, warmup_steps=1, timeout=60)
    return "start" in found.observed.setup_seconds

print(is_new(), is_new(), flush=True)
if os.fork() == 0:
    sys.exit()
os.wait()
print(is_new(), flush=True)
if os.fork() == 0:
    print(is_new(), flush=True)
    sys.exit()
os.wait()
print(is_new())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, graph], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "False", "False", "True", "False"], done.stderr
