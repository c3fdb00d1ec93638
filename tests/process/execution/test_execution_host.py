"""Where a run happens, in processes of their own.

With a runtime that is a fake, but for what only TensorFlow can show.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import fake_backend
import pytest
import tiny

from modelzoo_runner import WorkerError, benchmark, load
from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine import memory

CPUS = len(os.sched_getaffinity(0))
needs_two_cpus = pytest.mark.skipif(CPUS < 2, reason="this process may use one CPU only")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "it's a; graph.pb")


@pytest.fixture(scope="module")
def busy_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("busy") / "busy.pb", work=40)


@pytest.fixture
def fake(fakes: None, tmp_path: Path) -> Path:
    """A model whose steps take a millisecond, of a runtime that starts in no time."""
    return fake_backend.write(tmp_path / "model.fake")


FAKES = f"""
sys.path.insert(0, {str(Path(fake_backend.__file__).parent)!r})
from modelzoo_runner.backends import base
base.BACKENDS["fake"] = "fake_backend"
from modelzoo_runner.execution import trust
trust.known = lambda plan: True
"""


def in_fresh_process(code: str, *arguments: object) -> Any:
    """What `code` leaves in `answer`, run by an interpreter that has loaded nothing yet."""
    start = f"import json, os, sys\nfrom modelzoo_runner import *\nGRAPH = sys.argv[1]\n{FAKES}"
    done = subprocess.run(
        [sys.executable, "-c", f"{start}{code}\nprint(json.dumps(answer))", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_runs_are_here_until_their_threads_or_variables_are_others(graph: Path) -> None:
    code = """
runs = [benchmark(GRAPH, steps=3, num_intra_threads=n, num_inter_threads=1) for n in (1, 1, 2)]
off = {"TF_ENABLE_ONEDNN_OPTS": "0"}
runs += [benchmark(GRAPH, steps=3, num_intra_threads=1, num_inter_threads=1, env=off)]
answer = [
    (run.observed.host, run.observed.host_reason, run.observed.threads["intra_found"],
     run.observed.machine["software"]["onednn"]["enabled"])
    for run in runs
] + [os.environ.get("TF_ENABLE_ONEDNN_OPTS")]
"""
    first, second, third, other, after = in_fresh_process(code, graph)
    assert first[0] == second[0] == "process" and first[2] == second[2] == 1
    assert third[0] == "child" and third[2] == 2
    assert "made here with 1 inter-op and 1 intra-op threads, not with 1 and 2" in third[1]
    assert other[0] == "child" and "TF_ENABLE_ONEDNN_OPTS" in other[1] and other[3] is False
    assert after == os.environ["TF_ENABLE_ONEDNN_OPTS"]


def test_pools_that_somebody_else_made_are_not_trusted(graph: Path) -> None:
    code = """
import tensorflow as tf
tf.constant(1) + 1
run = benchmark(GRAPH, steps=3)
answer = [run.observed.host, run.observed.host_reason]
"""
    host, reason = in_fresh_process(code, graph)
    assert host == "child" and "made here before, by other code" in reason


@pytest.mark.parametrize("before", ["benchmark(GRAPH, steps=3)"])
def test_a_process_that_was_forked_does_not_wait_for_threads_it_lost(
    graph: Path, tmp_path: Path, before: str
) -> None:
    code = f"""
import tensorflow as tf
{before}
if os.fork() == 0:
    run = benchmark(GRAPH, steps=3)
    run.save(sys.argv[2])
    os._exit(0)
_, status = os.wait()
answer = status
"""
    saved = tmp_path / "result.json"
    assert in_fresh_process(code, graph, saved) == 0
    observed = load(saved).observed
    assert observed.host == "child"
    assert observed.host_reason == (
        "this process was forked from one that had TensorFlow's threads, and has none"
    )


def test_runs_in_threads_are_made_one_after_the_other_or_refused(fake: Path) -> None:
    code = """
import threading

def go():
    try:
        said.append(benchmark(GRAPH, steps=3, min_seconds=1).observed.host)
    except BindingError as error:
        said.append(str(error))

said = []
threads = [threading.Thread(target=go) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
answer = said
"""
    said = in_fresh_process(code, fake)
    assert said.count("process") == 1
    assert {each for each in said if each != "process"} == {
        "another run in this process is under way, and two at once would move and disturb each "
        "other: run them one after the other"
    }


def test_many_runs_also_in_an_event_loop_leave_nothing_behind(graph: Path) -> None:
    code = """
import asyncio

def held():
    affinity = sorted(os.sched_getaffinity(0))
    return [len(os.listdir(f"/proc/self/{what}")) for what in ("fd", "task")] + [affinity]

async def run():
    return benchmark(GRAPH, steps=3).observed.host

hosts = [asyncio.run(run()) for _ in range(3)]
before = held()
hosts += [benchmark(GRAPH, steps=3).observed.host for _ in range(5)]
answer = [hosts, before, held()]
"""
    hosts, before, after = in_fresh_process(code, graph)
    assert set(hosts) == {"process"}
    assert before == after


def test_isolation_none_refuses_instead_of_pretending(fake: Path) -> None:
    code = """
benchmark(GRAPH, steps=3, num_intra_threads=1)
try:
    benchmark(GRAPH, steps=3, num_intra_threads=2, isolation="none")
except BindingError as error:
    answer = str(error)
"""
    said = in_fresh_process(code, fake)
    assert said.startswith('isolation="none": this process can\'t honor the plan: the fake has')
    assert 'Use isolation="auto"' in said


def test_isolation_child(fake: Path) -> None:
    result = benchmark(fake, steps=3, isolation="child")
    assert result.observed.host == "child"
    assert result.observed.host_reason == 'isolation="child"'
    assert len(result.step_seconds) == 3


@needs_two_cpus
@pytest.mark.parametrize("threads", [2])
def test_a_second_run_with_other_threads_really_uses_them(busy_graph: Path, threads: int) -> None:
    """CPU time over wall time of the measured part, in a child after a run with other threads."""
    code = f"""
benchmark(GRAPH, steps=3, num_intra_threads={3 - threads}, num_inter_threads=1)
counted = []
for attempt in range(2):
    run = benchmark(GRAPH, steps=25, num_intra_threads={threads}, num_inter_threads=1)
    counted.append(run.observed.interference)
    # One attempt is enough, unless others took the CPUs.
    if counted[-1]["cpu_seconds"] > 0.8 * {threads} * counted[-1]["wall_seconds"]:
        break
answer = [run.observed.host, run.observed.threads["intra_found"], counted]
"""
    host, found, counted = in_fresh_process(code, busy_graph)
    assert host == "child" and found == threads
    used = [each["cpu_seconds"] / each["wall_seconds"] for each in counted]
    assert max(used) < threads + 0.35, used
    if threads == 2:
        # Others may take CPUs away, never add any: what they took couldn't be had.
        taken = [(each["others_seconds"] or 0) + (each["steal_seconds"] or 0) for each in counted]
        to_be_had = [
            2 - each / run["wall_seconds"] for each, run in zip(taken, counted, strict=True)
        ]
        assert max(a / b for a, b in zip(used, to_be_had, strict=True)) > 0.675, (used, to_be_had)


def test_an_error_of_the_child_is_raised_here_as_the_same_class(
    fakes: None, tmp_path: Path
) -> None:
    model = fake_backend.write(tmp_path / "fixed.fake", batch=2)
    with pytest.raises(RequestError, match="batch size of 2"):
        benchmark(model, batch_size=3, steps=3, isolation="child")


def test_a_timeout_ends_the_child_and_says_so(fake: Path) -> None:
    start = time.monotonic()
    with pytest.raises(WorkerError, match=r"timeout=2\.0: the run had not ended by then"):
        benchmark(fake, steps=10**9, timeout=2)
    assert time.monotonic() - start < 60


def child_of(parent: int) -> int:
    """The process id of the worker that `parent` has started, once there is one."""
    for _ in range(600):
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        if text.split():
            return int(text.split()[0])
        time.sleep(0.1)
    raise AssertionError("no child was started")


def test_a_child_that_is_killed_ends_the_run_with_an_error_and_not_with_a_hang(
    fake: Path,
) -> None:
    code = """
import threading, time, signal
from pathlib import Path
def kill():
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while not children.read_text().split():
        time.sleep(0.05)
    time.sleep(1)
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
try:
    benchmark(GRAPH, steps=10**9, isolation="child", batch_size=4)
except WorkerError as error:
    answer = str(error)
"""
    said = in_fresh_process(code, fake)
    assert "was killed by SIGKILL, as the system does when memory runs out" in said
    assert "batch_size=4: try 2" in said


@pytest.mark.parametrize("isolation", ["none", "child"])
def test_ctrl_c_gives_the_partial_result_and_leaves_everything_as_it_was(
    fake: Path, isolation: str
) -> None:
    code = f"""
import threading, time, signal
from modelzoo_runner.machine import memory
def state():
    policy = memory.policy_of_thread(threading.get_native_id())
    return [sorted(os.sched_getaffinity(0)), dict(os.environ), policy]
def interrupt(what, done, total):
    if what == "steps" and done > 2:
        os.kill(os.getpid(), signal.SIGINT)
before = state()
try:
    benchmark(GRAPH, steps=10**9, isolation="{isolation}", progress=interrupt, num_cores=1,
              env={{"SOME_VARIABLE": "1"}})
except Interrupted as interrupted:
    result = interrupted.result
    answer = [result.interrupted, len(result.step_seconds) > 2, result.warnings[0],
              before == state(), result.observed.host]
"""
    marked, measured, said, restored, host = in_fresh_process(code, fake)
    assert marked and measured and restored
    assert said.startswith("interrupted after") and "partial result" in said
    assert host == ("process" if isolation == "none" else "child")


def test_no_child_is_left_when_its_parent_dies(fake: Path) -> None:
    code = f"import sys\n{FAKES}\nfrom modelzoo_runner import benchmark\n"
    code += "benchmark(sys.argv[1], steps=10**9, isolation='child')"
    parent = subprocess.Popen([sys.executable, "-c", code, str(fake)])
    try:
        child = child_of(parent.pid)
        time.sleep(1)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("the child lives on")


def test_a_run_and_a_failed_run_restore_affinity_environment_and_memory_policy(
    fakes: None, tmp_path: Path
) -> None:
    graph = fake_backend.write(tmp_path / "fixed.fake", batch=2)

    def state() -> tuple[Any, ...]:
        policy = memory.policy_of_thread(threading.get_native_id())
        return os.sched_getaffinity(0), dict(os.environ), policy

    before = state()
    benchmark(graph, batch_size=2, steps=3, num_cores=1, env={"SOME_VARIABLE": "1"})
    assert state() == before
    with pytest.raises(ValueError):
        benchmark(graph, batch_size=3, num_cores=1, env={"SOME_VARIABLE": "1"})
    assert state() == before


def test_binding_errors_are_about_this_machine(fake: Path) -> None:
    with pytest.raises(BindingError, match="socket_id=9"):
        benchmark(fake, socket_id=9)
