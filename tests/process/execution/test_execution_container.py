"""Runs in containers, by a `docker` command that is a stub: containers are processes here.

With a runtime that is a fake, but for what only TensorFlow can show.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_backend
import pytest
import stub_engine
import tiny
from stub_engine import FakeImage, StubEngine

from modelzoo_runner import (
    ContainerError,
    DataError,
    Interrupted,
    RequestError,
    WorkerError,
    __version__,
    accuracy,
    benchmark,
    load,
    run,
)
from modelzoo_runner.errors import RunnerError
from modelzoo_runner.execution import container, images
from modelzoo_runner.execution.container import Contained
from modelzoo_runner.machine import allocator, cgroup
from modelzoo_runner.machine.cpulist import parse_cpu_list
from modelzoo_runner.values.context import Context

IMAGE = "modelzoo-runner:test"
DIGEST = "registry.example.org/modelzoo-runner@sha256:0123"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubEngine:
    """An engine that has one image, this library's own."""
    folder = tmp_path / "engine"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    # The files of a container are below this folder; in a real one it is at its root.
    monkeypatch.setattr(container, "OUTSIDE", f"{folder}/outside")
    found = StubEngine(folder)
    found.add(IMAGE, FakeImage(digests=(DIGEST,)))
    return found


@pytest.fixture
def model(fakes: None, tmp_path: Path) -> Path:
    """A model whose steps take a millisecond, of a runtime that starts in no time."""
    return fake_backend.write(tmp_path / "model.fake")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "a graph, of TensorFlow.pb")


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
    assert (image.name, image.digest) == (IMAGE, DIGEST)
    # Paths are this machine's.
    assert result.plan.graph.path == str(graph)
    assert result.plan.isolation == "auto"
    assert "outside" not in json.dumps(result.to_dict())
    assert f"in a container of {IMAGE}, 1 intra-op" in str(result)
    assert load(result.save(tmp_path / "result.json")) == result
    assert ("steps", 3, 3) in told
    assert engine.containers() == []


def test_what_a_container_may_and_gets(
    engine: StubEngine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "memory_limit", lambda: 5 * 2**30)
    benchmark(model, docker_image=IMAGE, steps=1, num_cores=1, env={"SOME_VARIABLE": "a b"})
    (asked,) = engine.asked("run")
    (cpu,) = engine.option("cpuset-cpus")
    assert int(cpu) in os.sched_getaffinity(0)
    assert {
        "--rm",
        "--interactive",
        "--pull=never",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--tmpfs=/tmp:mode=1777,size=1g",
        f"--memory={5 * 2**30}",
        f"--memory-swap={5 * 2**30}",
        "--label=modelzoo_runner",
    } <= set(asked)
    assert not any(each.startswith("--privileged") for each in asked)
    assert int(engine.option("pids-limit")[0]) > 1000
    user, group = engine.option("user")[0].split(":")
    assert user != "0" and group != "0"
    assert {"SOME_VARIABLE=a b", "HOME=/tmp"} <= set(engine.option("env"))
    (mount,) = engine.option("mount")
    assert f"source={model}," in mount and mount.endswith(",readonly")


def test_a_container_has_a_memory_limit_where_this_process_has_none(
    engine: StubEngine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "memory_limit", lambda: None)
    engine.add("mine:1", FakeImage())
    result = benchmark(model, docker_image="mine:1", steps=1)
    assert engine.option("memory") == engine.option("memory-swap")
    assert int(engine.option("memory")[0]) > 2**28
    assert any("'mine:1' comes from no registry" in each for each in result.warnings)


def test_data_is_read_only_and_predictions_come_where_they_should(
    engine: StubEngine, tmp_path: Path
) -> None:
    shards = tiny.shards(tmp_path / "shards", images=6)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    rows = tmp_path / "rows.csv"
    result = accuracy(
        "resnet50", weights=model, data_location=shards, predictions=rows, docker_image=IMAGE
    )
    assert result.plan.predictions == str(rows) and result.examples == 6
    assert len(rows.read_text().splitlines()) == 7
    mounted = engine.option("mount")
    read = {each.split(",")[1] for each in mounted if each.endswith(",readonly")}
    assert read == {f"source={shards}", f"source={model}"}
    (written,) = (each for each in mounted if not each.endswith(",readonly"))
    assert f"source={tmp_path}," not in written


@pytest.mark.parametrize("made", ["link", "pipe", "too large"])
def test_predictions_that_are_no_file_of_the_container_are_not_read(
    engine: StubEngine, model: Path, tmp_path: Path, made: str
) -> None:
    secret, target = tmp_path / "secret", tmp_path / "rows.csv"
    secret.write_text("of this machine")
    image = SimpleNamespace(name=IMAGE)
    plan: Any = benchmark(model, steps=1).plan
    asked = container.replace(plan, predictions=str(target))
    with (
        pytest.raises(ContainerError, match="predictions"),
        container._predictions(asked, image) as own,
    ):
        if made == "link":
            Path(own.predictions).symlink_to(secret)
        elif made == "pipe":
            os.mkfifo(own.predictions)
        else:
            with open(own.predictions, "wb") as file:  # noqa: PTH123 - it takes no room
                file.truncate(container.LARGEST_PREDICTIONS + 1)
    assert not target.exists()


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
    mounted = {each.split(",")[1] for each in engine.option("mount")}
    assert {f"source={each}" for each in (images, annotations, model)} <= mounted


def test_the_originals_parameters(engine: StubEngine, model: Path) -> None:
    result = run(
        model_name=model,
        precision="fp32",
        batch_size="1",
        socket_id="-1",
        extra_model_args="steps=2 warmup_steps=0",
        docker_image=IMAGE,
    )
    assert result.observed.host == "container" and len(result.step_seconds) == 2


def test_instances_are_children_in_the_container(engine: StubEngine, model: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process may use one CPU only")
    result = benchmark(model, docker_image=IMAGE, steps=100, instances=2)
    assert len(result.instances) == 2 and result.observed.host == "container"
    assert len(result.plan.instances) == 2
    cpus = parse_cpu_list(engine.option("cpuset-cpus")[0])
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
    engine: StubEngine, model: Path, tmp_path: Path
) -> None:
    fixed = fake_backend.write(tmp_path / "fixed.fake", batch=2)
    with pytest.raises(RequestError, match="batch size of 2"):
        benchmark(fixed, batch_size=3, steps=1, docker_image=IMAGE)
    model.write_text("{")
    with pytest.raises(RunnerError) as caught:
        benchmark(model, steps=1, docker_image=IMAGE)
    assert str(caught.value).startswith(f"{model}: ")
    assert engine.containers() == []


def once(action: Callable[[], None]) -> Callable[..., None]:
    """A progress callback that does something after a few steps, and then no more."""
    done: list[None] = []

    def tell(what: str, count: int, total: int | None) -> None:
        if what == "steps" and count > 2 and not done:
            done.append(None)
            action()

    return tell


def test_ctrl_c_gives_the_partial_result_and_removes_the_container(
    engine: StubEngine, model: Path
) -> None:
    interrupt = once(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        benchmark(model, steps=10**9, docker_image=IMAGE, progress=interrupt)
    result = caught.value.result
    assert result.interrupted and len(result.step_seconds) > 2
    assert result.observed.host == "container"
    assert result.plan.graph.path == str(model)
    assert engine.containers() == []


def test_a_timeout(engine: StubEngine, model: Path) -> None:
    with pytest.raises(WorkerError, match=r"timeout=2\.0: the run had not ended by then"):
        benchmark(model, steps=10**9, timeout=2, docker_image=IMAGE)
    assert engine.containers() == []


def test_a_container_that_is_killed_says_so(engine: StubEngine, graph: Path) -> None:
    kill = once(lambda: os.kill(engine.containers()[0], signal.SIGKILL))
    with pytest.raises(WorkerError) as caught:
        benchmark(graph, steps=10**9, batch_size=4, docker_image=IMAGE, progress=kill)
    said = str(caught.value)
    assert said.startswith(
        "the container that ran the plan was killed by SIGKILL, as the system does when memory "
    )
    assert "batch_size=4: try 2. It printed nothing" in said
    assert engine.containers() == []


@pytest.mark.parametrize(
    ("code", "raised", "how"),
    [
        (
            3,
            WorkerError,
            "the container that ran the plan ended with exit code 3. It printed",
        ),
        (
            139,
            WorkerError,
            "the container that ran the plan was killed by SIGSEGV. It printed nothing",
        ),
        (125, ContainerError, f"docker_image='{IMAGE}': a container of it can't be started"),
    ],
)
def test_how_a_container_ended(code: int, raised: type, how: str, tmp_path: Path) -> None:
    ended: Any = SimpleNamespace(wait=lambda: code)
    plan: Any = SimpleNamespace(batch_size=4)
    with (tmp_path / "said").open("w+b") as said:
        death = Contained(
            plan=plan,
            process=ended,
            answers=0,
            said=said,
            image=IMAGE,
            name="the container that ran the plan",
        ).death()
    assert type(death) is raised and str(death).startswith(how)


def test_a_container_ends_when_nobody_is_there_any_more(engine: StubEngine, model: Path) -> None:
    code = (
        "import sys; from modelzoo_runner import benchmark;"
        "from modelzoo_runner.execution import container; container.OUTSIDE = sys.argv[3];"
        "benchmark(sys.argv[1], steps=10**9, docker_image=sys.argv[2])"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(model), IMAGE, container.OUTSIDE],
        env={**os.environ, "PYTHONPATH": FakeImage().modules},
    )
    try:
        wait_for(engine.containers)
        (process,) = engine.containers()
        time.sleep(1)
        os.kill(process, 0)
    finally:
        caller.kill()
        caller.wait()
    wait_for(lambda: not engine.containers())
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refused(**asked: Any) -> str:
    with pytest.raises(ContainerError) as caught:
        benchmark(**{"steps": 1, "docker_image": IMAGE, **asked})
    return str(caught.value)


def test_no_engine(engine: StubEngine, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (engine.folder / "down").touch()
    assert "no container engine answers: Cannot connect" in refused(model=model)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert "no container engine answers at DOCKER_HOST=unix:///nowhere.sock" in refused(model=model)


def test_no_docker_command(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContainerError, match=r"docker command .* install Docker"):
        benchmark(model, steps=1, docker_image=IMAGE)


def test_an_image_that_is_not_there_is_pulled(engine: StubEngine, model: Path) -> None:
    engine.add("mine:latest", FakeImage(to_pull=True))
    told: list[tuple[Any, ...]] = []
    benchmark(model, steps=1, docker_image="mine", progress=lambda *said: told.append(said))
    assert engine.asked("pull") == [["pull", "mine"]]
    assert [count for what, *count in told if what == "image layers"] == [
        [0, 1],
        [0, 2],
        [1, 2],
        [2, 2],
    ]
    benchmark(model, steps=1, docker_image="mine")
    assert len(engine.asked("pull")) == 1


def test_an_image_that_can_not_be_had(engine: StubEngine, model: Path) -> None:
    said = refused(model=model, docker_image="mine")
    assert said.startswith("docker_image='mine': this machine has no such image")
    assert "pull access denied for mine" in said and "docker build -t mine ." in said
    engine.add("mine:latest", FakeImage(to_pull=True))
    said = refused(model=model, docker_image="mine", offline=True)
    assert "offline=True" in said and "docker build -t mine ." in said
    assert engine.asked("run") == [] and len(engine.asked("pull")) == 1


def test_images_that_do_not_do(engine: StubEngine, model: Path, tmp_path: Path) -> None:
    def said_of(image: FakeImage) -> str:
        engine.add(IMAGE, image)
        said = refused(model=model)
        assert said.startswith(f"docker_image='{IMAGE}': a container of it can't be started")
        assert f"needs python and modelzoo_runner {__version__}" in said
        assert f"docker build -t {IMAGE} ." in said
        return said

    assert '"python": executable file not found' in said_of(FakeImage(python=()))
    said = said_of(FakeImage(python=(sys.executable, "-I", "-S")))
    assert "No module named 'modelzoo_runner'" in said
    other = tmp_path / "other"
    other.mkdir()
    for each in ("src", "presets"):
        (other / each).symlink_to(stub_engine.SOURCE.parent / each)
    (other / "sitecustomize.py").write_text(
        "import modelzoo_runner._version as found\nfound.__version__ = '0.0.1'\n"
    )
    said = said_of(FakeImage(modules=f"{other}:{FakeImage().modules}"))
    assert f"this is modelzoo_runner 0.0.1, not {__version__}" in said
    assert engine.containers() == []


def test_what_is_printed_does_not_get_between_the_messages(
    engine: StubEngine, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "fake_backend.py").write_text(
        Path(fake_backend.__file__).read_text()
        + "\nprint('hello', flush=True); os.system('echo from a child')\n"
    )
    engine.add(IMAGE, FakeImage(modules=f"{tmp_path}:{FakeImage().modules}"))
    assert len(benchmark(model, steps=5, docker_image=IMAGE).step_seconds) == 5


def test_the_engine_refuses(engine: StubEngine, model: Path) -> None:
    (engine.folder / "full").touch()
    assert "no space left on device" in refused(model=model)


def test_a_folder_of_links_to_elsewhere_is_refused(engine: StubEngine, tmp_path: Path) -> None:
    shards, links = tiny.shards(tmp_path / "shards", images=4), tmp_path / "links"
    links.mkdir()
    for shard in shards.iterdir():
        (links / shard.name).symlink_to(shard)
    model = tiny.classifier(tmp_path / "model.pb", output="predict:0", size=(224, 224))
    with pytest.raises(DataError, match="outside of the folder that the container gets"):
        accuracy("resnet50", weights=model, data_location=links, docker_image=IMAGE)


def test_the_image_by_name_and_id(engine: StubEngine) -> None:
    found = images.local(IMAGE, Context())
    assert found.id == FakeImage().id
    assert images.local(found.id or "", Context()).id == found.id
