"""Whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelzoo_runner.data.output import check_free, whole_file, whole_folder
from modelzoo_runner.errors import DataError


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a b;\n'é.bin"
    with whole_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == [path.name]


def test_a_file_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    with whole_file(tmp_path / "ours") as file:
        file.write(b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, FileNotFoundError])
def test_after_a_failure_the_old_file_is_as_it_was(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(failure), whole_file(path) as file:
        file.write(b"half")
        raise failure
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_name_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with whole_file(path) as file:
        file.write(b"x")
    assert path.exists()


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "file"
    with pytest.raises(DataError, match=r"absent/file: can't be written: No such file"):
        whole_file(path).__enter__()


def test_a_folder_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with whole_folder(out) as folder:
        (folder / "a").write_bytes(b"x")
        assert not out.exists()
    assert names(out) == ["a"]
    assert names(tmp_path / "deep") == ["out"]


def test_an_empty_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_bytes(b"x")
    assert names(tmp_path / "out") == ["a"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, FileNotFoundError])
def test_after_a_failure_no_folder_is_left(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), whole_folder(tmp_path / "out") as folder:
        (folder / "half").write_bytes(b"x")
        raise failure
    assert names(tmp_path) == []


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(DataError, match=r"has files in it already \('keep.txt' for one\)"):
        check_free(tmp_path)


def test_a_folder_that_got_files_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused = pytest.raises(DataError, match=r"out: can't be written: Directory not empty")
    with refused, whole_folder(out) as folder:
        (folder / "a").write_bytes(b"x")
        out.mkdir()
        (out / "theirs").write_bytes(b"y")
    assert names(tmp_path) == ["out"]
    assert names(out) == ["theirs"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="should be a folder, and this is a file"):
        check_free(tmp_path / "file")
    with pytest.raises(DataError, match="loop: "):
        check_free(tmp_path / "loop")
