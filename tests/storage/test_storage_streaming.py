"""Reading a bucket's objects where they are."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest
import stub_server
from fake_gcs import FakeGcs
from stub_server import Handler, Stub

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import streaming
from modelzoo_runner.storage.settings import Patience

CONTENT = os.urandom(3 << 20)
SHARDS = {f"validation-{number:05}-of-00005": os.urandom(200_000 + number) for number in range(5)}


@pytest.fixture
def bucket(gcs: FakeGcs, cache_folder: Path) -> FakeGcs:
    for name, content in SHARDS.items():
        gcs.put("streamed", f"nested/imagenet/{name}", content)
    return gcs


@pytest.fixture(autouse=True)
def nothing_stays(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Nothing is cached, and what is made for a while is gone at the end."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield
    assert not cache_folder.exists()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not [each for each in open_files() if "memfd" in each]


def open_files() -> Iterator[str]:
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(each.readlink())


@pytest.mark.parametrize("size", [1, 1000, 1 << 20, -1])
def test_a_shard_is_a_file(bucket: FakeGcs, size: int) -> None:
    found = streaming.shards("gs://streamed/nested/imagenet")
    assert [shard.name for shard in found] == list(SHARDS)
    for shard in found[: 1 if size == 1 else None]:
        with shard.open() as file:
            assert b"".join(iter(lambda: file.read(size), b"")) == SHARDS[shard.name]
            assert file.read(1) == b""
            assert file.tell() == len(SHARDS[shard.name])


def test_one_object_has_its_own_name(bucket: FakeGcs) -> None:
    (shard,) = streaming.shards("gs://streamed/nested/imagenet/validation-00003-of-00005")
    assert shard.name == "validation-00003-of-00005"


def test_each_shard_is_asked_for_once(bucket: FakeGcs) -> None:
    before = len(bucket.requests("/download/"))
    for shard in streaming.shards("gs://streamed/nested/imagenet/validation-*"):
        with shard.open() as file:
            file.read()
    assert len(bucket.requests("/download/")) == before + 5


def test_folders_hold_a_few_shards_in_memory(bucket: FakeGcs) -> None:
    seen: list[tuple[str, int, int | None]] = []
    found: list[dict[str, bytes]] = []
    gone: list[Path] = []
    for folder in streaming.folders(
        "gs://streamed/nested/", at_once=2, progress=lambda *each: seen.append(each)
    ):
        assert not any(path.exists() for path in gone)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        found.append({str(path.relative_to(folder)): path.read_bytes() for path in paths})
        gone.append(folder)
    assert [len(each) for each in found] == [2, 2, 1]
    together = {name: content for each in found for name, content in each.items()}
    assert together == {f"imagenet/{name}": content for name, content in SHARDS.items()}
    total = sum(map(len, SHARDS.values()))
    assert seen[-1] == ("gs://streamed/nested/", total, total)


def test_folders_can_be_left_early(bucket: FakeGcs) -> None:
    folders = streaming.folders("gs://streamed/nested/imagenet/", at_once=2)
    next(folders)
    assert [each for each in open_files() if "memfd" in each]
    folders.close()


def test_tensorflow_reads_the_folders(gcs: FakeGcs) -> None:
    tf = pytest.importorskip("tensorflow")
    records = [os.urandom(1000) for _ in range(20)]
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            for record in records:
                writer.write(record)
        gcs.put("streamed-records", "x/val.record", Path(file.name).read_bytes())
    for folder in streaming.folders("gs://streamed-records/x/"):
        dataset = tf.data.TFRecordDataset(str(folder / "val.record"))
        assert list(dataset.as_numpy_iterator()) == records


def test_only_buckets_are_streamed(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"only what is in a bucket \(gs://\.\.\.\) can be"):
        streaming.shards("https://example.org/x")
    with pytest.raises(RequestError, match=r"only what is in a bucket"):
        streaming.shards(str(tmp_path))


def test_offline_nothing_is_streamed() -> None:
    with pytest.raises(RequestError, match=r"^gs://b/x: offline, nothing can be streamed; use"):
        streaming.shards("gs://b/x", offline=True)


@pytest.fixture
def one(web: Stub, monkeypatch: pytest.MonkeyPatch, impatient: Patience) -> streaming.Shard:
    """An object whose bytes the test's own stub answers at `MEDIA`."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", web.url)
    facts = {
        "name": "x",
        "bucket": "bucket",
        "generation": "7",
        "size": str(len(CONTENT)),
        "crc32c": base64.b64encode(google_crc32c.value(CONTENT).to_bytes(4, "big")).decode(),
    }

    def answer(handler: Handler) -> None:
        handler.send(200, json.dumps(facts).encode(), Content_Type="application/json")

    web.at("/storage/v1/b/bucket/o/x", answer)
    (shard,) = streaming.shards("gs://bucket/x", patience=impatient)
    return shard


MEDIA = "/download/storage/v1/b/bucket/o/x"


def read(shard: streaming.Shard) -> bytes:
    with shard.open() as file:
        return file.read()


def test_a_stream_that_breaks_off_goes_on(web: Stub, one: streaming.Shard) -> None:
    web.at(MEDIA, stub_server.cut(CONTENT, 2_000_000), stub_server.file(CONTENT))
    assert read(one) == CONTENT
    ranges = [headers.get("Range") for _, path, headers in web.seen if path.startswith(MEDIA)]
    assert ranges == [None, "bytes=2000000-"]
    assert "generation=7" in web.seen[-1][1]


def test_a_passing_trouble_is_waited_out(web: Stub, one: streaming.Shard) -> None:
    web.at(MEDIA, stub_server.status(503), stub_server.file(CONTENT))
    assert read(one) == CONTENT


def test_a_lasting_trouble_ends(web: Stub, one: streaming.Shard) -> None:
    web.at(MEDIA, stub_server.status(503))
    with pytest.raises(FetchError) as error:
        read(one)
    assert str(error.value) == "gs://bucket/x: 503 Service Unavailable, after 3 tries."


def test_damage_on_the_way_is_noticed(web: Stub, one: streaming.Shard) -> None:
    web.at(MEDIA, stub_server.file(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])))
    with pytest.raises(HashMismatch) as error:
        read(one)
    assert str(error.value) == (
        "gs://bucket/x: what was read does not fit the object's crc32c. It was damaged on the way: "
        "read it again."
    )
    with pytest.raises(HashMismatch):
        list(streaming.folders("gs://bucket/x"))


def test_an_object_that_was_overwritten(web: Stub, one: streaming.Shard) -> None:
    web.at(MEDIA, stub_server.cut(CONTENT, 2_000_000), stub_server.status(404))
    with pytest.raises(FetchError, match="or it was overwritten while it was fetched"):
        read(one)


def test_a_server_without_parts(web: Stub, one: streaming.Shard) -> None:
    web.at(MEDIA, stub_server.cut(CONTENT, 2_000_000), stub_server.status(200, CONTENT))
    with pytest.raises(FetchError, match=r"^gs://bucket/x: the server doesn't send parts"):
        read(one)
