"""Several instances at once, and the part of the machine a run gets, in real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import control_groups
import fake_backend
import pytest
import tiny

from modelzoo_runner import (
    BenchmarkResult,
    Interrupted,
    WorkerError,
    benchmark,
    compare,
    load,
    machine,
)
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine import allocator, memory, processor

Children = Callable[[], list[int]]
CORES = len(machine().cores())
needs_two_cores = pytest.mark.skipif(CORES < 2, reason="this process may use one core only")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("instances") / "some.pb", work=2)


@pytest.fixture(scope="module")
def busy_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("instances") / "busy.pb", work=40)


@pytest.fixture
def fake(fakes: None, tmp_path: Path) -> Path:
    """A model whose steps take a millisecond, of a runtime that starts in no time."""
    return fake_backend.write(tmp_path / "model.fake")


def state() -> tuple[Any, ...]:
    """What a run changes and has to put back."""
    policy = memory.policy_of_thread(threading.get_native_id())
    return os.sched_getaffinity(0), dict(os.environ), policy


@needs_two_cores
def test_two_instances_on_cores_of_their_own(
    graph: Path, tmp_path: Path, children: Children
) -> None:
    before = state()
    result = benchmark(graph, steps=10, min_seconds=1, instances=2, num_cores=2)
    assert state() == before and not children()
    first, second = result.instances
    assert set(first.cpus).isdisjoint(second.cpus)
    assert result.plan.placement.cpus == tuple(sorted(first.cpus + second.cpus))
    assert [each.threads["intra_found"] for each in result.instances] == [1, 1]
    for each, placement in zip(result.instances, result.plan.instances, strict=True):
        assert each.cpus == placement.cpus
        allowed = {tuple(found["cpus"]) for found in each.threads["found"].values()}
        assert allowed == {(str(each.cpus[0]),)}
    # Each waited for the other: the first to begin was still at it when the last one began.
    assert first.window[0] < second.window[1] and second.window[0] < first.window[1]
    together = len(first.step_seconds) + len(second.step_seconds)
    assert 2 <= len(result.step_seconds) == result.examples <= together
    assert result.throughput == pytest.approx(sum(result.instance_throughputs))
    assert result.observed.host_reason == "each instance is a process of its own"
    assert result.verdict in ("valid", "noisy", "invalid")
    assert all("CPUs " in cause for cause in result.causes)
    assert "in 2 child processes at once, 1 intra-op and 1 inter-op threads each" in str(result)
    assert str(result).splitlines()[5].startswith("verdict ")
    again = load(result.save(tmp_path / "result.json"))
    assert again == result and isinstance(again, BenchmarkResult)
    assert compare(again, result).verdict == "inconclusive"


@needs_two_cores
def test_an_instance_that_is_killed_ends_the_run_with_its_last_words(
    fake: Path, children: Children
) -> None:
    def kill() -> None:
        while len(children()) < 2:
            time.sleep(0.05)
        os.kill(children()[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(WorkerError, match=r"^instance \d of 2, on CPUs \d+, was killed by SIGKILL"):
        benchmark(fake, steps=10**9, instances=2)
    killer.join()


@needs_two_cores
def test_ctrl_c_gives_what_all_had_measured_and_ends_all(fake: Path) -> None:
    def interrupt(what: str, done: int, total: int | None) -> None:
        if done > 20 and not interrupted:
            interrupted.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    interrupted: list[int] = []
    before = state()
    with pytest.raises(Interrupted) as raised:
        benchmark(fake, steps=10**9, instances="core", num_cores=2, progress=interrupt)
    result = raised.value.result
    assert state() == before
    assert result.interrupted and isinstance(result, BenchmarkResult)
    assert len(result.instances) == 2 and result.throughput > 0


@needs_two_cores
def test_a_timeout_ends_all_instances(fake: Path) -> None:
    with pytest.raises(WorkerError, match=r"^timeout=1\.0: the run had not ended by then"):
        benchmark(fake, steps=10**9, instances=2, timeout=1)


@needs_two_cores
def test_an_error_of_one_instance_is_raised_as_its_class(fakes: None, tmp_path: Path) -> None:
    fixed = fake_backend.write(tmp_path / "fixed.fake", batch=2)
    with pytest.raises(RequestError, match="batch size of 2"):
        benchmark(fixed, batch_size=3, steps=3, instances=2)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"instances": 10_000}, BindingError, "instances=10000: the run may use"),
        ({"instances": 0}, RequestError, "instances=0: should be a whole number"),
        ({"instances": "sockets"}, RequestError, "instances='sockets': should be a whole number"),
        (
            {"cores_per_instance": 0},
            RequestError,
            "cores_per_instance=0: should be a whole number of at least 1, or None",
        ),
        (
            {"instances": 1, "isolation": "none"},
            RequestError,
            'isolation="none": instances=1 needs a process of its own',
        ),
        (
            {"cores_per_instance": 1, "binding": "none"},
            RequestError,
            'binding="none": cores_per_instance=1 needs a process of its own',
        ),
    ],
)
def test_wishes_that_can_not_be(
    fake: Path, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(said)}"):
        benchmark(fake, **asked)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="no program taskset here")
def test_the_command_sees_one_cpu_and_uses_one(fake: Path, tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    saved = tmp_path / "result.json"
    command = ["taskset", "-c", str(cpu), sys.executable, "-m", "modelzoo_runner", "benchmark"]
    done = subprocess.run(
        [*command, fake, "--steps", "5", "--json", saved],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = load(saved)
    assert result.plan.placement.cpus == (cpu,)
    assert result.observed.threads["intra_found"] == 1
    found = result.observed.threads["found"].values()
    assert {tuple(each["cpus"]) for each in found} == {(str(cpu),)}


def test_a_run_uses_the_cores_it_was_given(busy_graph: Path) -> None:
    """CPU time over what was available: the wall time, less what others took."""
    cores, shares = min(2, CORES), []
    for _ in range(3):
        result = benchmark(
            busy_graph, steps=3, min_seconds=2, num_cores=cores, isolation="child", batch_size=1
        )
        assert result.observed.threads["intra_found"] == cores
        counted = result.observed.interference
        capacity = cores * counted["wall_seconds"]
        taken = (counted["others_seconds"] or 0) + (counted["steal_seconds"] or 0)
        assert counted["cpu_seconds"] <= 1.05 * capacity
        shares.append(counted["cpu_seconds"] / (capacity - taken))
        # A thread that others keep waiting keeps the rest of its run waiting too.
        if shares[-1] > 0.8:
            return
    raise AssertionError(shares)


@pytest.mark.skipif(shutil.which("numactl") is None, reason="no program numactl here")
def test_numactl_puts_a_child_in_place_as_we_do(fake: Path) -> None:
    result = benchmark(fake, steps=5, num_cores=1, binding="numactl")
    (cpu,) = result.plan.placement.cpus
    found = result.observed.threads["found"].values()
    assert {tuple(each["cpus"]) for each in found} == {(str(cpu),)}
    assert result.observed.host_reason == "numactl starts a process of its own"


@pytest.mark.skipif(not allocator.available(), reason="neither tcmalloc nor jemalloc here")
def test_another_malloc_is_preloaded_and_recorded(fake: Path) -> None:
    name = allocator.available()[0]
    result = benchmark(fake, steps=5, allocator=name)  # type: ignore[arg-type]
    assert result.observed.machine["process"]["allocator"] == name
    assert result.observed.host == "child"


def test_bfloat16_runs_or_says_what_the_processor_lacks(graph: Path) -> None:
    flags = processor.flags()
    if processor.bfloat16(flags) == "unsupported":
        with pytest.raises(BindingError, match="neither avx512_bf16 nor amx_bf16 nor bf16"):
            benchmark(graph, precision="bfloat16", steps=3)
        return
    result = benchmark(graph, precision="bfloat16", steps=3)
    said = processor.bfloat16_warnings(flags)
    assert len(result.step_seconds) == 3 and set(said) <= set(result.warnings)
    card = result.observed.graph
    assert card["bfloat16_layers"] == card["layers"] > 0


@pytest.mark.skipif(
    processor.bfloat16(processor.flags()) == "unsupported", reason="no bfloat16 here"
)
def test_float32_is_not_called_bfloat16(graph: Path) -> None:
    graph_def = read_graph(str(graph), allow_unsafe_ops=False)
    graph_def.node[-1].attr["of_another_version"].i = 1  # TensorFlow gives up for that
    other = graph.with_name("other.pb")
    other.write_bytes(graph_def.SerializeToString())
    result = benchmark(other, precision="bfloat16", steps=3, optimize=False)
    assert result.observed.graph["bfloat16_layers"] == 0
    assert any("compute in float32" in said for said in result.warnings)


LIMITED = """
import json, sys
from pathlib import Path

group = Path(sys.argv[1])
limit = next(each for each in map(group.joinpath, LIMITS) if each.exists())
limit.write_text(str(300 * 2**20))
(group / "cgroup.procs").write_text("0")

from modelzoo_runner import RunnerError, benchmark

said = []
for graph, asked in (
    (sys.argv[3], {"batch_size": 16, "isolation": "child"}),
    (sys.argv[2], {"batch_size": 4096, "isolation": "child"}),
    (sys.argv[2], {"batch_size": 1, "instances": 2}),
):
    try:
        benchmark(graph, steps=3, **asked)
    except RunnerError as error:
        said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


def wide(folder: Path) -> Path:
    """A graph that makes a tensor 200 times as large as its image, which no estimate sees."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3], name="image")
        tf.reduce_mean(tf.tile(image, [1, 1, 1, 200]) + 1, [1, 2], name="scores")
    path = folder / "wide.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_where_memory_really_runs_out(tmp_path: Path) -> None:
    """Writes to the control groups: runs where that is allowed."""
    names = ("memory.limit_in_bytes", "memory.max")
    graph = tiny.classifier(tmp_path / "graph.pb", size=(224, 224))
    with control_groups.made("memory", *names) as group:
        done = subprocess.run(
            [sys.executable, "-c", f"LIMITS = {names}\n{LIMITED}", group, graph, wide(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    control_groups.skip_if_refused(done.stderr)
    assert done.returncode == 0, done.stderr
    killed, too_large, refused = json.loads(done.stdout)
    assert killed.startswith(
        "WorkerError: the child process that ran the plan was killed by SIGKILL, as the system "
        "does when memory runs out (largest child so far: 0."
    )
    assert " of 0.3 GiB allowed). batch_size=16: try 8. " in killed
    assert too_large.startswith("BindingError: batch_size=4096: the run needs at least 11.5 GiB")
    assert "MiB are available here: at most batch_size=" in too_large
    assert refused.startswith(
        "BindingError: instances: 2 of them need at least 0.4 GiB of memory (0.2 GiB each), and "
    )
    assert refused.endswith("available here: ask for 1 or fewer, or use a smaller batch_size")
