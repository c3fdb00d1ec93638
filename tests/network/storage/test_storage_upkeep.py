"""Looking after the cache, and asking whether published files are where they should be."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from fake_gcs import FakeGcs
from stub_server import Stub, cut, file, status

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import fetch
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.storage.upkeep import (
    cache_entries,
    clear_cache,
    verify_cache,
    verify_locations,
)
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.preset import Graph, PreprocessGraph, Preset, RemoteFile

ONE, TWO = os.urandom(1000), os.urandom(2000)


@pytest.fixture
def two(web: Stub) -> tuple[str, str]:
    urls = web.at("/one.pb", file(ONE)), web.at("/two.pb", file(TWO))
    for url in urls:
        fetch.local(url)
    return urls


def test_an_empty_cache(cache_folder: Path) -> None:
    assert cache_entries() == ()
    assert verify_cache() == ()
    assert clear_cache().bytes == 0
    assert not cache_folder.exists()


def test_what_is_in_the_cache(two: tuple[str, str], cache_folder: Path) -> None:
    one, other = cache_entries()
    assert (one.location, other.location) == two
    assert (one.size, one.sha256) == (1000, hashlib.sha256(ONE).hexdigest())
    assert one.path.read_bytes() == ONE
    assert one.fetched_at.endswith("+00:00")
    assert cache_entries(cache_folder) == (one, other)


def test_a_file_that_changed_in_secret_is_found(two: tuple[str, str]) -> None:
    seen: list[tuple[str, int, int | None]] = []
    assert all(check.ok for check in verify_cache(progress=lambda *each: seen.append(each)))
    assert seen == [(two[0], 1000, 3000), (two[1], 3000, 3000)]
    path = cache_entries()[0].path
    before = path.stat()
    path.write_bytes(os.urandom(1000))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    first, second = verify_cache()
    assert second.ok and not first.ok
    assert first.problem is not None and first.problem.startswith("its sha256 is ")
    path.unlink()
    assert verify_cache()[0].problem == "it can't be read: No such file or directory"


def test_one_location_is_cleared(two: tuple[str, str], web: Stub) -> None:
    cleared = clear_cache(locations=[two[0]])
    assert (cleared.locations, cleared.bytes) == ((two[0],), 1000)
    assert [entry.location for entry in cache_entries()] == [two[1]]
    fetch.local(two[0])
    assert web.count("/one.pb") == 2


def test_all_that_begins_like_a_folder_is_cleared(two: tuple[str, str], web: Stub) -> None:
    assert clear_cache(locations=[web.url + "/"]).locations == two


def test_a_location_that_is_not_there_is_said(two: tuple[str, str], cache_folder: Path) -> None:
    with pytest.raises(FetchError) as error:
        clear_cache(locations=["https://example.org/x"])
    assert str(error.value) == (
        f"https://example.org/x: nothing of it is in the cache {cache_folder}. There are: "
        f"{two[0]}, {two[1]}"
    )


def test_clearing_keeps_the_hashes_unless_told(two: tuple[str, str], web: Stub) -> None:
    assert clear_cache().bytes == 3000
    web.at("/one.pb", file(TWO))
    with pytest.raises(HashMismatch):
        fetch.local(two[0])
    assert clear_cache(locations=[two[0]], hashes=True).bytes == 0
    assert fetch.local(two[0]).read_bytes() == TWO


def test_what_was_interrupted_is_cleared(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    url = web.at("/cut.pb", cut(os.urandom(3 << 20), 2 << 20), status(500))
    with pytest.raises(FetchError):
        fetch.local(url, retry=fast_retry)
    assert clear_cache().bytes == 2 << 20
    assert list((cache_folder / "files").iterdir()) == []


def test_a_file_without_a_record_is_cleared(two: tuple[str, str], cache_folder: Path) -> None:
    (cache_entries()[0].path.parents[1] / "record.json").write_text("{")
    assert clear_cache().bytes == 3000
    assert list((cache_folder / "files").iterdir()) == []


def test_the_folders_of_a_bucket_are_cleared(gcs: FakeGcs, cache_folder: Path) -> None:
    gcs.put("cleared", "data/a", ONE)
    gcs.put("cleared", "data/b", TWO)
    gcs.put("cleared", "other/c", TWO)
    data, other = fetch.local("gs://cleared/data/"), fetch.local("gs://cleared/other/")
    assert clear_cache(locations=["gs://cleared/data/"]).locations == (
        "gs://cleared/data/a",
        "gs://cleared/data/b",
    )
    assert not data.exists() and (other / "c").read_bytes() == TWO
    assert fetch.local("gs://cleared/other/", context=Context(offline=True)) == other
    with pytest.raises(FetchError, match="2 of its 2 objects are not in the cache"):
        fetch.local("gs://cleared/data/", context=Context(offline=True))
    assert (fetch.local("gs://cleared/data/") / "a").read_bytes() == ONE
    # A link that was lost is made again.
    (data / "b").unlink()
    assert (
        fetch.local("gs://cleared/data/", context=Context(offline=True)) / "b"
    ).read_bytes() == TWO


def preset_of(*files: RemoteFile) -> Preset:
    graph = Graph(files=files, input="input:0", outputs={"scores": "predict:0"})
    return Preset(name="resnet50", task="classification", graph={"fp32": graph})


def test_each_location_of_a_preset_is_asked(
    web: Stub, gcs: FakeGcs, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    gcs.put("models", "m.pb", ONE)
    files = [
        RemoteFile(url="https://storage.googleapis.com/models/m.pb", size=1000),
        RemoteFile(url="gs://models/m.pb"),
        RemoteFile(url=web.at("/right.pb", file(ONE)), size=1000),
        RemoteFile(url=web.at("/larger.pb", file(TWO)), size=1000),
        RemoteFile(url=web.at("/forbidden.pb", status(403))),
        RemoteFile(url=web.at("/page.pb", file(b"<html>", Content_Type="text/html"))),
        RemoteFile(url=web.at("/moved.pb", status(301, Location="https://example.org/m.pb"))),
        RemoteFile(url=web.at("/busy.pb", status(503))),
        RemoteFile(url="gs://models/nothing.pb"),
        RemoteFile(url="nowhere://x"),
    ]
    found = verify_locations([preset_of(*files)], retry=fast_retry)
    assert [each.url for each in found] == [file.url for file in files]
    assert {(each.model, each.precision) for each in found} == {("resnet50", "fp32")}
    assert [(each.ok, each.status, each.size) for each in found] == [
        (True, 200, 1000),
        (True, 200, 1000),
        (True, 200, 1000),
        (False, 200, 2000),
        (False, 403, None),
        (False, 200, 6),
        (False, None, None),
        (False, None, None),
        (False, None, None),
        (False, None, None),
    ]
    problems = [each.problem or "" for each in found]
    assert problems[3] == "its file is 2,000 bytes and should be 1,000"
    assert problems[4] == "403 Forbidden"
    assert problems[5] == "a page (text/html) and not the file"
    assert "redirects to another host or port" in problems[6]
    assert problems[7] == f"HEAD {web.url}/busy.pb: 503 Service Unavailable."
    assert "nothing is there (asked as anonymous)" in problems[8]
    assert "nowhere:// is not spoken here" in problems[9]
    # Asking fetches nothing.
    assert {method for method, _, _ in web.seen} == {"HEAD"}
    assert not cache_folder.exists()


def test_a_graph_that_prepares_images_is_asked_for_too(web: Stub) -> None:
    prepare = PreprocessGraph(
        files=(RemoteFile(url=web.at("/prepare.pb", file(ONE))),), input="image:0", output="x:0"
    )
    preset = preset_of(RemoteFile(url=web.at("/m.pb", file(TWO))))
    graph = replace(preset.graph["fp32"], preprocess_graph=prepare)
    found = verify_locations([replace(preset, task="detection", graph={"fp32": graph})])
    assert [(each.precision, each.size) for each in found] == [
        ("fp32", 2000),
        ("fp32 preprocess_graph", 1000),
    ]


def test_offline_no_location_can_be_asked() -> None:
    with pytest.raises(RequestError, match=r"^offline: the locations can't be asked"):
        verify_locations([preset_of()], context=Context(offline=True))


def test_a_preset_without_files_has_no_locations() -> None:
    empty = replace(preset_of(), graph={})
    assert verify_locations([empty]) == ()
