"""Results and folders in a store: whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import storage_fixtures
from fsspec.implementations.memory import MemoryFileSystem

from modelzoo_runner.data import output
from modelzoo_runner.errors import DataError, RequestError, ResultError
from modelzoo_runner.results import saved
from modelzoo_runner.scale import checkpoint
from modelzoo_runner.values import atomic, remote
from modelzoo_runner.values.remote import RemotePath


class Full(MemoryFileSystem):
    """A store that takes a file, and no second one."""

    protocol = "full"
    store: dict[str, object] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012

    def put_file(self, source: str, target: str, **options: object) -> None:
        if self.store:
            raise RuntimeError("the quota is used up")
        super().put_file(source, target, **options)


@pytest.fixture(autouse=True)
def memory() -> Iterator[MemoryFileSystem]:
    """An empty memory://, and an empty full://."""
    yield from storage_fixtures.emptied(Full)


def test_what_a_path_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert remote.path("~/x") == tmp_path / "x"
    found = remote.path("memory://bucket/folder/x.json")
    assert isinstance(found, RemotePath) and remote.path(found) is found
    assert (found.name, str(found.parent)) == ("x.json", "memory://bucket/folder")
    assert str(found.parent / "y") == "memory://bucket/folder/y"
    for address in ("https://example.org/x", "nowhere://x"):
        with pytest.raises(RequestError, match="nothing can be written to"):
            remote.path(address)


def test_a_file_appears_whole_or_not_at_all(memory: MemoryFileSystem) -> None:
    target = atomic.target("json", "memory://bucket/x")
    with pytest.raises(KeyError), atomic.writing(target) as file:
        file.write(b"half")
        raise KeyError
    assert not memory.store
    atomic.write_text(target, "whole")
    assert memory.cat_file("/bucket/x") == b"whole" and target.read_text() == "whole"
    with pytest.raises(RequestError, match=r"^json='memory://bucket': can't be written: it is a"):
        atomic.target("json", "memory://bucket")


def test_a_result_is_saved_and_read() -> None:
    where = saved.write_text('{"a": 1}\n', "memory://bucket/result.json")
    assert saved.read(where, dict) == saved.read(str(where), dict) == {"a": 1}
    with pytest.raises(ResultError, match=r"^memory://bucket/none: can't be read"):
        saved.read("memory://bucket/none", dict)
    saved.write_text("{}", "full://bucket/1")
    with pytest.raises(ResultError, match=r"^full://bucket/2: .* the quota is used up"):
        saved.write_text("{}", "full://bucket/2")


def test_a_folder_appears_whole_or_not_at_all(memory: MemoryFileSystem) -> None:
    with output.whole_folder("memory://bucket/data") as folder:
        for name in ("a", "b"):
            (folder / name).write_text(name)
        assert not memory.store
    assert {name: memory.cat_file(name) for name in memory.store} == {
        "/bucket/data/a": b"a",
        "/bucket/data/b": b"b",
    }
    with pytest.raises(DataError, match="has files in it already"):
        output.check_free("memory://bucket/data")
    with (
        pytest.raises(DataError, match=r"^full://bucket/data: .*the quota is used up"),
        output.whole_folder("full://bucket/data") as folder,
    ):
        for name in ("a", "b"):
            (folder / name).write_text(name)
    assert not Full.store


def test_a_checkpoint(memory: MemoryFileSystem) -> None:
    where = "memory://bucket/run"
    with checkpoint.opened(where, {"model": "m"}) as first:
        assert first.entries() == {}
        first.add("0-4", {"hits": 3})
        # Stores have no locks: another machine's run may use it at once.
        with checkpoint.opened(where, {"model": "m"}) as second:
            second.add("4-8", {"hits": 2})
    memory.pipe_file("/bucket/run/8-12.done", b"half")
    with checkpoint.opened(where, {"model": "m"}) as kept:
        assert kept.entries() == {"0-4": {"hits": 3}, "4-8": {"hits": 2}}
        assert "memory://bucket/run/8-12.done: its checksum is wrong" in kept.problems[0]
    with (
        pytest.raises(RequestError, match="model is 'm' there, 'n' here"),
        checkpoint.opened(where, {"model": "n"}),
    ):
        pass
    memory.pipe_file("/bucket/other/x", b"")
    with (
        pytest.raises(RequestError, match=r"is no checkpoint, it holds 'x'"),
        checkpoint.opened("memory://bucket/other", {}),
    ):
        pass
