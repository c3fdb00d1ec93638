"""Graphs that were built here are used only as they were built."""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path

import pytest

from modelzoo_runner.errors import FetchError, GraphError
from modelzoo_runner.storage import built
from modelzoo_runner.storage.upkeep import clear_cache

CONTENT = b"a graph" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Builder:
    """Writes the content and counts how often."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self, path: Path) -> None:
        self.built += 1
        path.write_bytes(CONTENT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "random" / "abc" / "net.pb"


def test_a_graph_is_built_once(path: Path) -> None:
    build = Builder()
    assert built.get_or_build(path, build) == built.get_or_build(path, build) == SHA256
    assert build.built == 1 and path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(CONTENT[:-1]),  # cut off
        lambda path: path.write_bytes(b"A" + CONTENT[1:]),  # tampered with
        lambda path: path.unlink(),
        lambda path: path.with_name("net.pb.sha256").unlink(),
        lambda path: path.with_name("net.pb.sha256").write_bytes(b"\xff"),
    ],
)
def test_a_graph_that_is_not_as_it_was_built_is_built_again(change, path: Path) -> None:  # type: ignore[no-untyped-def]
    build = Builder()
    built.get_or_build(path, build)
    change(path)
    assert built.get_or_build(path, build) == SHA256
    assert build.built == 2 and path.read_bytes() == CONTENT


def test_a_change_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    built.get_or_build(path, Builder())
    path.write_bytes(b"other")
    with caplog.at_level(logging.WARNING, "modelzoo_runner"):
        built.get_or_build(path, Builder())
    assert caplog.messages == [f"{path}: isn't as it was built: building it again"]


def test_a_build_that_fails_leaves_nothing_to_be_used(path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise GraphError("no")

    with pytest.raises(GraphError):
        built.get_or_build(path, fail)
    build = Builder()
    assert built.get_or_build(path, build) == SHA256 and build.built == 1


def test_what_a_killed_process_left_is_removed(path: Path) -> None:
    path.parent.mkdir(parents=True)
    leftover = path.with_name(".net.pb.x1y2")
    leftover.touch()
    built.get_or_build(path, Builder())
    assert not leftover.exists()


def test_two_at_once_build_it_once(path: Path) -> None:
    started, finish = threading.Event(), threading.Event()
    build = Builder()

    def slowly(path: Path) -> None:
        started.set()
        finish.wait(10)
        build(path)

    found: list[str] = []
    first = threading.Thread(target=lambda: found.append(built.get_or_build(path, slowly)))
    first.start()
    started.wait(10)
    second = threading.Thread(target=lambda: found.append(built.get_or_build(path, build)))
    second.start()
    finish.set()
    first.join(10)
    second.join(10)
    assert found == [SHA256, SHA256] and build.built == 1


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "net.pb"
    with pytest.raises(FetchError) as raised:
        built.get_or_build(path, Builder())
    assert str(raised.value) == (
        f"{path}: the graph that was built can't be kept there: File exists. "
        "MODELZOO_RUNNER_CACHE names another folder"
    )


def test_a_cache_that_was_filled_before_need_not_be_writable(path: Path) -> None:
    built.get_or_build(path, Builder())
    path.with_name("net.pb.lock").unlink()
    path.parent.chmod(0o500)
    try:
        assert built.get_or_build(path, Builder()) == SHA256
    finally:
        path.parent.chmod(0o700)
    assert not path.with_name("net.pb.lock").exists()


def test_clearing_the_cache_removes_them(path: Path) -> None:
    built.get_or_build(path, Builder())
    cleared = clear_cache(path.parents[2])
    assert cleared.locations == () and cleared.bytes >= len(CONTENT)
    assert not path.parents[1].exists()
