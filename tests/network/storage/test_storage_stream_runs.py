"""Both verbs on data that stays in its bucket: the numbers of a run from the disk, and no copy."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import stub_server
import tiny
from fake_gcs import FakeGcs
from stub_server import Handler, Stub

from modelzoo_runner import (
    AccuracyResult,
    DataError,
    FetchError,
    RequestError,
    accuracy,
    benchmark,
    convert_coco,
    load,
    models,
)
from modelzoo_runner.cli import main as cli
from modelzoo_runner.data.records import index

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
"""What keeps a run in this process: the same pools for all, and nothing to preload."""

SHARDS = [f"validation-{number:05}-of-00008" for number in range(8)]

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "graph.pb"
    return tiny.classifier(path, output="predict:0", size=(224, 224))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """42 images in shards of 6, 6, 5, 5, 5, 5, 5 and 5."""
    return tiny.shards(tmp_path_factory.mktemp("data") / "shards", images=42, files=8)


@pytest.fixture
def bucket(gcs: FakeGcs, shards: Path) -> FakeGcs:
    for path in shards.iterdir():
        gcs.put("gs", f"imagenet/{path.name}", path.read_bytes())
    return gcs


@pytest.fixture
def score(graph: Path, tmp_path: Path) -> Callable[..., AccuracyResult]:
    def score(location: Path | str, **asked: Any) -> AccuracyResult:
        given = {"batch_size": 4, "stream": not isinstance(location, Path), **HERE, **asked}
        return accuracy("resnet50", weights=graph, data_location=location, **given)

    return score


def asked_for(server: FakeGcs, before: int) -> list[str]:
    """The objects whose content was asked for, in the order of their requests."""
    lines = [line for line in server.requests()[before:] if "/download/" in line]
    return [line.partition("?")[0].rpartition("/")[2] for line in lines]


def test_a_score_is_that_of_a_run_from_the_disk(
    bucket: FakeGcs, shards: Path, score: Any, tmp_path: Path, cache_folder: Path
) -> None:
    from_disk = score(shards, predictions=tmp_path / "disk.csv")
    before = len(bucket.requests())
    streamed = score("gs://gs/imagenet/", predictions=tmp_path / "streamed.csv")

    assert streamed.examples == 42 and streamed.counts == from_disk.counts
    assert (tmp_path / "streamed.csv").read_text() == (tmp_path / "disk.csv").read_text()
    assert len(streamed.step_seconds) == len(from_disk.step_seconds) == 11
    # One listing; the first shard's beginning says what kind of records they are.
    assert len(bucket.requests()) == before + 1 + 1 + 8
    assert asked_for(bucket, before) == [SHARDS[0], *SHARDS]
    assert not cache_folder.exists()

    assert streamed.plan.stream and streamed.plan.data_location == "gs://gs/imagenet/"
    assert "batch 4, gs://gs/imagenet/, streamed\n" in str(streamed)
    assert load(streamed.save(tmp_path / "result.json")) == streamed


def test_a_child_streams_as_well(
    bucket: FakeGcs, score: Any, tmp_path: Path, cache_folder: Path
) -> None:
    here = score("gs://gs/imagenet", predictions=tmp_path / "here.csv")
    there = score("gs://gs/imagenet", predictions=tmp_path / "there.csv", isolation="child")
    assert (here.observed.host, there.observed.host) == ("process", "child")
    assert there.counts == here.counts
    assert (tmp_path / "there.csv").read_text() == (tmp_path / "here.csv").read_text()
    assert not cache_folder.exists()


@pytest.mark.parametrize(("limit", "needed"), [(1, 1), (8, 4), (26, 8)])
def test_a_limit_reads_no_shard_it_does_not_need(
    bucket: FakeGcs, shards: Path, score: Any, limit: int, needed: int
) -> None:
    before = len(bucket.requests())
    result = score("gs://gs/imagenet/validation-*", limit=limit)
    assert asked_for(bucket, before) == [SHARDS[0], *SHARDS[:needed]]
    assert result.counts == score(shards, limit=limit).counts
    said = f"a part of the set: {limit} examples, because of limit={limit}"
    assert said in result.warnings


def test_a_limit_beyond_the_end_is_no_part(bucket: FakeGcs, score: Any) -> None:
    result = score("gs://gs/imagenet/", limit=1000)
    assert result.examples == 42
    assert not any("a part of the set" in said for said in result.warnings)


def test_benchmark_goes_over_the_data_again(
    bucket: FakeGcs, graph: Path, cache_folder: Path
) -> None:
    before = len(bucket.requests())
    result = benchmark(
        "resnet50",
        weights=graph,
        data_location="gs://gs/imagenet/",
        stream=True,
        batch_size=5,
        warmup_steps=1,
        steps=20,
        **HERE,
    )
    assert result.examples == 100, "a short batch in the middle"
    assert asked_for(bucket, before)[: 1 + 8 + 8] == [SHARDS[0], *SHARDS, *SHARDS]
    assert any(said.startswith("the data was streamed: ") for said in result.warnings)
    assert not cache_folder.exists()


def test_the_command(bucket: FakeGcs, graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["accuracy", "resnet50", "--weights", str(graph), "--num-inter-threads", "1"]
    where = ["--data-location", "gs://gs/imagenet", "--stream"]
    assert cli.main([*command, *where, "--limit", "2"]) == 0
    assert "gs://gs/imagenet, streamed" in capsys.readouterr().out
    assert cli.main([*command, "--data-location", "/imagenet", "--stream"]) == 2
    assert capsys.readouterr().err == (
        "RequestError: stream=True: data_location='/imagenet' isn't in a bucket (gs://...), and "
        "only from there data can be read without a copy on the disk; leave stream out\n"
    )


# What goes wrong while it runs.


def test_a_shard_that_is_overwritten_during_the_run(bucket: FakeGcs, score: Any) -> None:
    def overwrite(what: str, done: int, total: int | None) -> None:
        bucket.put("gs", f"imagenet/{SHARDS[7]}", b"something else")

    with pytest.raises(FetchError) as raised:
        score("gs://gs/imagenet/", batch_size=1, progress=overwrite)
    said = str(raised.value)
    assert said.startswith(f"gs://gs/imagenet/{SHARDS[7]}: 404: ")
    assert said.endswith(
        "No bucket or object of that name that anonymous may see, or it was overwritten while it "
        "was fetched."
    )


@pytest.fixture
def unreliable(web: Stub, shards: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """A bucket on a server of the test's own, which can do wrong with its second shard."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", web.url)
    items = []
    for path in sorted(shards.iterdir()):
        content = path.read_bytes()
        checksum = google_crc32c.value(content).to_bytes(4, "big")
        items.append(
            {
                "name": f"x/{path.name}",
                "bucket": "bad",
                "generation": "7",
                "size": str(len(content)),
                "crc32c": base64.b64encode(checksum).decode(),
            }
        )
        web.at(media(path.name), stub_server.file(content))

    def listing(handler: Handler) -> None:
        body = json.dumps({"items": items}).encode()
        handler.send(200, body, Content_Type="application/json")

    web.at("/storage/v1/b/bad/o", listing)
    return web


def media(name: str) -> str:
    return f"/download/storage/v1/b/bad/o/x%2F{name}"


def test_a_shard_that_breaks_off_goes_on(unreliable: Stub, shards: Path, score: Any) -> None:
    content = (shards / SHARDS[1]).read_bytes()
    unreliable.at(media(SHARDS[1]), stub_server.cut(content, 3000), stub_server.file(content))
    assert score("gs://bad/x/").counts == score(shards).counts
    ranges = [each.get("Range") for _, path, each in unreliable.seen if SHARDS[1] in path]
    assert ranges == [None, "bytes=3000-"]


def test_a_shard_that_is_refused(unreliable: Stub, score: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    unreliable.at(media(SHARDS[1]), stub_server.status(403, b"not you"))
    with pytest.raises(FetchError, match=rf"^gs://bad/x/{SHARDS[1]}: 403: anonymous may not read"):
        score("gs://bad/x/")


def test_a_shard_that_is_damaged_on_the_way(unreliable: Stub, shards: Path, score: Any) -> None:
    content = bytearray((shards / SHARDS[1]).read_bytes())
    content[-100] ^= 1
    unreliable.at(media(SHARDS[1]), stub_server.file(bytes(content)))
    with pytest.raises(FetchError) as raised:
        score("gs://bad/x/")
    assert str(raised.value) == (
        f"gs://bad/x/{SHARDS[1]}: what was read does not fit the object's crc32c. It was damaged "
        "on the way: read it again."
    )


def test_a_shard_that_is_damaged_in_the_bucket(gcs: FakeGcs, shards: Path, score: Any) -> None:
    for path in shards.iterdir():
        gcs.put("worn", path.name, path.read_bytes())
    content = bytearray((shards / SHARDS[1]).read_bytes())
    offset = index(shards / SHARDS[1])[3].offset
    content[offset + 50] ^= 1
    gcs.put("worn", SHARDS[1], bytes(content))
    with pytest.raises(DataError) as raised:
        score("gs://worn")
    assert str(raised.value) == (
        f"gs://worn/{SHARDS[1]}: record 3 at byte {offset}: the record's checksum is wrong. The "
        "file is damaged: get or convert it again."
    )


# What can't be asked for.


def test_what_can_not_be_streamed(score: Any, graph: Path, monkeypatch: Any) -> None:
    with pytest.raises(RequestError) as raised:
        benchmark("resnet50", weights=graph, stream=True)
    assert str(raised.value) == (
        "stream=True: there is nothing to read without data_location (the input is made); give "
        'data_location="gs://bucket/...", or leave stream out'
    )
    with pytest.raises(RequestError, match=r"^stream='yes': should be True or False$"):
        score("gs://b/x", stream="yes")
    with pytest.raises(RequestError, match=r"data_location='https://x/y' isn't in a bucket"):
        score("https://x/y")
    with pytest.raises(RequestError, match=r"^stream=True: data_location='/x' isn't in a bucket"):
        score(Path("/x"), stream=True)
    with pytest.raises(RequestError) as raised:
        score("gs://b/x", stream=True, docker_image="runner:1")
    assert str(raised.value) == (
        "stream=True: with docker_image='runner:1' the run has no network to read over; leave "
        "stream out, and the data is fetched before"
    )
    offline = (
        "stream=True: offline, gs://b/x can't be read where it is; leave stream out to use what "
        "was fetched of it before"
    )
    with pytest.raises(RequestError) as raised:
        score("gs://b/x", offline=True)
    assert str(raised.value) == offline
    monkeypatch.setenv("MODELZOO_RUNNER_OFFLINE", "1")
    with pytest.raises(RequestError) as raised:
        score("gs://b/x")
    assert str(raised.value) == offline


def test_a_place_with_other_things_says_what_is_there(bucket: FakeGcs, score: Any) -> None:
    bucket.put("gs", "other/train-00000-of-01024", b"x")
    with pytest.raises(DataError) as raised:
        score("gs://gs/other")
    said = str(raised.value)
    assert said.startswith("gs://gs/other: no validation records. Looked for validation-*-of-* ")
    assert "Found: train-*-of-01024. Those are training images" in said
    with pytest.raises(FetchError, match=r"^gs://gs/imagenets: nothing is there .* 'imagenet'"):
        score("gs://gs/imagenets")


def test_a_missing_shard_is_missed(gcs: FakeGcs, shards: Path, score: Any) -> None:
    for name in SHARDS[:7]:
        gcs.put("partly", name, (shards / name).read_bytes())
    with pytest.raises(DataError, match=r"^gs://partly/: 7 of 8 files are there; missing: 7\. "):
        score("gs://partly")
    result = score("gs://partly", allow_partial=True)
    assert result.examples == 37
    assert "a part of the set: shards 7 are missing" in result.warnings


# Detectors.

SSD = models()["ssd-mobilenet"].graph["fp32"]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "detector.pb"
    return tiny.detector(path, dict(SSD.outputs), input=SSD.input)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, the annotations beside them, and records of both."""
    folder = tmp_path_factory.mktemp("coco")
    images, annotations = tiny.coco(folder)
    convert_coco(images, annotations, folder / "records", shards=3)
    return folder


@pytest.fixture
def coco_bucket(gcs: FakeGcs, coco: Path) -> FakeGcs:
    for path in coco.rglob("*"):
        if path.is_file():
            gcs.put("coco", path.relative_to(coco).as_posix(), path.read_bytes())
    return gcs


@pytest.mark.parametrize(("batch_size", "limit"), [(1, None), (2, 3)])
@pytest.mark.parametrize(
    ("place", "annotations"),
    [
        ("records", None),
        ("records", "instances_val2017.json"),
        ("val2017", "instances_val2017.json"),
        ("", None),
    ],
)
def test_detections_are_those_of_a_run_from_the_disk(
    coco_bucket: FakeGcs,
    coco: Path,
    detector: Path,
    tmp_path: Path,
    cache_folder: Path,
    place: str,
    annotations: str | None,
    batch_size: int,
    limit: int | None,
) -> None:
    def run(top: str, file: str, **asked: Any) -> AccuracyResult:
        return accuracy(
            "ssd-mobilenet",
            weights=detector,
            data_location=f"{top}/{place}",
            annotations=annotations and f"{top}/{annotations}",
            batch_size=batch_size,
            limit=limit,
            predictions=tmp_path / file,
            **HERE,
            **asked,
        )

    before = len(coco_bucket.requests())
    streamed = run("gs://coco", "streamed.json", stream=True)
    asked = asked_for(coco_bucket, before)
    from_disk = run(str(coco), "disk.json")
    assert streamed.examples == from_disk.examples == (limit or 4)
    assert streamed.scores == from_disk.scores and streamed.scores["AP"] == pytest.approx(1)
    assert streamed.per_category == from_disk.per_category
    assert streamed.legacy_scores == from_disk.legacy_scores
    assert json.loads((tmp_path / "streamed.json").read_text()) == json.loads(
        (tmp_path / "disk.json").read_text()
    )
    assert len(asked) == len(set(asked)), "something was read twice"
    assert not cache_folder.exists()
