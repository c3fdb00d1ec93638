"""Clusters that change during a run: a worker comes, becomes slow; the scheduler is lost."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask_clusters
import fake_gcs
import fake_task
import fsspec
import pytest

from modelzoo_runner import AccuracyResult, WorkerError, accuracy
from modelzoo_runner.machine import topology
from modelzoo_runner.scale import cluster_executor

pytestmark = [
    # What aiohttp says of how gcsfs uploads, and Python shows nobody who doesn't ask for it.
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
    pytest.mark.usefixtures("fakes"),
    pytest.mark.skipif(
        len(topology.read().cores()) < 2, reason="two workers need two physical cores"
    ),
]

EXAMPLES = 400


@pytest.fixture
def numbers(tmp_path: Path) -> dict[str, Any]:
    """A run of 200 steps of 20 ms without TensorFlow, as arguments."""
    given = fake_task.arguments(tmp_path / "given", examples=EXAMPLES, seconds=0.02)
    return given | {"batch_size": 2}


def whole(found: AccuracyResult) -> None:
    """Each example was counted once."""
    edges = [0, *(each.examples[1] for each in found.parts)]
    assert [each.examples[0] for each in found.parts] == edges[:-1] and edges[-1] == EXAMPLES
    assert found.scores == {"mean": (EXAMPLES - 1) / 2} and found.examples == EXAMPLES


def once(after: int, do: Callable[[], object]) -> Callable[..., None]:
    """A progress callback that does something as soon as so many examples are done."""
    done_so = []

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "examples" and done >= after and not done_so:
            done_so.append(do())

    return progress


@pytest.mark.slow  # a busy machine may slow the other one as well; the rule has tests of its own
def test_a_worker_that_becomes_slow_gets_less_to_do(numbers: dict[str, Any]) -> None:
    with dask_clusters.running(2) as client:
        slow, _ = client.run(os.getpid).values()
        with dask_clusters.Slowed(slow) as slowed:
            found = accuracy(**numbers, client=client, progress=once(60, slowed.on.set))
    whole(found)
    by_cpus: dict[tuple[int, ...], list[int]] = {}
    for each in found.parts:
        start, stop = each.examples
        by_cpus.setdefault(each.cpus, []).append(stop - start)
    less, more = sorted(by_cpus.values(), key=sum)
    assert 1.5 * sum(less) < sum(more) and less[-1] < less[0]


def test_a_worker_that_comes_late_gets_its_share_of_the_cores(tmp_path: Path) -> None:
    numbers = fake_task.arguments(tmp_path / "given", examples=EXAMPLES, seconds=0.02, meet=2)
    with dask_clusters.running(1) as client:
        local = client.cluster

        def another() -> None:
            local.scale(2)
            client.wait_for_workers(2, timeout=300)  # nothing is handed out meanwhile

        found = accuracy(**numbers, batch_size=2, client=client, progress=once(60, another))
    whole(found)
    cores = {each.cpus for each in found.parts if len(each.cpus) == 1}
    assert len(cores) == 2 and len(found.parts[0].cpus) == len(topology.read().cores())


@contextlib.contextmanager
def scheduler(port: int, folder: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """A function that starts a scheduler on the port and two workers, and returns the former."""
    variables = {**os.environ, "PYTHONPATH": fake_task.PYTHONPATH}
    preload = folder / "preload.py"
    preload.write_text("import fake_task\nfake_task.register()\n")
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        here = ["--host", "127.0.0.1", "--no-dashboard"]
        address = f"tcp://127.0.0.1:{port}"
        own = ["--no-nanny", "--nthreads", "1", "--preload", str(preload)]
        commands = [
            ["distributed.cli.dask_scheduler", "--port", str(port), *here],
            *2 * [["distributed.cli.dask_worker", address, *own, *here]],
        ]
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env=variables, stderr=subprocess.DEVNULL
            )
            started.append(process)
        return started[-3]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    """Wait until a scheduler listens there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in a bucket."""
    with fake_gcs.running() as server:
        fake_gcs.for_gcsfs(server, monkeypatch)
        server.put("runs", "first", b"")
        yield "gs://runs/kept"


def test_a_run_outlives_its_scheduler(numbers: dict[str, Any], tmp_path: Path) -> None:
    port = free_port()
    with scheduler(port, tmp_path) as start:
        first = start()
        wait_for(port)

        def restart() -> None:
            first.kill()
            first.wait()
            start()

        found = accuracy(**numbers, client=f"tcp://127.0.0.1:{port}", progress=once(60, restart))
    whole(found)
    assert any(said.startswith("the scheduler was lost") for said in found.warnings)


def test_without_a_scheduler_another_call_goes_on_from_a_bucket(
    numbers: dict[str, Any], tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_executor, "SECONDS_FOR_SCHEDULER", 0.0)
    port = free_port()
    with scheduler(port, tmp_path) as start:
        first = start()
        wait_for(port)
        given = {**numbers, "client": f"tcp://127.0.0.1:{port}", "checkpoint": bucket}
        with pytest.raises(WorkerError, match=r"^client=: the scheduler is gone.*checkpoint="):
            accuracy(**given, progress=once(60, first.kill))
        kept = [each for each in fsspec.filesystem("gs").ls(bucket) if each.endswith(".done")]
        start()
        wait_for(port)
        told: list[int] = []
        found = accuracy(**given, progress=lambda what, done, total: told.append(done))
    whole(found)
    assert told[0] >= 60 and len(found.parts) > len(kept) >= 1
