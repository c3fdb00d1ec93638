"""Runs in real containers: Docker's own engine, and an image made of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import real_engine
import tiny
from real_engine import IMAGE, docker

from modelzoo_runner import (
    BindingError,
    ContainerError,
    Interrupted,
    __version__,
    accuracy,
    benchmark,
)
from modelzoo_runner.machine import cgroup
from modelzoo_runner.machine.cpulist import format_cpu_list

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


@pytest.fixture(scope="module", autouse=True)
def _engine(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("engine")
    with real_engine.running(folder) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        real_engine.make_image(graph, folder)
        yield


@pytest.fixture(autouse=True)
def _no_container_is_left(_engine: None) -> Iterator[None]:
    yield
    assert docker("ps", "--all", "--quiet") == ""


def once(action: Callable[[], None]) -> Callable[..., None]:
    """A progress callback that does something at the first steps, and then no more."""
    done: list[None] = []

    def tell(what: str, count: int, total: int | None) -> None:
        if what == "steps" and count > 2 and not done:
            done.append(None)
            action()

    return tell


def test_a_run_in_a_container_and_what_it_may_there(graph: Path) -> None:
    seen: dict[str, Any] = {}

    def look() -> None:
        container = docker("ps", "--quiet", "--filter", "label=modelzoo_runner")
        seen.update(json.loads(docker("exec", container, "python", "-c", LOOK)))

    cpu = max(os.sched_getaffinity(0))
    result = benchmark(
        graph, docker_image=IMAGE, steps=300, min_seconds=3, cpus=[cpu], progress=once(look)
    )
    assert result.observed.host == "container"
    image = result.plan.docker_image
    assert image is not None and image.id == docker("image", "inspect", "--format={{.Id}}", IMAGE)
    assert result.plan.graph.path == str(graph)
    found = result.observed.threads["found"]
    assert {cpus for each in found.values() for cpus in each["cpus"]} == {format_cpu_list([cpu])}
    assert seen["user"] == 65534
    assert seen["networks"] == ["lo"]
    assert seen["capabilities"] == ["CapBnd:\t0000000000000000\n"]
    assert seen["writable"] == {"/tmp/x": None, "/x": "Read-only file system"}
    assert seen["mounted"] == ["ro"]


def test_accuracy_and_its_predictions(tmp_path: Path) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    asked: dict[str, Any] = {"weights": model, "data_location": shards}
    rows, here = tmp_path / "rows.csv", tmp_path / "here.csv"
    result = accuracy("resnet50", **asked, predictions=rows, docker_image=IMAGE)
    expected = accuracy("resnet50", **asked, predictions=here, num_inter_threads=1)
    assert (result.counts, result.examples) == (expected.counts, 6)
    assert rows.read_text() == here.read_text()
    assert result.plan.data_location == str(shards) and result.plan.predictions == str(rows)


def test_ctrl_c(graph: Path) -> None:
    interrupt = once(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        benchmark(graph, docker_image=IMAGE, steps=10**9, progress=interrupt)
    assert len(caught.value.result.step_seconds) > 2
    assert caught.value.result.observed.host == "container"


def test_a_batch_that_does_not_fit_in_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tiny.classifier(tmp_path / "large.pb", size=(1024, 1024))
    # A container isn't in the group of who starts it, and gets the same limit.
    monkeypatch.setattr(cgroup, "memory_limit", lambda: 1500 * 2**20)
    # Four batches of 1.6 GB.
    with pytest.raises(BindingError, match="are available here: at most batch_size="):
        benchmark(large, docker_image=IMAGE, batch_size=128, steps=1)


def test_no_container_runs_on_when_its_caller_is_killed(graph: Path) -> None:
    code = (
        "import sys; from modelzoo_runner import benchmark;"
        "benchmark(sys.argv[1], steps=10**9, docker_image=sys.argv[2])"
    )
    caller = subprocess.Popen([sys.executable, "-c", code, str(graph), IMAGE])
    try:
        deadline = time.monotonic() + 60
        while not docker("ps", "--quiet"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(2)
    finally:
        caller.kill()
        caller.wait()
    # It ends with its standard input, and the engine removes it.
    while docker("ps", "--all", "--quiet"):
        assert time.monotonic() < deadline + 60
        time.sleep(0.1)


def test_images_that_do_not_do(graph: Path) -> None:
    with pytest.raises(ContainerError, match=r"no such image, and it can't be pulled: .+\. Build"):
        benchmark(graph, docker_image="registry.invalid/mine:1", steps=1)
    base = docker("create", "--entrypoint=python", IMAGE)
    for tag, change in (("bare", "ENV PYTHONPATH=/nowhere"), ("empty", "ENV PATH=/nowhere")):
        docker("commit", f"--change={change}", base, f"mine:{tag}")
    docker("rm", base)
    for tag, said in (
        ("bare", "No module named 'modelzoo_runner'"),
        ("empty", '"python": executable file not found in $PATH'),
    ):
        with pytest.raises(ContainerError) as caught:
            benchmark(graph, docker_image=f"mine:{tag}", steps=1)
        assert said in str(caught.value)
        assert f"needs python and modelzoo_runner {__version__}" in str(caught.value)
