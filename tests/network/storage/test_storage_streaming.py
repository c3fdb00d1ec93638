"""Reading a bucket's objects where they are."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import stub_server
from fake_gcs import FakeGcs
from stub_server import Handler, Stub

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import streaming
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.storage.streaming import BucketPath
from modelzoo_runner.values.context import Context

CONTENT = os.urandom(3 << 20)
SHARDS = {f"validation-{number:05}-of-00005": os.urandom(200_000 + number) for number in range(5)}


@pytest.fixture
def bucket(gcs: FakeGcs, cache_folder: Path) -> FakeGcs:
    for name, content in SHARDS.items():
        gcs.put("streamed", f"nested/imagenet/{name}", content)
    return gcs


@pytest.fixture(autouse=True)
def nothing_stays(cache_folder: Path) -> Iterator[None]:
    """Nothing is cached, and no thread goes on reading."""
    yield
    assert not cache_folder.exists()
    assert not [each for each in threading.enumerate() if each.name.startswith("read-ahead")]


@pytest.mark.parametrize("size", [1, 1000, 1 << 20, -1])
def test_an_object_is_a_file(bucket: FakeGcs, size: int) -> None:
    found = sorted(streaming.path("gs://streamed/nested/imagenet").iterdir())
    assert [path.name for path in found] == list(SHARDS)
    for path in found[: 1 if size == 1 else None]:
        with path.open("rb") as file:
            assert b"".join(iter(lambda: file.read(size), b"")) == SHARDS[path.name]
            assert file.read(1) == b""
            assert not file.seekable()
        assert path.read_bytes() == SHARDS[path.name]


def test_each_object_is_asked_for_when_it_is_opened(bucket: FakeGcs) -> None:
    before = len(bucket.requests("/download/"))
    found = sorted(streaming.path("gs://streamed/nested/imagenet/validation-*").iterdir())
    assert len(bucket.requests("/download/")) == before
    for path in found:
        with path.open("rb") as file:
            file.read()
    assert len(bucket.requests("/download/")) == before + 5


def test_a_file_that_is_left_early_ends_its_request(bucket: FakeGcs) -> None:
    path = streaming.path("gs://streamed/nested/imagenet/validation-00000-of-00005")
    with path.open("rb") as file:
        assert file.read(10) == SHARDS[path.name][:10]


@pytest.fixture
def tree(tmp_path: Path, gcs: FakeGcs) -> Path:
    """Some files in folders, here and in a bucket."""
    for name in ("top.json", "a/instances_val.json", "a/val/1.jpg", "a/val/2.tar.gz", "b/c/d/e"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        gcs.put("tree", f"some/where/{name}", name.encode())
    return tmp_path / "tree"


def test_a_folder_is_read_as_one_on_the_disk(tree: Path) -> None:
    folder = streaming.path("gs://tree/some/where/")

    def known(path: Any, top: Any) -> dict[str, Any]:
        """All that can be asked of a file or folder, and of those below it."""
        facts = {
            "names": (path.name, path.stem, path.suffix),
            "kind": (path.is_dir(), path.is_file()),
            "found": [str(each)[len(str(top)) :] for each in sorted(path.glob("*.j*"))],
            "deep": sorted(each.name for each in path.glob("*/*.json")),
        }
        if path.is_file():
            return {**facts, "size": path.stat().st_size, "content": path.read_bytes()}
        below = {each.name: known(each, top) for each in sorted(path.iterdir())}
        assert all(each.parent == path for each in path.iterdir())
        return {**facts, "below": below}

    here, there = known(tree, tree), known(folder, folder)
    assert here.pop("names") == ("tree", "tree", "")
    assert there.pop("names") == ("where", "where", "")
    assert there == here


def test_paths_in_a_bucket(tree: Path) -> None:
    folder = streaming.path("gs://tree/some/where")
    assert str(folder) == "gs://tree/some/where"
    assert str(folder / "a" / "val") == "gs://tree/some/where/a/val"
    assert folder / "a/val" / "../x" != folder / "a/x"
    assert not (folder / "absent").is_dir() and not (folder / "absent").is_file()
    assert list((folder / "absent").iterdir()) == []
    assert str(folder.parent.parent) == "gs://tree/"
    assert list(folder.parent.glob("*.json")) == []
    assert [str(each) for each in streaming.path("gs://tree").iterdir()] == ["gs://tree/some"]
    with pytest.raises(FileNotFoundError, match=r"No such file .*: 'gs://tree/some/where/absent'"):
        (folder / "absent").open("rb")
    one = streaming.path("gs://tree/some/where/top.json")
    assert one.is_file() and list(one.parent.iterdir()) == [one]


def test_only_buckets_are_streamed(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as error:
        streaming.path("https://example.org/x")
    assert str(error.value) == (
        "https://example.org/x: only what is in a bucket (gs://...) can be streamed."
    )
    with pytest.raises(RequestError, match=r"only what is in a bucket"):
        streaming.path(str(tmp_path))


def test_offline_nothing_is_streamed() -> None:
    with pytest.raises(RequestError) as error:
        streaming.path("gs://b/x", context=Context(offline=True))
    assert str(error.value) == ("gs://b/x: offline, nothing can be streamed; use what is cached.")


@pytest.fixture
def one(web: Stub, monkeypatch: pytest.MonkeyPatch, fast_retry: RetryPolicy) -> BucketPath:
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
    return streaming.path("gs://bucket/x", retry=fast_retry)


MEDIA = "/download/storage/v1/b/bucket/o/x"


def read(path: BucketPath) -> bytes:
    with path.open("rb") as file:
        return file.read()


def test_many_are_read_at_once_without_a_word(
    web: Stub, one: BucketPath, caplog: pytest.LogCaptureFixture
) -> None:
    together = threading.Barrier(30, timeout=30)

    def answer(handler: Handler) -> None:
        together.wait()
        stub_server.file(CONTENT)(handler)

    web.at(MEDIA, answer)
    patient = streaming.path("gs://bucket/x")
    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(BucketPath.read_bytes, [patient] * 30)) == [CONTENT] * 30
    assert not caplog.records


def test_a_stream_that_breaks_off_goes_on(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.cut(CONTENT, 2_000_000), stub_server.file(CONTENT))
    assert read(one) == CONTENT
    ranges = [headers.get("Range") for _, path, headers in web.seen if path.startswith(MEDIA)]
    assert ranges == [None, "bytes=2000000-"]
    assert "generation=7" in web.seen[-1][1]


def test_a_passing_trouble_is_waited_out(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.status(503), stub_server.file(CONTENT))
    assert read(one) == CONTENT


def test_who_reads_slowly_is_not_taken_for_a_slow_server(
    web: Stub, one: BucketPath, fast_retry: RetryPolicy
) -> None:
    web.at(MEDIA, stub_server.file(CONTENT))
    demanding = dataclasses.replace(fast_retry, slow_after=0.2, slowest=100_000_000)
    path = streaming.path("gs://bucket/x", retry=demanding)
    blocks = path.blocks()
    first = next(blocks)
    time.sleep(0.5)
    assert first + b"".join(blocks) == CONTENT
    assert web.count(MEDIA) == 1


def test_a_lasting_trouble_ends(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.status(503))
    with pytest.raises(FetchError) as error:
        read(one)
    assert str(error.value) == "gs://bucket/x: 503 Service Unavailable, after 3 tries."


def test_damage_on_the_way_is_noticed(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.file(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])))
    with pytest.raises(HashMismatch) as error:
        read(one)
    assert str(error.value) == (
        "gs://bucket/x: what was read does not fit the object's crc32c. It was damaged on the way: "
        "read it again."
    )
    with pytest.raises(HashMismatch):
        one.read_bytes()


def test_damage_is_noticed_before_the_last_bytes_are_handed_out(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.file(bytes([CONTENT[0] ^ 1]) + CONTENT[1:]))
    with one.open("rb") as file:
        assert len(file.read(2 << 20)) == 2 << 20
        with pytest.raises(HashMismatch):
            file.read(1 << 20)


def test_an_object_that_was_overwritten(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.cut(CONTENT, 2_000_000), stub_server.status(404))
    with pytest.raises(FetchError, match="or it was overwritten while it was fetched"):
        read(one)


def test_a_server_without_parts(web: Stub, one: BucketPath) -> None:
    web.at(MEDIA, stub_server.cut(CONTENT, 2_000_000), stub_server.status(200, CONTENT))
    with pytest.raises(FetchError, match=r"^gs://bucket/x: the server doesn't send parts"):
        read(one)
