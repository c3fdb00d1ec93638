"""Servers for this room's tests: the real fake-gcs-server, and a stub of the web."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fake_gcs
import fsspec
import pytest
import stub_server
from fsspec.implementations.memory import MemoryFileSystem

from modelzoo_runner.storage.retrying import RetryPolicy


def emptied(kind: type[MemoryFileSystem]) -> Iterator[MemoryFileSystem]:
    """An empty memory://, and an empty store of the kind under its protocol."""
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    files = fsspec.filesystem("memory")
    yield files
    for each in (files, kind):
        each.store.clear()
        each.pseudo_dirs[:] = [""]


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[fake_gcs.FakeGcs]:
    with fake_gcs.running() as server:
        yield server


@pytest.fixture
def gcs(gcs_server: fake_gcs.FakeGcs, monkeypatch: pytest.MonkeyPatch) -> fake_gcs.FakeGcs:
    """The fake of Google Cloud Storage, which every gs:// of the test goes to."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.url)
    return gcs_server


@pytest.fixture
def web() -> Iterator[stub_server.Stub]:
    with stub_server.running() as stub:
        yield stub


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    for name in ("MODELZOO_RUNNER_OFFLINE", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fast_retry() -> RetryPolicy:
    """The same rules on another scale of time."""
    return RetryPolicy(
        attempts=3,
        first_wait=0.01,
        longest_wait=1.5,
        connect=2.0,
        read=1.0,
        slow_after=0.5,
        stalled=1.0,
    )
