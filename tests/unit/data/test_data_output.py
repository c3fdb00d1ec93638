"""Whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelzoo_runner.data.output import check_free, whole_folder
from modelzoo_runner.errors import DataError


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


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
