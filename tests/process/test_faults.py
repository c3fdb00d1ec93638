"""Signals, a full disk and a memory limit at each stage of the command: nothing done is lost.

The table of docs/security.md says what these hold. `-m slow` has the stages that load TensorFlow.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_backend
import pytest
import tiny

from modelzoo_runner import load

HELPERS = str(Path(fake_backend.__file__).parent)

DRIVER = """
import os, sys
from modelzoo_runner.cli import main, output
told = int(sys.argv.pop(1))
def tell(*said):
    os.write(told, (" ".join(map(str, said)) + "\\n").encode())
output.Output.progress = property(lambda self: tell)
sys.exit(main.main())
"""
"""The command, which tells how far it is on a pipe."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command:
    """The command in a process of its own."""

    def __init__(self, folder: Path, *words: object, limit: tuple[int, int] | None = None) -> None:
        self.progress, told = os.pipe()
        self.rest = b""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((*filter(None, sys.path), HELPERS)),
            "MODELZOO_RUNNER_CACHE": str(folder / "cache"),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", DRIVER, str(told), *map(str, words)],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(told,),
            preexec_fn=None
            if limit is None
            else lambda: resource.setrlimit(limit[0], (limit[1],) * 2),
        )
        os.close(told)

    def reaches(self, stage: str) -> None:
        """Wait until its progress begins with these words."""
        while not any(line.startswith(stage.encode()) for line in self.rest.split(b"\n")):
            more = os.read(self.progress, 1 << 16)
            assert more, (self.rest, self.process.communicate())
            self.rest += more

    def ends(self, number: int | None = None) -> tuple[int, str, str, float]:
        """Its exit code, what it printed, and how long it took to end after the signal."""
        before = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
        said, errors = self.process.communicate(timeout=300)
        os.close(self.progress)
        return self.process.returncode, said, errors, time.monotonic() - before


def left(folder: Path) -> list[str]:
    """What is there besides what a case has put there; caches and their locks aside."""
    return sorted(each.name for each in folder.iterdir() if each.name != "cache")


@pytest.fixture
def steps(tmp_path: Path) -> Callable[..., Command]:
    """A benchmark of a fake without end, which saves `result.json`."""

    def start(warmup: int = 0, isolation: str = "child", **said: Any) -> Command:
        model = fake_backend.write(tmp_path / "model.fake", **said)
        many = ("--steps", 10**9, "--warmup-steps", warmup, "--isolation", isolation)
        return Command(tmp_path, "benchmark", model, *many, "--json", tmp_path / "result.json")

    return start


STAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "open": ("compile 0", {"opens_in": 3600}),
    "warm-up": ("warm-up 0", {"warmup": 10**6}),
    "measure": ("steps", {}),
    "measure, in C code": ("steps", {"sticks": True}),
}


@pytest.mark.parametrize("isolation", ["child", "none"])
@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_at_each_stage_of_a_run(
    tmp_path: Path, steps: Callable[..., Command], stage: str, number: int, isolation: str
) -> None:
    reached, said = STAGES[stage]
    command = steps(isolation=isolation, **said)
    command.reaches(reached)
    time.sleep(0.5)  # progress is told ten times a second, so some steps have been done by then
    code, page, errors, seconds = command.ends(number)
    assert code == 130 and "Traceback" not in errors, errors
    measured = stage.startswith("measure")
    assert left(tmp_path) == ["model.fake", *(["result.json"] if measured else [])]
    if measured:
        assert len(load(tmp_path / "result.json").step_seconds) >= 5 and "interrupted after" in page
    assert seconds < 30  # 2 on a machine that isn't busy


@pytest.mark.parametrize("isolation", ["child", "none"])
def test_three_quick_ones_lose_nothing(
    tmp_path: Path, steps: Callable[..., Command], isolation: str
) -> None:
    command = steps(isolation=isolation)
    command.reaches("steps 1")
    for _ in range(3):
        command.process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    code, _, errors, _ = command.ends()
    assert code == 130 and "Traceback" not in errors, errors
    assert len(load(tmp_path / "result.json").step_seconds) >= 1


@pytest.mark.parametrize("stage", STAGES)
def test_sigkill_leaves_no_child_and_nothing_half_written(
    tmp_path: Path, steps: Callable[..., Command], stage: str
) -> None:
    reached, said = STAGES[stage]
    command = steps(**said)
    command.reaches(reached)
    children = children_of(command.process.pid)
    command.ends(signal.SIGKILL)
    assert left(tmp_path) == ["model.fake"]
    for _ in range(200):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.05)
    raise AssertionError("a child lives on")


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_is_an_error_and_one_that_is_ended_hands_over(
    tmp_path: Path, steps: Callable[..., Command], number: int
) -> None:
    command = steps()
    command.reaches("steps 1")
    (child,) = children_of(command.process.pid)
    os.kill(child, number)
    code, _, errors, _ = command.ends()
    if number == signal.SIGKILL:
        assert code == 1 and errors.startswith("WorkerError: ") and "batch_size=" in errors
        assert left(tmp_path) == ["model.fake"]
    else:
        assert code == 130 and load(tmp_path / "result.json").interrupted


def test_a_result_that_does_not_fit_on_the_disk_is_printed(tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "model.fake")
    small = (resource.RLIMIT_FSIZE, 1000)
    saved = tmp_path / "result.json"
    command = Command(
        tmp_path,
        "benchmark",
        model,
        "--steps",
        50,
        "--isolation",
        "none",
        "--json",
        saved,
        limit=small,
    )
    code, page, errors, _ = command.ends()
    assert code == 1 and "ResultError: " in errors and "Traceback" not in errors, errors
    assert "throughput" in page
    assert left(tmp_path) == ["model.fake"]


def test_a_batch_that_does_not_fit_is_refused_before(tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "model.fake")
    command = Command(
        tmp_path,
        "benchmark",
        model,
        "--batch-size",
        10**8,
        "--isolation",
        "none",
        limit=(resource.RLIMIT_AS, 3 * 2**30),
    )
    code, _, errors, _ = command.ends()
    assert code == 1 and errors.startswith("BindingError: batch_size=100000000: "), errors
    assert "at most batch_size=" in errors


TENSORFLOW = {
    "build": ("build", "benchmark mobilenet_v1 --weights random"),
    "import": ("import 0", "benchmark GRAPH"),
    "quantise": ("build", "quantize mobilenet_v1 --weights random --synthetic --out OUT"),
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "graph.pb")


@pytest.mark.slow
@pytest.mark.parametrize("number", [*ENDS, signal.SIGKILL])
@pytest.mark.parametrize("stage", TENSORFLOW)
def test_a_signal_while_tensorflow_works(
    tmp_path: Path, graph: Path, stage: str, number: int
) -> None:
    reached, words = TENSORFLOW[stage]
    out = tmp_path / "out.pb"
    words = words.replace("GRAPH", str(graph)).replace("OUT", str(out))
    command = Command(tmp_path, *words.split())
    command.reaches(reached)
    time.sleep(1)
    code, _, errors, _ = command.ends(number)
    assert code == (-number if number == signal.SIGKILL else 130), errors
    assert "Traceback" not in errors and not out.exists()
    built = [each for each in (tmp_path / "cache").rglob("*.pb") if each.is_file()]
    assert not [each for each in built if not each.with_name(f"{each.name}.sha256").exists()]
