"""Stores that fsspec reaches: memory://, and one that does what real ones do on a bad day."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import google_crc32c
import pytest
import storage_fixtures
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from modelzoo_runner.errors import FetchError, HashMismatch, MissingDependency, RequestError
from modelzoo_runner.storage import fetch, streaming
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.values.context import Context

CONTENT = os.urandom(3 << 20)
OFFLINE = Context(offline=True)


class Unreliable(MemoryFileSystem):
    """A store with checksums and versions, and with errors to raise, one an operation."""

    protocol = "unreliable"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012
    errors: list[BaseException] = []  # noqa: RUF012
    facts: dict[str, Any] = {}  # noqa: RUF012

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        found = super().info(path, **options)
        return found | self.facts if found["type"] == "file" else found

    def find(self, path: str, **options: Any) -> Any:
        found = {name: self.info(name) for name in super().find(path)}
        for facts in found.values():
            facts.pop("VersionId", None)
        return found

    def open(self, path: str, *args: Any, **options: Any) -> Any:
        if self.errors:
            raise self.errors.pop()
        return super().open(path, *args, **options)


@pytest.fixture(autouse=True)
def memory() -> Iterator[MemoryFileSystem]:
    """An empty memory://, and an unreliable:// in order."""
    yield from storage_fixtures.emptied(Unreliable)
    Unreliable.errors, Unreliable.facts = [], {}


def put(address: str, content: bytes) -> str:
    with fsspec.open(address, "wb") as file:
        file.write(content)
    return address


def tree(folder: Any) -> dict[str, bytes]:
    top = str(folder)
    return {
        str(path)[len(top) + 1 :]: path.read_bytes()
        for pattern in ("*", "*/*")
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }


FILES = {"a": b"1", "b/c": b"22", "validation-0": b"333"}


@pytest.fixture
def folder() -> str:
    for name, content in FILES.items():
        put(f"memory://bucket/some/data/{name}", content)
    put("memory://bucket/some/database", b"a sibling")
    return "memory://bucket/some/data"


def test_a_file_is_fetched_once(memory: MemoryFileSystem) -> None:
    address = put("memory://bucket/models/m.pb", CONTENT)
    seen: list[tuple[str, int, int | None]] = []
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    context = Context(progress=lambda *each: seen.append(each))
    path = fetch.local(address, sha256=sha256, size=len(CONTENT), context=context)
    assert path.name == "m.pb" and path.read_bytes() == CONTENT
    assert seen[-1] == ("m.pb", len(CONTENT), len(CONTENT))
    memory.rm("/bucket", recursive=True)
    assert fetch.local(address) == fetch.local(address, context=OFFLINE) == path
    with pytest.raises(HashMismatch, match="should be 5"):
        fetch.local(put("memory://bucket/other", CONTENT), size=5)


def test_a_folder_and_a_pattern(memory: MemoryFileSystem, folder: str) -> None:
    found = fetch.local(f"{folder}/")
    assert found.name == "data" and tree(found) == FILES
    assert fetch.local(folder) == found
    assert set(tree(fetch.local(f"{folder}/validation-*"))) == {"validation-0"}
    memory.rm("/bucket", recursive=True)
    assert fetch.local(folder, context=OFFLINE) == found


def test_what_is_not_there_names_the_near_ones(folder: str) -> None:
    with pytest.raises(FetchError, match=r"data_: nothing is there .*Did you mean 'data"):
        fetch.local(f"{folder}_")


def test_a_file_that_changed_is_another(folder: str) -> None:
    fetch.local(f"{folder}/a")
    put(f"{folder}/a", b"changed")
    assert fetch.local(f"{folder}/a").read_bytes() == b"1", "it is kept until it is cleared"
    with pytest.raises(HashMismatch, match="as it was the first time"):
        fetch.local(folder)


def test_a_folder_is_read_where_it_is(folder: str, cache_folder: Path) -> None:
    found = streaming.path(folder)
    assert str(found) == folder and tree(found) == FILES
    with (found / "b/c").open("rb") as file:
        assert file.read(1) == b"2" and file.read() == b"2"
    assert not cache_folder.exists()


def test_a_file_that_is_overwritten_while_it_is_read() -> None:
    path = streaming.path(put("memory://bucket/x", CONTENT))
    blocks = path.blocks()
    next(blocks)
    put("memory://bucket/x", CONTENT)
    with pytest.raises(FetchError, match="overwritten while it was fetched"):
        list(blocks)


@pytest.mark.parametrize("right", [True, False])
def test_a_checksum_that_the_store_has_is_compared(right: bool, fast_retry: RetryPolicy) -> None:
    value = google_crc32c.value(CONTENT if right else b"other").to_bytes(4, "big")
    Unreliable.facts = {"crc32c": base64.b64encode(value).decode()}
    address = put("unreliable://bucket/x", CONTENT)
    path = streaming.path(address, retry=fast_retry)
    if right:
        assert path.read_bytes() == fetch.local(address).read_bytes() == CONTENT
        return
    with pytest.raises(HashMismatch, match="does not fit the object's crc32c"):
        path.read_bytes()
    with pytest.raises(FetchError, match=r"crc32c, after 3 tries\.$"):
        fetch.local(address, retry=fast_retry)


def test_a_version_that_no_listing_names_is_no_change() -> None:
    Unreliable.facts = {"ETag": '"1"', "VersionId": "7"}
    put("unreliable://bucket/data/x", CONTENT)
    assert (fetch.local("unreliable://bucket/data/") / "x").read_bytes() == CONTENT


def test_a_passing_trouble_is_waited_out(fast_retry: RetryPolicy) -> None:
    address = put("unreliable://bucket/x", CONTENT)
    Unreliable.errors = [ConnectionResetError("gone"), TimeoutError("slow")]
    assert fetch.local(address, retry=fast_retry).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("Access Denied"), "may not read it: Access Denied"),
        (FileNotFoundError("x"), "nothing is there, or it was removed"),
        (RuntimeError("of its own"), "RuntimeError: of its own"),
        (ConnectionResetError("gone"), "gone, after 3 tries"),
    ],
)
def test_what_a_store_raises_is_said(fast_retry: RetryPolicy, error: Exception, words: str) -> None:
    address = put("unreliable://bucket/x", CONTENT)
    Unreliable.errors = [error] * 3
    with pytest.raises(FetchError, match=f"^{address}: .*{words}"):
        fetch.local(address, retry=fast_retry)


@pytest.mark.parametrize(
    ("scheme", "package"),
    [("s3", "s3fs"), ("az", "adlfs"), ("hf", "huggingface_hub"), ("gcs", "gcsfs")],
)
def test_a_store_whose_package_is_missing_says_which(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(_registry, scheme, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=f"{scheme}:// needs .* pip install {package}"):
        fetch.local(f"{scheme}://bucket/x")
    with pytest.raises(FetchError, match="offline"):
        fetch.local(f"{scheme}://bucket/x", context=OFFLINE)


def test_an_address_that_nobody_knows() -> None:
    with pytest.raises(RequestError, match=r"^'nowhere://bucket/x': nowhere:// is not spoken here"):
        fetch.local("nowhere://bucket/x")
    with pytest.raises(RequestError, match=r"ftp:// is not spoken here"):
        fetch.local("ftp://host/x")
    with pytest.raises(RequestError, match="write 'memory://bucket/x'"):
        fetch.local(Path("memory://bucket/x"))
