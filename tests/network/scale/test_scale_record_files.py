"""Which record files of a bucket are fetched for a part of the examples, from a real server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_gcs
import pytest
import tiny
from coco_made import annotation, instances, write_images, write_json

from modelzoo_runner.data.convert import convert_coco
from modelzoo_runner.errors import DataError, FetchError
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.scale import record_files
from modelzoo_runner.scale.record_files import RecordFiles
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import presets
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

QUIET = Context()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gcs.FakeGcs]:
    with fake_gcs.running() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path / "cache"))
        yield server


def put(server: fake_gcs.FakeGcs, folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            server.put("data", f"some/{path.relative_to(folder)}", path.read_bytes())


@pytest.fixture
def imagenet(server: fake_gcs.FakeGcs, tmp_path: Path) -> None:
    """16 shards of 8 images, and what is none of them."""
    put(server, tiny.shards(tmp_path / "shards", images=128, files=16))
    server.put("data", "some/README", b"words")
    server.put("data", "some/train-00000-of-00002", b"no records")
    server.put("data", "some/train-00001-of-00002", b"no records")


def request(**asked: Any) -> Request:
    return Request(kind="accuracy", **{"data_location": "gs://data/some", **asked})


def plan(tmp_path: Path, files: RecordFiles, model: str = "resnet50", **asked: Any) -> Plan:
    """The plan of a worker that has this list of files."""
    location = str(record_files.write(files, tmp_path, QUIET))
    graph = tmp_path / "graph.pb"
    preset = presets.find(model)
    if model == "resnet50":
        tiny.classifier(graph, output="predict:0", size=(224, 224))
    else:
        tiny.detector(graph, dict(preset.graph["fp32"].outputs))
    own = request(weights=str(graph), data_location=location, **asked)
    return planner.plan(preset, own, QUIET)


def fetched(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "files").glob("*/content/*"))


def shards(*numbers: int) -> list[str]:
    return [f"validation-{number:05}-of-00016" for number in numbers]


@pytest.mark.usefixtures("imagenet")
def test_a_worker_has_what_it_counted_and_what_its_part_needs(tmp_path: Path) -> None:
    looked = record_files.look(request(), QUIET)
    assert looked is not None and fetched(tmp_path) == ["README"]
    files = record_files.with_names(looked, plan(tmp_path, looked), QUIET)
    assert files is not None and files.names == tuple(f"some/{each}" for each in shards(*range(16)))
    assert fetched(tmp_path) == ["README"]

    counts = record_files.count(files, files.names[8:], QUIET)
    assert counts == {f"some/{each}": 8 for each in shards(*range(8, 16))}
    assert fetched(tmp_path) == ["README", *shards(*range(8, 16))]

    counts |= dict.fromkeys(files.names[:8], 8)  # by the other worker
    files = dataclasses.replace(files, counts=counts)
    assert record_files.homes(files, {"a": files.names[:8], "b": files.names[8:]}) == {
        "a": 0,
        "b": 64,
    }
    whole = plan(tmp_path, files)
    assert tasks.dataset(whole).examples == 128
    # The order is one record each of four files in turn.
    for examples, needed in (((96, 112), range(12, 16)), ((32, 33), [4]), ((4, 9), range(4))):
        own = dataclasses.replace(whole, examples=examples)
        before = set(fetched(tmp_path))
        record_files.fetch(files, own, QUIET)
        assert set(fetched(tmp_path)) == before | set(shards(*needed))
        with tasks.open_source(own, None) as source:  # type: ignore[arg-type]
            names = [name for batch in source.batches for name in batch.names]
        assert len(names) == examples[1] - examples[0]


@pytest.mark.usefixtures("imagenet")
def test_a_file_that_changes_is_no_longer_the_one_that_was_listed(
    tmp_path: Path, server: fake_gcs.FakeGcs
) -> None:
    looked = record_files.look(request(), QUIET)
    assert looked is not None
    files = record_files.with_names(looked, plan(tmp_path, looked), QUIET)
    assert files is not None
    server.put("data", files.names[3], b"another")
    with pytest.raises(FetchError, match="validation-00003-of-00016"):
        record_files.count(files, files.names, QUIET)


@pytest.mark.usefixtures("imagenet")
def test_a_missing_shard_is_noticed_before_any_is_fetched(
    tmp_path: Path, server: fake_gcs.FakeGcs
) -> None:
    server.delete("data", f"some/{shards(5)[0]}")
    looked = record_files.look(request(), QUIET)
    assert looked is not None
    with pytest.raises(DataError, match="15 of 16 files are there; missing: 5"):
        record_files.with_names(looked, plan(tmp_path, looked), QUIET)
    partial = plan(tmp_path, looked, allow_partial=True)
    files = record_files.with_names(looked, partial, QUIET)
    assert files is not None and len(files.names) == 15 and fetched(tmp_path) == ["README"]


@pytest.mark.usefixtures("imagenet")
@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 5},
        {"data_location": "/somewhere"},
        {"data_location": f"gs://data/some/{shards(3)[0]}"},
        {"data_location": "gs://data/some/README*"},
        {"precision": "int8", "runtime": "openvino"},
    ],
)
def test_what_each_worker_fetches_whole(asked: dict[str, Any]) -> None:
    assert record_files.look(request(**asked), QUIET) is None


def test_coco(tmp_path: Path, server: fake_gcs.FakeGcs) -> None:
    truth = instances([(8, 6)] * 9, *(annotation(n, n) for n in range(1, 10)))
    write_json(tmp_path / "made" / "instances_val2017.json", truth)
    images = write_images(tmp_path / "made" / "val2017", truth)
    convert_coco(images, images.parent, tmp_path / "records", shards=3)
    put(server, tmp_path / "records")
    write_json(tmp_path / "instances_val2017.json", truth)
    server.put(
        "data",
        "some/instances_val2017.json",
        (tmp_path / "instances_val2017.json").read_bytes(),
    )
    looked = record_files.look(request(), QUIET)
    assert looked is not None and fetched(tmp_path) == ["instances_val2017.json"]
    found = plan(tmp_path, looked, "ssd-mobilenet")
    files = record_files.with_names(looked, found, QUIET)
    assert files is not None and len(files.names) == 3
    counts = dict.fromkeys(files.names, 3)
    files = dataclasses.replace(files, counts=counts)
    own = dataclasses.replace(plan(tmp_path, files, "ssd-mobilenet"), examples=(3, 5))
    record_files.fetch(files, own, QUIET)
    assert len(fetched(tmp_path)) == 2
    with tasks.open_source(own, None) as source:  # type: ignore[arg-type]
        assert [batch.truth.ids for batch in source.batches] == [(4,), (5,)]
        assert len(source.truth["annotations"]) == 2


def test_a_folder_of_images(tmp_path: Path, server: fake_gcs.FakeGcs) -> None:
    truth = instances([(8, 6)] * 3, *(annotation(n, n) for n in range(1, 4)))
    put(server, write_images(tmp_path / "made" / "val2017", truth))
    assert record_files.look(request(), QUIET) is None
