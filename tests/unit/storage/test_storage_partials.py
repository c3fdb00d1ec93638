"""What a process that died left: when it is used, and that it never stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import partials
from modelzoo_runner.storage.partials import Partial


def created(folder: Path, largest: int = 100):
    return partials.create(folder, location="x", largest=largest, report=lambda done, total: None)


def leave(folder: Path, name: str, content: bytes, note: str | None) -> None:
    (folder / f"{name}.part").write_bytes(content)
    if note is not None:
        (folder / f"{name}.json").write_text(note)


def test_the_longest_part_is_gone_on_with(tmp_path: Path) -> None:
    leave(tmp_path, "a", b"short", '{"version": "1"}')
    leave(tmp_path, "b", b"the longest", '{"version": "2"}')
    leave(tmp_path, "c", b"longer", '{"version": "3"}')
    with created(tmp_path) as part:
        assert (part.done, part.version) == (11, "2")
        assert list(tmp_path.glob("*.part")) == [part.path]
        part.write(b" part")
        part.publish(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"the longest part"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("note", [None, "", "{", "[]", "{}", "[" * 100_000, '{"version": 1}'])
def test_a_part_of_unknown_origin_is_removed(tmp_path: Path, note: str | None) -> None:
    leave(tmp_path, "a", b"whatever", note)
    with created(tmp_path) as part:
        assert (part.done, part.version) == (0, None)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_of_ours_is_not_gone_on_with(tmp_path: Path) -> None:
    """A pipe would be waited for, and a link leads out of the cache."""
    (tmp_path / "secret").write_bytes(b"a secret of somebody")
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "pipe.part")
    (folder / "link.part").symlink_to(tmp_path / "secret")
    for name in ("pipe", "link"):
        (folder / f"{name}.json").write_text('{"version": "1"}')
    with created(folder) as part:
        assert part.done == 0
    assert partials.remove(folder) == 0


def test_a_part_larger_than_the_file_may_be_is_removed(tmp_path: Path) -> None:
    leave(tmp_path, "a", b"too much", '{"version": "1"}')
    with created(tmp_path, largest=5) as part:
        assert part.done == 0
    assert list(tmp_path.iterdir()) == []


def test_the_part_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    with created(tmp_path) as first:
        first.restart("1")
        first.write(b"mine")
        with created(tmp_path) as second:
            assert second.done == 0
        assert partials.remove(tmp_path) == 0
        first.publish(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (FetchError("x"), True),
        (KeyboardInterrupt(), True),
        (HashMismatch("x"), False),
        (OSError(28, "x"), False),
    ],
)
@pytest.mark.parametrize("version", ["1", None])
def test_what_stays_after_a_failure(
    tmp_path: Path, error: BaseException, stays: bool, version: str | None
) -> None:
    with pytest.raises(type(error)), created(tmp_path) as part:
        part.restart(version)
        part.write(b"some")
        raise error
    kept = [path.suffix for path in sorted(tmp_path.iterdir())]
    assert kept == ([".json", ".part"] if stays and version else [])


def test_growth_is_seen_while_a_part_grows(tmp_path: Path) -> None:
    before = partials.total_size(tmp_path / "nothing")
    with created(tmp_path, largest=10**8) as part:
        part.write(bytes(3 << 20))
        assert partials.total_size(tmp_path) == before + (3 << 20)


def test_a_part_that_was_cleared_away_is_said(tmp_path: Path) -> None:
    part = Partial(tmp_path / "a.part", location="x", largest=10, report=lambda done, total: None)
    part.write(b"some")
    part.path.unlink()
    with pytest.raises(FetchError) as error:
        part.publish(tmp_path / "file")
    part.close(keep=False)
    assert str(error.value) == (
        f"x: what came was removed from {tmp_path} while it came, as by `modelzoo-runner cache "
        "clear`. Fetch it again."
    )
