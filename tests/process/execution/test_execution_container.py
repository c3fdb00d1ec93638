"""Runs in containers, at an engine that is a stub: its containers are processes of this machine."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stub_engine
import tiny
from stub_engine import FakeImage, StubEngine

from modelzoo_runner import (
    ContainerError,
    DataError,
    Interrupted,
    MissingDependency,
    RequestError,
    WorkerError,
    __version__,
    accuracy,
    benchmark,
    load,
    run,
)
from modelzoo_runner.execution import mounts
from modelzoo_runner.execution.container import Contained
from modelzoo_runner.machine import allocator
from modelzoo_runner.machine.cpulist import parse_cpu_list
from modelzoo_runner.storage import images
from modelzoo_runner.values.context import Context

pytest.importorskip("docker", reason="the extra docker isn't installed")

IMAGE = "modelzoo-runner:test"
DIGEST = "registry.example.org/modelzoo-runner@sha256:0123"


@pytest.fixture
def engine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StubEngine]:
    """An engine that has one image, this library's own."""
    folder = tmp_path_factory.mktemp("engine")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/engine.sock")
    # The files of a container are below this folder; in a real one it is at its root.
    monkeypatch.setattr(mounts, "OUTSIDE", str(folder / "outside"))
    with stub_engine.running(folder) as found:
        found.images[IMAGE] = FakeImage(digests=(DIGEST,))
        yield found


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "graph.pb")


@pytest.fixture(scope="module")
def busy_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("busy") / "busy.pb", work=40)


def test_a_run_in_a_container(engine: StubEngine, graph: Path, tmp_path: Path) -> None:
    told: list[tuple[Any, ...]] = []
    result = benchmark(
        graph,
        docker_image=IMAGE,
        steps=3,
        env={"SOME_VARIABLE": "a b"},
        cpus=sorted(os.sched_getaffinity(0))[:1],
        progress=lambda *said: told.append(said),
    )
    assert len(result.step_seconds) == 3
    assert result.observed.host == "container"
    assert result.observed.host_reason == "docker_image='modelzoo-runner:test'"
    assert result.observed.machine["software"]["python"]
    image = result.plan.docker_image
    assert image is not None
    assert (image.name, image.id, image.digest) == (IMAGE, engine.images[IMAGE].id, DIGEST)
    # Paths are this machine's.
    assert result.plan.graph.path == str(graph)
    assert result.plan.isolation == "auto"
    assert "outside" not in json.dumps(result.to_dict())
    assert f"in a container of {IMAGE}, 1 intra-op" in str(result)
    assert load(result.save(tmp_path / "result.json")) == result
    assert ("steps", 3, 3) in told
    assert engine.containers == {}


def test_what_a_container_may_and_gets(engine: StubEngine, graph: Path) -> None:
    benchmark(graph, docker_image=IMAGE, steps=1, num_cores=1, env={"SOME_VARIABLE": "a b"})
    (asked,) = engine.asked
    host = asked["HostConfig"]
    (cpu,) = host["CpusetCpus"].split(",")
    assert int(cpu) in os.sched_getaffinity(0)
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True and set(host["Tmpfs"]) == {"/tmp"}
    assert not host.get("Privileged")
    user, group = asked["User"].split(":")
    assert user != "0" and group != "0"
    assert {"SOME_VARIABLE=a b", "TF_ENABLE_ONEDNN_OPTS=1", "HOME=/tmp"} <= set(asked["Env"])
    assert [(each["Source"], each["ReadOnly"]) for each in host["Mounts"]] == [(str(graph), True)]
    assert asked["Labels"] == {"modelzoo_runner": ""}


def test_data_is_read_only_and_predictions_come_where_they_should(
    engine: StubEngine, tmp_path: Path
) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    rows = tmp_path / "rows.csv"
    result = accuracy(
        "resnet50", weights=model, data_location=shards, predictions=rows, docker_image=IMAGE
    )
    here = accuracy("resnet50", weights=model, data_location=shards, num_inter_threads=1)
    assert (result.counts, result.scores) == (here.counts, here.scores)
    assert result.plan.predictions == str(rows)
    assert len(rows.read_text().splitlines()) == 7
    mounted = engine.asked[0]["HostConfig"]["Mounts"]
    assert [each["Source"] for each in mounted if not each["ReadOnly"]] != [str(tmp_path)]
    assert {each["Source"] for each in mounted if each["ReadOnly"]} == {str(shards), str(model)}


def test_annotations_above_the_images_are_there_too(engine: StubEngine, tmp_path: Path) -> None:
    images, annotations = tiny.coco(tmp_path / "coco")
    roles = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
    model = tiny.detector(tmp_path / "model.pb", {role: f"{role}:0" for role in roles})
    found = tmp_path / "found.json"
    result = accuracy(
        "rfcn", weights=model, data_location=images, predictions=found, docker_image=IMAGE
    )
    assert result.scores["AP"] == pytest.approx(1)
    assert len(json.loads(found.read_text())) == 4
    mounted = {each["Source"] for each in engine.asked[0]["HostConfig"]["Mounts"]}
    assert {str(images), str(annotations), str(model)} <= mounted


def test_the_originals_parameters(engine: StubEngine, graph: Path) -> None:
    result = run(
        model_name=graph,
        precision="fp32",
        batch_size="1",
        socket_id="-1",
        extra_model_args="steps=2 warmup_steps=0",
        docker_image=IMAGE,
    )
    assert result.observed.host == "container" and len(result.step_seconds) == 2


def test_instances_and_another_malloc_are_children_in_the_container(
    engine: StubEngine, graph: Path
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process may use one CPU only")
    result = benchmark(graph, docker_image=IMAGE, steps=30, min_seconds=2, instances=2)
    assert len(result.instances) == 2 and result.observed.host == "container"
    assert len(result.plan.instances) == 2
    cpus = parse_cpu_list(engine.asked[0]["HostConfig"]["CpusetCpus"])
    assert set(cpus) == {cpu for each in result.instances for cpu in each.cpus}


def test_a_malloc_that_only_the_preset_wishes_for_may_be_missing_in_the_image(
    engine: StubEngine, graph: Path
) -> None:
    int8 = benchmark(
        "ssd-mobilenet", precision="int8", weights=detector(graph), docker_image=IMAGE, steps=1
    )
    if "tcmalloc" in allocator.available():
        assert int8.plan.placement.allocator == "tcmalloc"
    else:
        assert int8.plan.placement.allocator == "system"
        assert (
            "tcmalloc, which the preset asks for, isn't in the image: the system's malloc is used"
        ) in int8.warnings


def detector(beside: Path) -> Path:
    roles = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
    return tiny.detector(beside.with_name("detector.pb"), {role: f"{role}:0" for role in roles})


def test_an_error_in_the_container_is_raised_here_with_this_machines_paths(
    engine: StubEngine, tmp_path: Path
) -> None:
    fixed = tiny.classifier(tmp_path / "fixed.pb", batch=2)
    with pytest.raises(RequestError, match="batch size of 2"):
        benchmark(fixed, batch_size=3, steps=1, docker_image=IMAGE)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    with pytest.raises(DataError) as caught:
        accuracy("resnet50", weights=model, data_location=tmp_path / "none", docker_image=IMAGE)
    assert str(caught.value).startswith(f"{tmp_path}/none: ")
    assert engine.containers == {}


def test_ctrl_c_gives_the_partial_result_and_removes_the_container(
    engine: StubEngine, busy_graph: Path
) -> None:
    def interrupt(what: str, done: int, total: int | None) -> None:
        if done > 2 and not engine.killed:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        benchmark(busy_graph, steps=10**9, docker_image=IMAGE, progress=interrupt)
    result = caught.value.result
    assert result.interrupted and len(result.step_seconds) > 2
    assert result.observed.host == "container"
    assert result.plan.graph.path == str(busy_graph)
    assert (engine.killed, engine.containers) == ([signal.SIGINT], {})


def test_a_timeout(engine: StubEngine, busy_graph: Path) -> None:
    with pytest.raises(WorkerError, match=r"timeout=4\.0: the run had not ended by then"):
        benchmark(busy_graph, steps=10**9, timeout=4, docker_image=IMAGE)
    assert engine.containers == {}


def test_a_container_that_is_killed_says_so_with_its_last_words(
    engine: StubEngine, busy_graph: Path
) -> None:
    def kill(what: str, done: int, total: int | None) -> None:
        container = next(iter(engine.containers.values()))
        container.out_of_memory = True
        container.kill(signal.SIGKILL)

    with pytest.raises(WorkerError) as caught:
        benchmark(busy_graph, steps=10**9, batch_size=4, docker_image=IMAGE, progress=kill)
    said = str(caught.value)
    assert said.startswith(
        "the container that ran the plan was killed by SIGKILL, its memory had run out. "
        "batch_size=4: try 2. Its last words:\n"
    )
    assert "oneDNN" in said
    assert engine.containers == {}


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (3, "ended with exit code 3. It said nothing."),
        (139, "was killed by SIGSEGV. It said nothing."),
        (137, "was killed by SIGKILL, as the system does when memory runs out. batch_size=4: try"),
    ],
)
def test_how_a_container_ended(code: int, how: str) -> None:
    ended: Any = SimpleNamespace(
        wait=lambda: {"StatusCode": code},
        reload=lambda: None,
        attrs={"State": {"OOMKilled": False}},
    )
    plan: Any = SimpleNamespace(batch_size=4)
    with socket.socket() as connection:
        said = Contained(plan=plan, container=ended, connection=connection).exit_message()
    assert said.startswith(f"the container that ran the plan {how}")


def test_a_container_ends_when_nobody_is_there_any_more(
    engine: StubEngine, busy_graph: Path
) -> None:
    code = (
        "import sys; from modelzoo_runner import benchmark; from modelzoo_runner.execution import "
        "mounts; mounts.OUTSIDE = sys.argv[3];"
        "benchmark(sys.argv[1], steps=10**9, docker_image=sys.argv[2])"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(busy_graph), IMAGE, mounts.OUTSIDE],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: any(each.process for each in engine.containers.values()))
        container = next(iter(engine.containers.values()))
        process = container.process
        assert process is not None
        time.sleep(1)
        assert process.poll() is None
    finally:
        caller.kill()
        caller.wait()
    assert process.wait(60) == 1


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refused(**asked: Any) -> str:
    with pytest.raises(ContainerError) as caught:
        benchmark(**{"steps": 1, "docker_image": IMAGE, **asked})
    return str(caught.value)


def test_no_engine(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with warnings.catch_warnings():
        # The package leaves the socket open that it couldn't connect.
        warnings.simplefilter("ignore", ResourceWarning)
        said = refused(model=graph)
        gc.collect()
    assert said == (
        f"docker_image='{IMAGE}': no container engine answers at unix://{tmp_path}/none.sock: No "
        "such file or directory. Start Docker, or name its socket in DOCKER_HOST"
    )
    monkeypatch.setenv("DOCKER_HOST", "nonsense")
    assert "no container engine answers at nonsense: Invalid bind address" in refused(model=graph)


def test_without_the_package_for_engines(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(MissingDependency) as caught:
        benchmark(graph, steps=1, docker_image=IMAGE)
    assert str(caught.value) == (
        f"docker_image='{IMAGE}': docker isn't installed, which talks to the container engine: pip "
        "install 'modelzoo_runner[docker]'"
    )


def test_an_image_that_is_not_there_is_pulled(engine: StubEngine, graph: Path) -> None:
    engine.to_pull["mine:latest"] = FakeImage()
    told: list[tuple[Any, ...]] = []
    benchmark(graph, steps=1, docker_image="mine", progress=lambda *said: told.append(said))
    assert engine.pulled == ["mine:latest"]
    assert told[0] == ("image bytes", 5, 10)
    benchmark(graph, steps=1, docker_image="mine")
    assert len(engine.pulled) == 1


def test_an_image_that_can_not_be_had(engine: StubEngine, graph: Path) -> None:
    advice = "Build it (docker build -t mine . in this library's source), or name another one"
    assert refused(model=graph, docker_image="mine") == (
        "docker_image='mine': the container engine has no such image and can't pull it: pull "
        f"access denied for mine. {advice}"
    )
    engine.to_pull["mine:latest"] = FakeImage()
    assert refused(model=graph, docker_image="mine", offline=True) == (
        "docker_image='mine': the container engine has no such image, and offline=True forbids to "
        f"pull it. {advice}"
    )
    assert engine.asked == []


def test_an_image_without_python(engine: StubEngine, graph: Path) -> None:
    engine.images[IMAGE].python = None
    assert refused(model=graph) == (
        f"docker_image='{IMAGE}': a container of it can't be started: exec: \"python\": executable "
        f"file not found in $PATH. An image has to have python and modelzoo_runner {__version__} "
        "(see Dockerfile in this library's source)"
    )
    assert engine.containers == {}


def test_an_image_without_this_library(engine: StubEngine, graph: Path) -> None:
    engine.images[IMAGE].python = (sys.executable, "-I", "-S")
    assert refused(model=graph) == (
        f"docker_image='{IMAGE}': it has no modelzoo_runner (No module named 'modelzoo_runner'), "
        f"and this is modelzoo_runner {__version__}: the same has to be in both. Build it anew "
        f"(docker build -t {IMAGE} . in this one's source)"
    )
    assert engine.containers == {}


def test_an_image_with_another_version_of_this_library(
    engine: StubEngine, graph: Path, tmp_path: Path
) -> None:
    (tmp_path / "modelzoo_runner").mkdir()
    (tmp_path / "modelzoo_runner" / "__init__.py").write_text("__version__ = '0.0.1'\n")
    engine.images[IMAGE].modules = str(tmp_path)
    assert refused(model=graph).startswith(
        f"docker_image='{IMAGE}': it has modelzoo_runner 0.0.1, and this is modelzoo_runner "
        f"{__version__}: the same has to be in both."
    )


def test_what_is_printed_does_not_get_between_the_messages(
    engine: StubEngine, graph: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, threading\n"
        "threading.Timer(0.2, lambda: [os.system('echo from a child'), print('hello')]).start()\n"
    )
    engine.images[IMAGE].modules = f"{tmp_path}:{stub_engine.SOURCE}"
    assert len(benchmark(graph, steps=5, docker_image=IMAGE).step_seconds) == 5


def test_a_folder_of_links_to_elsewhere_is_refused(engine: StubEngine, tmp_path: Path) -> None:
    shards, links = tiny.shards(tmp_path / "shards", images=4), tmp_path / "links"
    links.mkdir()
    for shard in shards.iterdir():
        (links / shard.name).symlink_to(shard)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    with pytest.raises(DataError) as caught:
        accuracy("resnet50", weights=model, data_location=links, docker_image=IMAGE)
    assert str(caught.value).endswith(
        ", which is outside of the folder that the container gets. Give the folder that the files "
        "themselves are in"
    )
    (tmp_path / "whole").symlink_to(shards)
    result = accuracy(
        "resnet50", weights=model, data_location=tmp_path / "whole", docker_image=IMAGE
    )
    assert result.examples == 4


def test_the_engine_refuses(engine: StubEngine, graph: Path, monkeypatch: Any) -> None:
    def create(*_: Any) -> None:
        raise stub_engine.Refused(500, "no space left on device")

    monkeypatch.setattr(stub_engine.Handler, "create", create)
    assert refused(model=graph) == (
        f"docker_image='{IMAGE}': the container engine says: no space left on device"
    )


def test_the_image_by_name_and_id(engine: StubEngine) -> None:
    assert images.local(IMAGE, Context()).id == engine.images[IMAGE].id
