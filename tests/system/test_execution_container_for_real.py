"""Runs in real containers: Docker's own engine, and an image made of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import real_engine
import tiny
from real_engine import IMAGE

from modelzoo_runner import (
    ContainerError,
    Interrupted,
    WorkerError,
    __version__,
    accuracy,
    benchmark,
)
from modelzoo_runner.machine.cpulist import format_cpu_list

pytest.importorskip("docker", reason="the extra docker isn't installed")

pytestmark = pytest.mark.skipif(
    real_engine.why_not() is not None, reason=str(real_engine.why_not())
)

LOOK = """
import json, os, socket
def writable(path):
    try:
        open(path, "ab").close()
    except OSError as error:
        return error.strerror
    return None
print(json.dumps({
    "user": os.getuid(),
    "networks": [name for _, name in socket.if_nameindex()],
    "capabilities": [line for line in open("/proc/self/status") if line.startswith("CapBnd")],
    "writable": {path: writable(path) for path in ("/tmp/x", "/x")},
    "mounted": [line.split()[3][:2] for line in open("/proc/self/mounts") if "/outside-of" in line],
}))
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "it's a; graph.pb", work=4)


@pytest.fixture(scope="module")
def client(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import docker

    folder = tmp_path_factory.mktemp("engine")
    with real_engine.running(folder) as address:
        engine = docker.DockerClient(base_url=address)
        real_engine.make_image(engine, graph, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", address)
            yield engine
        engine.close()


@pytest.fixture(autouse=True)
def _no_container_is_left(client: Any) -> Iterator[None]:
    yield
    assert client.containers.list(all=True) == []


def once(action: Callable[[], None]) -> Callable[..., None]:
    """A progress callback that does something at the first steps, and then no more."""
    done: list[None] = []

    def tell(what: str, count: int, total: int | None) -> None:
        if what == "steps" and count > 2 and not done:
            done.append(None)
            action()

    return tell


def test_a_run_in_a_container_and_what_it_may_there(client: Any, graph: Path) -> None:
    seen: dict[str, Any] = {}

    def look() -> None:
        (container,) = client.containers.list(filters={"label": "modelzoo_runner"})
        seen.update(json.loads(container.exec_run(["python", "-c", LOOK]).output))

    cpu = max(os.sched_getaffinity(0))
    result = benchmark(
        graph, docker_image=IMAGE, steps=300, min_seconds=3, cpus=[cpu], progress=once(look)
    )
    assert result.observed.host == "container"
    image = result.plan.docker_image
    assert image is not None and image.id == client.images.get(IMAGE).id
    assert result.plan.graph.path == str(graph)
    found = result.observed.threads["found"]
    assert {cpus for each in found.values() for cpus in each["cpus"]} == {format_cpu_list([cpu])}
    assert seen["user"] == 65534
    assert seen["networks"] == ["lo"]
    assert seen["capabilities"] == ["CapBnd:\t0000000000000000\n"]
    assert seen["writable"] == {"/tmp/x": None, "/x": "Read-only file system"}
    assert seen["mounted"] == ["ro"]


def test_accuracy_and_its_predictions(client: Any, tmp_path: Path) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    asked: dict[str, Any] = {"weights": model, "data_location": shards}
    rows, here = tmp_path / "rows.csv", tmp_path / "here.csv"
    result = accuracy("resnet50", **asked, predictions=rows, docker_image=IMAGE)
    expected = accuracy("resnet50", **asked, predictions=here, num_inter_threads=1)
    assert (result.counts, result.examples) == (expected.counts, 6)
    assert rows.read_text() == here.read_text()
    assert result.plan.data_location == str(shards) and result.plan.predictions == str(rows)


def test_ctrl_c(client: Any, graph: Path) -> None:
    interrupt = once(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        benchmark(graph, docker_image=IMAGE, steps=10**9, progress=interrupt)
    assert len(caught.value.result.step_seconds) > 2
    assert caught.value.result.observed.host == "container"


def test_a_container_whose_memory_runs_out(client: Any, tmp_path: Path) -> None:
    large = tiny.classifier(tmp_path / "large.pb", size=(1024, 1024))

    def limit() -> None:
        while not ended.is_set():
            for container in client.containers.list(filters={"label": "modelzoo_runner"}):
                container.update(mem_limit="1500m", memswap_limit="1500m")
                return
            time.sleep(0.01)

    ended = threading.Event()
    limiter = threading.Thread(target=limit)
    limiter.start()
    try:
        with pytest.raises(WorkerError) as caught:
            # Four batches of 1.6 GB.
            benchmark(large, docker_image=IMAGE, batch_size=128, steps=1)
    finally:
        ended.set()
        limiter.join()
    assert str(caught.value).startswith(
        "the container that ran the plan was killed by SIGKILL, its memory had run out. "
        "batch_size=128: try 64. Its last words:\n"
    )


def test_no_container_runs_on_when_its_caller_is_killed(client: Any, graph: Path) -> None:
    code = (
        "import sys; from modelzoo_runner import benchmark;"
        "benchmark(sys.argv[1], steps=10**9, docker_image=sys.argv[2])"
    )
    caller = subprocess.Popen([sys.executable, "-c", code, str(graph), IMAGE])
    try:
        deadline = time.monotonic() + 60
        while not (running := client.containers.list()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(2)
    finally:
        caller.kill()
        caller.wait()
    (container,) = running
    assert container.wait(timeout=60)["StatusCode"] == 1
    # Nobody was left to remove it.
    container.remove()


def test_images_that_do_not_do(client: Any, graph: Path) -> None:
    with pytest.raises(ContainerError, match=r"has no such image and can't pull it: .+\. Build it"):
        benchmark(graph, docker_image="registry.invalid/mine:1", steps=1)
    base = client.containers.create(IMAGE, entrypoint=["python"])
    for tag, change in (("bare", "ENV PYTHONPATH=/nowhere"), ("empty", "ENV PATH=/nowhere")):
        base.commit(repository="mine", tag=tag, changes=[change])
    base.remove()
    with pytest.raises(ContainerError) as caught:
        benchmark(graph, docker_image="mine:bare", steps=1)
    assert str(caught.value).startswith(
        "docker_image='mine:bare': it has no modelzoo_runner (No module named 'modelzoo_runner'), "
        f"and this is modelzoo_runner {__version__}: the same has to be in both. Build it anew"
    )
    with pytest.raises(ContainerError) as caught:
        benchmark(graph, docker_image="mine:empty", steps=1)
    assert '"python": executable file not found in $PATH' in str(caught.value)
