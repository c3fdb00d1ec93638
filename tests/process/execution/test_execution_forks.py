"""Workers by fork of a process that has loaded TensorFlow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import BenchmarkResult, WorkerError, benchmark, release
from modelzoo_runner.execution import forks, launch, trust

SECONDS = 20.0


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "graph.pb")


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    release()
    yield
    release()


def in_a_child(graph: Path, **given: Any) -> BenchmarkResult:
    return benchmark(graph, steps=3, warmup_steps=1, isolation="child", **given)


def servers() -> list[int]:
    return [each.process.pid for each in forks._servers.values()]


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, "it didn't happen"
        time.sleep(0.01)


def is_there(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_second_child_has_tensorflow_already_and_threads_of_its_own(graph: Path) -> None:
    first = in_a_child(graph, num_intra_threads=1, num_inter_threads=1)
    (server,) = servers()
    second = in_a_child(graph, num_intra_threads=2, num_inter_threads=1)
    assert servers() == [server]
    assert first.observed.setup_seconds["import"] > 0.2
    assert second.observed.setup_seconds["import"] < 0.1
    assert second.observed.threads["intra_found"] == 2
    assert first.observed.threads["intra_found"] == 1
    assert second.observed.host == "child"


def test_a_graph_that_is_asked_for_again_is_there_in_the_next_child(tmp_path: Path) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb", classes=9)

    def threads() -> int:
        (server,) = servers()
        return len(list(Path(f"/proc/{server}/task").iterdir()))

    first = in_a_child(graph, num_intra_threads=1)
    before = threads()
    second, third = (in_a_child(graph, num_intra_threads=1) for _ in range(2))
    assert threads() == before  # others wouldn't be in a fork
    assert {"read", "prepare"} <= first.observed.setup_seconds.keys()
    for each in (second, third):
        assert not {"read", "prepare"} & each.observed.setup_seconds.keys()
        assert each.observed.graph == first.observed.graph
    other = in_a_child(graph, num_intra_threads=1, optimize=False)
    assert "read" in other.observed.setup_seconds
    assert other.observed.graph["changes"] != first.observed.graph["changes"]
    assert threads() == before


def test_a_graph_of_which_no_run_has_ended_well_is_not_opened_where_others_are_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "known", lambda plan: False)
    graph = tiny.classifier(tmp_path / "graph.pb", classes=11)
    for _ in range(3):
        assert "read" in in_a_child(graph).observed.setup_seconds


def test_a_graph_that_is_another_one_now_is_read(graph: Path, tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.read_bytes())
    for _ in range(3):
        held = in_a_child(path)
    assert "read" not in held.observed.setup_seconds
    tiny.classifier(path, classes=7)
    changed = in_a_child(path)
    assert "read" in changed.observed.setup_seconds
    assert changed.plan.graph.sha256 != held.plan.graph.sha256


def test_variables_that_are_read_at_first_have_a_process_of_their_own(graph: Path) -> None:
    in_a_child(graph)
    off = in_a_child(graph, env={"TF_ENABLE_ONEDNN_OPTS": "0"})
    assert off.observed.machine["software"]["onednn"]["enabled"] is False
    assert len(servers()) == 2
    # A third one takes the place of the first.
    before = servers()
    in_a_child(graph, env={"TF_NUM_INTEROP_THREADS": "1"})
    assert len(servers()) == forks.MOST_SERVERS and before[0] not in servers()
    wait_for(lambda: not is_there(before[0]))


def test_a_fork_is_in_the_folder_and_has_the_limits_that_the_caller_has_now(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_child(graph)
    before = servers()
    monkeypatch.chdir(tmp_path)
    in_a_child(graph)
    assert len(servers()) == 2 and servers()[:1] == before


def test_comparisons_start_each_process_anew(graph: Path) -> None:
    found = benchmark(graph, steps=3, warmup_steps=1, processes=2)
    assert servers() == []
    assert all(each.setup_seconds["import"] > 0.2 for each in found.processes)
    with launch.anew():
        in_a_child(graph)
    assert servers() == []


def test_release_ends_it(graph: Path) -> None:
    in_a_child(graph)
    (server,) = servers()
    release()
    assert servers() == []
    wait_for(lambda: not is_there(server))


def test_one_that_was_killed_is_replaced(graph: Path) -> None:
    in_a_child(graph)
    (server,) = servers()
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not is_there(server))
    assert len(in_a_child(graph).step_seconds) == 3
    assert servers() != [server]


def test_a_fork_that_dies_is_an_error_that_says_how(graph: Path, tmp_path: Path) -> None:
    plan = in_a_child(graph).plan
    with launch.started(plan, "serve") as child:
        wait_for(lambda: child.process.pid not in servers())
        child.process.kill()
        assert child.process.wait() == -signal.SIGKILL
        error = child.death()
    assert isinstance(error, WorkerError)
    assert "was killed by SIGKILL" in str(error) and "GiB" in str(error)


def test_it_ends_with_the_process_that_started_it_and_so_do_its_forks(graph: Path) -> None:
    code = f"""
    import os, sys
    from modelzoo_runner import benchmark
    from modelzoo_runner.execution import forks, launch
    plan = benchmark(sys.argv[1], steps=1, warmup_steps=1, isolation="child").plan
    with launch.started(plan, "serve") as child:
        server = child.process.server
        while child.process.pid == server.process.pid:
            pass
        print(server.process.pid, child.process.pid, flush=True)
        os.kill(os.getpid(), {signal.SIGKILL:d})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(graph)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    for process in map(int, done.stdout.split()):
        wait_for(lambda process=process: not is_there(process))  # type: ignore[misc]


def test_it_ends_when_nobody_asks_for_a_while() -> None:
    code = """
    import sys
    from modelzoo_runner.execution import fork_server, protocol
    protocol.IDLE_SECONDS = 0.1
    fork_server.main()
    """
    import socket

    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there, tempfile.TemporaryFile() as said:
        done = subprocess.run(
            [sys.executable, "-P", "-c", textwrap.dedent(code), str(there.fileno())],
            pass_fds=(there.fileno(),),
            stderr=said,
            timeout=60,
            check=False,
        )
        said.seek(0)
        assert done.returncode == 0, said.read().decode()
