"""`cache list|verify|clear` and `models --verify`: what they print."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fake_gcs import FakeGcs
from stub_server import Stub, file, status

import modelzoo_runner
from modelzoo_runner.cli import main as cli
from modelzoo_runner.storage import fetch, upkeep
from modelzoo_runner.values.preset import Graph, Preset, RemoteFile

SMALL, LARGE = b"small", bytes(1_234_567)


@pytest.fixture
def urls(web: Stub) -> tuple[str, str]:
    return web.at("/a/small.pb", file(SMALL)), web.at("/b/large.pb", file(LARGE))


@pytest.fixture
def filled(urls: tuple[str, str], cache_folder: Path) -> Path:
    """A cache with two files that were fetched and one that was built."""
    for url in urls:
        fetch.local(url)
    built = cache_folder / "random" / "x" / "resnet_seed0.pb"
    built.parent.mkdir(parents=True)
    built.write_bytes(bytes(1000))
    for beside in ("lock", "sha256"):
        built.with_name(f"{built.name}.{beside}").touch()
    return cache_folder


def said(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> list[str]:
    assert cli.main(command) == code
    printed = capsys.readouterr()
    return [*printed.out.splitlines(), *printed.err.splitlines()]


def test_list(filled: Path, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    day = upkeep.cache_entries()[0].fetched_at[:10]
    small, large = (hashlib.sha256(content).hexdigest()[:12] for content in (SMALL, LARGE))
    assert said(capsys, "cache", "list") == [
        "    bytes  sha256        fetched     location",
        f"        5  {small}  {day}  {urls[0]}",
        f"1,234,567  {large}  {day}  {urls[1]}",
        f"    1,000                built here  {filled}/random/x/resnet_seed0.pb",
        f"3 files, 1,235,572 bytes, in {filled}",
    ]


def test_an_empty_cache(cache_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "cache", "list") == [f"0 files, 0 bytes, in {cache_folder}"]
    assert said(capsys, "cache", "verify") == ["0 files, as they came"]
    assert said(capsys, "cache", "clear") == ["removed 0 files, 0 bytes"]
    assert not cache_folder.exists()


def test_verify(filled: Path, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "cache", "verify") == [
        f"ok     {urls[0]}",
        f"ok     {urls[1]}",
        "2 files, as they came",
    ]
    upkeep.cache_entries()[0].path.write_bytes(b"longer than before")
    assert said(capsys, "cache", "verify", code=1) == [
        f"WRONG  {urls[0]}",
        "       it has 18 bytes and had 5 when it came",
        f"ok     {urls[1]}",
        "FetchError: 1 of 2 files is not what came. Remove what is wrong (`modelzoo-runner cache "
        "clear LOCATION`); it is fetched again when it is needed.",
    ]


def test_clear(filled: Path, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    still = "what they were at first is still known (--hashes forgets it)"
    assert said(capsys, "cache", "clear", urls[0]) == [f"removed 1 file, 5 bytes; {still}"]
    assert (filled / "random" / "x" / "resnet_seed0.pb").exists()
    assert said(capsys, "cache", "clear") == [f"removed 2 files, 1,235,567 bytes; {still}"]
    assert not (filled / "random").exists()
    assert said(capsys, "cache", "clear", "--hashes") == [
        "removed 0 files, 0 bytes; whatever comes next from there is taken as it is"
    ]
    assert said(capsys, "cache", "clear", "x", code=1) == [
        f"FetchError: x: nothing of it is in the cache {filled}, which is empty."
    ]


def test_a_location_among_many(gcs: FakeGcs, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        gcs.put("listed", f"data/{number}", b"x")
    fetch.local("gs://listed/data/")
    (words,) = said(capsys, "cache", "clear", "https://example.org", code=1)
    assert words.endswith("`modelzoo-runner cache list` lists what is.")
    (words,) = said(capsys, "cache", "clear", "gs://listed/data/99", code=1)
    assert "Did you mean 'gs://listed/data/" in words


def test_models_verify(
    web: Stub,
    urls: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = web.at("/gone.pb", status(404))
    page = web.at("/page.pb", file(b"<html>", Content_Type="text/html"))

    def of(*locations: str) -> Graph:
        files = tuple(RemoteFile(url=each) for each in locations)
        return Graph(files=files, input="input:0", outputs={"scores": "predict:0"})

    graphs = {"fp32": of(gone, urls[1]), "int8": of(page)}
    preset = Preset(name="resnet50", task="classification", graph=graphs)
    monkeypatch.setattr(modelzoo_runner, "models", lambda: {"resnet50": preset})
    assert said(capsys, "models", "--verify", code=1) == [
        "model          status      bytes  location",
        f"resnet50 fp32  404                {gone}",
        f"resnet50 fp32  ok      1,234,567  {urls[1]}",
        f"resnet50 int8  200             6  {page} (a page (text/html) and not the file)",
        "FetchError: no location answers for: resnet50 int8. Give the path of such a graph as "
        'weights=, or weights="random" to measure speed with the same topology.',
    ]
