"""Children that measure when they are asked to, with a runtime that is a fake."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fake_backend import plan_for

from modelzoo_runner.errors import RequestError, WorkerError
from modelzoo_runner.execution import serve

pytestmark = pytest.mark.usefixtures("fakes")


def test_two_are_measured_in_turn(tmp_path: Path) -> None:
    slow = plan_for(tmp_path / "slow.fake", seconds=0.01)
    quick = plan_for(tmp_path / "a.fake")
    with serve.opened([serve.Program(quick), serve.Program(slow)], [1, 0]) as (one, other):
        assert one.plan.graph.outputs == {"scores": "scores:0"}
        assert one.observed.threads["intra_threads"] == 1
        for _ in range(2):
            assert len(one.measure(steps=5).step_seconds) == 5
            slice_ = other.measure(seconds=0.1)
            assert sum(slice_.step_seconds) + sum(slice_.data_seconds) >= 0.1
            assert min(slice_.step_seconds) >= 0.01
        children = (one.child.process, other.child.process)
    assert all(process.poll() is not None for process in children)


def test_another_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/this/interpreter")
    plan = plan_for(tmp_path / "a.fake")
    # Its modules are its own, or those that the plan says.
    path = {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    plan = replace(plan, placement=replace(plan.placement, env=path))
    with serve.opened([serve.Program(plan, python=sys.executable)]) as (server,):
        assert len(server.measure(steps=2).step_seconds) == 2
    with (
        pytest.raises(RequestError, match=r"python='/no/python': can't be run"),
        serve.opened([serve.Program(plan_for(tmp_path / "a.fake"), python="/no/python")]),
    ):
        pass


def test_a_wrong_request_and_an_error_of_the_child(tmp_path: Path) -> None:
    with serve.opened([serve.Program(plan_for(tmp_path / "a.fake"))]) as (server,):
        with pytest.raises(ValueError, match="either seconds= or steps="):
            server.measure()
        with pytest.raises(ValueError, match="either seconds= or steps="):
            server.measure(seconds=1, steps=1)
    fixed = plan_for(tmp_path / "fixed.fake", batch=3)
    with pytest.raises(RequestError, match="batch size of 3"), serve.opened([serve.Program(fixed)]):
        pass


def test_a_child_that_is_killed(tmp_path: Path) -> None:
    with serve.opened([serve.Program(plan_for(tmp_path / "a.fake"))]) as (server,):
        kill = threading.Timer(0.3, server.child.process.send_signal, [signal.SIGKILL])
        kill.start()
        with pytest.raises(WorkerError, match="was killed by SIGKILL"):
            server.measure(seconds=60)
        kill.join()


def test_ctrl_c_ends_the_child(tmp_path: Path) -> None:
    with serve.opened([serve.Program(plan_for(tmp_path / "a.fake"))]) as (server,):
        interrupt = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            server.measure(seconds=60)
        interrupt.join()
        process = server.child.process
    assert process.poll() is not None
