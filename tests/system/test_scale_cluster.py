"""Accuracy runs over a real Dask cluster on loopback: two worker processes of one core each."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_clusters
import fake_backend
import fake_gcs
import fake_task
import pytest
import tiny
from distributed import Client, LocalCluster

from modelzoo_runner import (
    AccuracyResult,
    BenchmarkResult,
    BindingError,
    DataError,
    Failure,
    Interrupted,
    MissingDependency,
    RequestError,
    WorkerError,
    accuracy,
    sweep,
    tune,
)
from modelzoo_runner.data.convert import convert_imagenet
from modelzoo_runner.execution import forks
from modelzoo_runner.machine import topology
from modelzoo_runner.scale import calls, cluster, cluster_worker, handing

pytestmark = [
    pytest.mark.usefixtures("same_pools"),
    pytest.mark.skipif(
        len(topology.read().cores()) < 2, reason="two workers need two physical cores"
    ),
]

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
"""What keeps a run in this process."""

Told = tuple[str, int, "int | None"]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers of one thread each, which share this machine's cores."""
    with dask_clusters.running(2) as client:
        yield client


@pytest.fixture
def two(client: Client) -> Client:
    """The client with both of its workers there, also after a test that killed one."""
    client.wait_for_workers(2, timeout=180)
    return client


class Killing:
    """A progress callback that kills a worker as soon as so many examples are done."""

    def __init__(self, client: Client, after: int) -> None:
        self.pids = client.run(os.getpid)
        self.after = after
        self.killed: list[int] = []

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what == "examples" and done >= self.after and not self.killed:
            self.killed.append(next(iter(self.pids.values())))
            os.kill(self.killed[0], signal.SIGKILL)


# Real images.


@pytest.fixture(scope="module")
def imagenet(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A real classifier and 500 real images, as arguments."""
    out = tmp_path_factory.mktemp("imagenet") / "shards"
    synsets = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    convert_imagenet(samples / "imagenet" / "images", synsets, out, shards=7)
    return {
        "model": "mobilenet_v1",
        "weights": samples / "graphs" / "mobilenet_v1_0.25_224_frozen.pb",
        "outputs": {"scores": "predictions:0"},
        "data_location": out,
        "batch_size": 32,
    }


@pytest.fixture(scope="module")
def alone(imagenet: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AccuracyResult:
    rows = tmp_path_factory.mktemp("alone") / "rows.csv"
    return accuracy(**imagenet, **HERE, predictions=rows)


def same(found: AccuracyResult, alone: AccuracyResult) -> None:
    assert (found.counts, found.scores) == (alone.counts, alone.scores)
    assert found.examples == alone.examples == 500
    edges = [0, *(each.examples[1] for each in found.parts)]
    assert [each.examples[0] for each in found.parts] == edges[:-1] and edges[-1] == 500


def test_what_dask_does_often_on_a_worker_is_rare_while_it_is_measured(
    two: Client, tmp_path: Path
) -> None:
    def done_each(dask_worker: Any) -> set[float]:
        names = ("profile", "tick")
        return {dask_worker.periodic_callbacks[name].callback_time for name in names}

    assert list(two.run(done_each).values()) == 2 * [{10, 20}]
    with cluster.joined(two):
        assert list(two.run(done_each).values()) == 2 * [{1000}]
        with worker(two, tmp_path):  # one that comes later
            assert list(two.run(done_each).values()) == 3 * [{1000}]
    assert list(two.run(done_each).values()) == 2 * [{10, 20}]
    with contextlib.ExitStack() as second, cluster.joined(two):
        second.enter_context(cluster.joined(two))
    assert list(two.run(done_each).values()) == 2 * [{10, 20}]


def test_counts_are_those_of_one_process(
    two: Client, imagenet: dict[str, Any], alone: AccuracyResult, tmp_path: Path
) -> None:
    told: list[Told] = []
    found = accuracy(
        **imagenet,
        client=two,
        predictions=tmp_path / "rows.csv",
        progress=lambda *said: told.append(said),
    )
    same(found, alone)
    assert alone.scores["top1"] > 0.4
    assert (tmp_path / "rows.csv").read_text() == Path(alone.plan.predictions or "").read_text()
    # Each part on one core, and both cores used.
    assert {len(each.cpus) for each in found.parts} == {1}
    assert len({each.cpus for each in found.parts}) == 2
    for each in found.parts:
        (cpu,) = each.cpus
        assert {cpus for row in each.threads["found"].values() for cpus in row["cpus"]} == {
            str(cpu)
        }
        assert (
            each.machine["id"]
            and each.machine["process"]["env"].get("MALLOC_TRIM_THRESHOLD_") is None
        )
    # One opened graph on each worker.
    assert sum(bool(each.setup_seconds) for each in found.parts) == 2
    assert told[0] == ("examples", 0, 500) and told[-1] == ("examples", 500, 500)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert found.observed.host == "child" and len(found.parts) > 4
    assert f"in {len(found.parts)} parts" in str(found)


@pytest.fixture(scope="module")
def coco(samples: Path) -> dict[str, Any]:
    folder = samples / "coco" / "val2017_mini"
    return {
        "model": "ssd-mobilenet",
        "weights": samples / "graphs" / "ssd_mobilenet_v1_0.75_coco_frozen_inference_graph.pb",
        "data_location": folder / "images",
        "annotations": folder / "instances_val2017_mini.json",
    }


def test_coco_scores_are_those_of_one_process_also_when_a_worker_is_killed(
    two: Client, coco: dict[str, Any], tmp_path: Path
) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    # On one core as each worker is: with two threads the last digits may be others.
    alone = accuracy(**coco, num_cores=1, limit=60, predictions=one)
    killing = Killing(two, after=12)
    found = accuracy(**coco, client=two, limit=60, predictions=many, progress=killing)
    assert killing.killed
    assert found.examples == alone.examples == 60 and alone.scores["AP"] > 0.15
    for name in ("scores", "legacy_scores", "per_category"):
        assert getattr(found, name) == pytest.approx(getattr(alone, name), abs=1e-12)
    assert len(found.parts) > 2
    assert many.read_bytes() == one.read_bytes()


# Small graphs and small data.


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("small")
    graph = tiny.classifier(folder / "graph.pb", output="predict:0", size=(224, 224))
    shards = tiny.shards(folder / "shards", images=24, files=3)
    return {"model": "resnet50", "weights": graph, "data_location": shards, "batch_size": 4}


@pytest.fixture
def numbers(tmp_path: Path) -> dict[str, Any]:
    """A run of 64 steps without TensorFlow, as arguments."""
    given = fake_task.arguments(tmp_path / "given", examples=128, seconds=0.02)
    return given | {"batch_size": 2}


@pytest.mark.usefixtures("fakes")
def test_a_killed_workers_part_is_done_again_and_counted_once(
    two: Client, numbers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or all parts are of one size, eight of them, where both workers are equally fast.
    monkeypatch.setattr(handing, "LEAST_SECONDS", 0.0)
    killing = Killing(two, after=16)
    found = accuracy(**numbers, client=two, checkpoint=tmp_path / "kept", progress=killing)
    assert killing.killed
    edges = [0, *(each.examples[1] for each in found.parts)]
    assert [each.examples[0] for each in found.parts] == edges[:-1] and edges[-1] == 128
    assert found.examples == 128 and found.scores == {"mean": 63.5}
    assert len(list((tmp_path / "kept").glob("*.done"))) == len(found.parts) > 8


def children(client: Client) -> int:
    """How many processes of ours the workers have, without those that are kept to fork others."""

    def count() -> int:
        kept = {each.process.pid for each in (*forks._servers.values(), *forks._retired)}
        return len(set(dask_clusters.descendants(os.getpid())) - kept)

    return sum(client.run(count).values())


@pytest.mark.usefixtures("fakes")
def test_ctrl_c_gives_what_is_done_and_ends_the_rest(
    two: Client, numbers: dict[str, Any], tmp_path: Path
) -> None:
    def progress(what: str, done: int, total: int | None) -> None:
        if done >= 8:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    with pytest.raises(Interrupted) as raised:
        accuracy(**numbers, client=two, checkpoint=tmp_path / "kept", progress=progress)
    partial = raised.value.result
    assert partial.interrupted and partial.examples >= 8
    deadline = time.monotonic() + 20
    while children(two) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children(two) == 0
    found = accuracy(**numbers, client=two.scheduler.address, checkpoint=tmp_path / "kept")
    assert found.examples == 128 and not found.interrupted
    # And here what is all done.
    assert accuracy(**numbers, checkpoint=tmp_path / "kept").scores == found.scores


@contextlib.contextmanager
def bucket(client: Client, folder: Path, caches: Path) -> Iterator[fake_gcs.FakeGcs]:
    """A server that has the files of a folder as gs://images/some; each worker has a cache."""

    def use(url: str) -> None:
        cache = f"{caches}/{os.getpid()}"
        os.environ.update(STORAGE_EMULATOR_HOST=url, MODELZOO_RUNNER_CACHE=cache)

    def no_longer() -> None:
        for name in ("STORAGE_EMULATOR_HOST", "MODELZOO_RUNNER_CACHE"):
            del os.environ[name]

    with fake_gcs.running() as server:
        for path in folder.iterdir():
            server.put("images", f"some/{path.name}", path.read_bytes())
        client.run(use, server.url)
        try:
            yield server
        finally:
            client.run(no_longer)


def fetched(caches: Path) -> list[set[str]]:
    """The shards that each worker has in its cache."""
    found = [{path.name for path in each.rglob("*-of-*")} for each in caches.iterdir()]
    assert len(found) == 2
    return found


def test_each_worker_fetches_what_it_needs_of_a_bucket(
    two: Client, small: dict[str, Any], tmp_path: Path
) -> None:
    shards = tiny.shards(tmp_path / "shards", images=96, files=24)
    here = accuracy(**{**small, "data_location": shards}, **HERE, predictions=tmp_path / "1.csv")
    caches = tmp_path / "caches"
    given = {**small, "data_location": "gs://images/some"}
    with bucket(two, shards, caches) as server:
        found = accuracy(**given, client=two, predictions=tmp_path / "2.csv")
        of_workers = fetched(caches)
        asked = server.requests("GET /download/")
    assert found.counts == here.counts and found.examples == 96
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    assert found.plan.data_location == "gs://images/some"
    # All shards are in one of them at least, and none was fetched by one of them twice.
    assert set.union(*of_workers) == {path.name for path in shards.iterdir()}
    assert len(asked) == sum(map(len, of_workers))


def test_with_a_limit_each_worker_fetches_what_that_needs(
    two: Client, small: dict[str, Any], tmp_path: Path
) -> None:
    shards = tiny.shards(tmp_path / "shards", images=96, files=24)
    given = {**small, "data_location": "gs://images/some", "limit": 16}
    with bucket(two, shards, tmp_path / "caches"):
        assert accuracy(**given, client=two).examples == 16
    needed = {f"validation-{number:05}-of-00024" for number in range(7)}
    assert fetched(tmp_path / "caches") == [needed, needed]


def test_an_error_names_the_worker(two: Client, small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        accuracy(**{**small, "data_location": tmp_path / "none"}, client=two)
    assert str(raised.value).startswith("worker tcp://127.0.0.1:")
    assert f": {tmp_path / 'none'}: there is no such file or folder." in str(raised.value)


def test_a_broken_record_is_named_by_whoever_reads_it(
    two: Client, small: dict[str, Any], tmp_path: Path
) -> None:
    broken = tiny.shards(tmp_path / "broken", images=24, files=3)
    path = sorted(broken.iterdir())[2]
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=rf"^worker tcp://127.0.0.1:\d+: {path}: record 7 at byte"):
        accuracy(**{**small, "data_location": broken}, client=two)


@contextlib.contextmanager
def worker(client: Client, folder: Path, **variables: str) -> Iterator[None]:
    """One more worker, from a folder, with other variables."""
    before = set(client.nthreads())
    command = [sys.executable, "-m", "distributed.cli.dask_worker", client.scheduler.address]
    command += ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **variables}, stderr=subprocess.DEVNULL
    )
    try:
        client.wait_for_workers(len(before) + 1, timeout=60)
        yield
    finally:
        process.terminate()
        process.wait()
        while set(client.nthreads()) != before:
            time.sleep(0.05)


def test_a_worker_with_other_versions_is_refused_by_name(
    two: Client, small: dict[str, Any], tmp_path: Path
) -> None:
    for package in ("modelzoo_runner", "numpy", "tensorflow_cpu"):
        stub = tmp_path / f"{package}-0.0.1.dist-info"
        stub.mkdir()
        (stub / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
    before = set(two.nthreads())
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    with worker(two, tmp_path, PYTHONPATH=path):
        (address,) = set(two.nthreads()) - before
        with pytest.raises(BindingError) as raised:
            accuracy(**small, client=two)
    for name in ("modelzoo_runner", "numpy", "tensorflow"):
        assert f"worker {address} has {name} 0.0.1, and here it is " in str(raised.value)
    assert "install the same" in str(raised.value)


# Sweeps.


@pytest.mark.usefixtures("fakes")
def test_a_sweep_over_workers_is_in_order_with_failures_in_their_places(
    two: Client, numbers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(numbers["weights"]).parent)
    told: list[Told] = []
    quick = {"model": "./model.fake", "batch_size": 2, "warmup_steps": 1, "steps": 3}
    runs = [
        {**quick, "socket_id": 99},
        {"verb": "accuracy", **numbers, "data_location": "numbers"},
        {**quick, "seed": 3, "num_cores": 1},
    ]
    found = sweep(
        runs,
        client=two,
        checkpoint=tmp_path / "kept",
        progress=lambda *said: told.append(said),
    )
    failed, scored, measured = found
    assert isinstance(failed, Failure) and failed.error == "BindingError"
    assert failed.message.startswith("worker tcp://127.0.0.1:")
    assert isinstance(scored, AccuracyResult) and scored.examples == 128
    assert isinstance(measured, BenchmarkResult) and measured.plan.seed == 3
    # Each has its node to itself, and Dask's wish for one OpenMP thread is nobody's wish for a run.
    assert len(scored.plan.placement.cpus) == len(topology.read().cores())
    env = scored.plan.placement.env
    assert env["OMP_NUM_THREADS"] == str(scored.plan.placement.intra_threads)
    assert "MALLOC_TRIM_THRESHOLD_" not in scored.observed.machine["process"]["env"]
    assert len(measured.plan.placement.cpus) == 1
    assert told == [("runs", done, 3) for done in range(4)]
    assert list(sweep(runs[1:], client=two, checkpoint=tmp_path / "kept")) == [scored, measured]


def test_one_run_at_a_time_is_on_a_node(two: Client) -> None:
    def seconds() -> tuple[float, float]:
        start = time.monotonic()
        time.sleep(0.5)
        return start, time.monotonic()

    with cluster.joined(two) as group:
        calls = {str(number): (seconds,) for number in range(4)}
        with group.doing(cluster_worker.alone, calls) as answers:
            found = [answer for _, answer in answers]
    spans = sorted(answer.value for answer in found)
    assert len(spans) == 4 and len({answer.worker for answer in found}) == 2
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.fixture
def nothing_is_moved(two: Client) -> Iterator[None]:
    """Dask moves nothing that waits on one worker to another one, where it comes at the end."""

    async def stop(dask_scheduler: Any) -> None:
        await dask_scheduler.extensions["stealing"].stop()

    async def start(dask_scheduler: Any) -> None:
        await dask_scheduler.extensions["stealing"].start()

    two.run_on_scheduler(stop)
    yield
    two.run_on_scheduler(start)


@pytest.mark.usefixtures("nothing_is_moved")
def test_what_there_is_to_do_is_begun_in_its_order(two: Client) -> None:
    def begun() -> float:
        start = time.monotonic()
        time.sleep(0.02)
        return start

    with cluster.joined(two) as group:
        each = {str(number): (begun,) for number in range(12)}
        with group.doing(cluster_worker.alone, each) as answers:
            found = [(answer.worker, answer.value, int(name)) for name, answer in answers]
    for worker in {each[0] for each in found}:
        begun_there = [number for where, _, number in sorted(found) if where == worker]
        assert begun_there == sorted(begun_there) and begun_there[0] <= 1


def test_what_a_dead_worker_had_to_do_another_one_does(two: Client, tmp_path: Path) -> None:
    def die_once() -> str:
        with contextlib.suppress(FileExistsError):
            (tmp_path / "died").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    with (
        cluster.joined(two) as group,
        group.doing(cluster_worker.alone, {"a": (die_once,), "b": (os.getpid,)}) as answers,
    ):
        found = dict(answers)
    assert found["a"].value == "done" and isinstance(found["b"].value, int)


def test_an_answer_that_died_with_its_worker_is_not_waited_for(
    two: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "SECONDS_TO_ANSWER", 0.5)
    monkeypatch.setattr(calls, "SECONDS_BETWEEN_LOOKS", 0.0)
    with cluster.joined(two) as group, calls.Calls(group) as under_way:
        worker = under_way.idle()[0]
        under_way.start(worker, cluster_worker.alone, os.getpid)
        deadline = time.monotonic() + 20
        while not under_way._running[worker].done():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (pid,) = two.run(os.getpid, workers=[worker]).values()
        os.kill(pid, signal.SIGKILL)
        while worker in two.nthreads():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert under_way.next(1.0) is None
        assert list(under_way.lost()) == [worker]
        assert under_way.next(1.0) is None
        assert worker not in under_way.workers


def test_what_kills_every_worker_is_given_up_with_a_word(two: Client) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def allow(failures: int) -> None:
        def change(dask_scheduler: Any) -> None:
            dask_scheduler.allowed_failures = failures

        two.run_on_scheduler(change)

    allow(0)
    try:
        with (
            cluster.joined(two) as group,
            group.doing(cluster_worker.alone, {"a": (die,)}) as answers,
        ):
            ((_, answer),) = answers
    finally:
        allow(3)
    assert isinstance(answer.error, WorkerError)
    assert f"{answer.worker} the last, died" in str(answer.error)
    assert "smaller batch_size" in str(answer.error)


def test_what_nobody_foresaw_is_told(two: Client) -> None:
    def fail() -> None:
        raise ZeroDivisionError("my mistake")

    with cluster.joined(two) as group, group.doing(cluster_worker.alone, {"a": (fail,)}) as answers:
        ((_, answer),) = answers
    assert "ZeroDivisionError: my mistake" in str(answer.error)


def test_a_run_of_a_sweep_is_a_child_of_its_worker(two: Client) -> None:
    with pytest.raises(RequestError) as raised:
        sweep([{"model": "resnet50", "isolation": "none"}], client=two)
    assert str(raised.value).startswith('runs[0]: isolation="none": with client= ')
    with pytest.raises(RequestError) as raised:
        sweep([{"model": "resnet50", "docker_image": "runner:1"}], client=two)
    assert str(raised.value).startswith("runs[0]: docker_image='runner:1': ")


# Tuning.


@pytest.mark.usefixtures("fakes")
def test_a_worker_tunes_with_its_node_to_itself(
    two: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_backend.write(tmp_path / "model.fake", seconds=0.02, example=0.001)
    monkeypatch.chdir(tmp_path)
    held = {"allocator": "system", "num_inter_threads": 1, "num_intra_threads": 1}
    asked = {**held, "runtimes": ["fake"], "precisions": ["fp32"], "batch_sizes": [1, 8]}
    found = tune("model.fake", **asked, client=two, checkpoint="kept", budget=15)
    assert found.arguments["batch_size"] == 8  # in 28 ms, and one example in 21 ms
    assert (tmp_path / "kept" / "run.json").exists()
    began = time.monotonic()
    again = tune("model.fake", **asked, client=two, checkpoint="kept", budget=15)
    assert again.arguments == found.arguments and time.monotonic() - began < found.seconds
    with pytest.raises(RequestError, match=r"^worker tcp://127.0.0.1:\d+: .*none.fake"):
        tune("none.fake", **asked, client=two, budget=15)


# What is refused.


@pytest.mark.parametrize(
    "asked",
    [{"cpus": "0"}, {"socket_id": 0}, {"numa_node": 0}, {"binding": "none"}, {"isolation": "none"}],
    ids=lambda asked: next(iter(asked)),
)
def test_where_a_worker_runs_is_not_the_callers_to_say(
    two: Client, small: dict[str, Any], asked: dict[str, Any]
) -> None:
    ((name, value),) = asked.items()
    with pytest.raises(RequestError, match=f"^{name}=.?{value}.?: with client= each worker"):
        accuracy(**small, **asked, client=two)


# Without a cluster.


def test_without_dask_the_pip_line(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency) as raised:
        accuracy(**small, client="tcp://127.0.0.1:8786")
    assert str(raised.value) == (
        "client=: distributed isn't installed, which talks to Dask's workers: "
        "pip install 'modelzoo_runner[dask]'"
    )


def test_what_is_no_client(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError) as raised:
        accuracy(**small, client=2)
    assert str(raised.value) == (
        "client=2: should be a distributed.Client that isn't asynchronous, or the address of a "
        "Dask scheduler"
    )
    monkeypatch.setattr(cluster, "SECONDS_TO_ANSWER", 0.5)
    with pytest.raises(RequestError) as raised:
        accuracy(**small, client="tcp://127.0.0.1:1")
    assert str(raised.value).startswith(
        "client='tcp://127.0.0.1:1': no Dask scheduler answers there: "
    )
    assert str(raised.value).endswith(
        ". Give its address, as tcp://host:8786, or a distributed.Client"
    )


def test_a_cluster_without_workers(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SECONDS_FOR_WORKERS", 0.2)
    with (
        LocalCluster(n_workers=0, **dask_clusters.LOOPBACK) as local,
        pytest.raises(RequestError) as raised,
    ):
        accuracy(**small, client=local.scheduler_address)
    assert str(raised.value).endswith(
        ": the cluster has no workers, and got none in 0.2 s; start some"
    )
