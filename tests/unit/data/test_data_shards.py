"""Sets of files by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.data.shards import in_order, listing, ranges
from modelzoo_runner.errors import DataError


def touched(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return paths


def numbered(folder: Path, numbers: range | list[int], total: int) -> list[Path]:
    return touched(folder, *(f"validation-{number:05}-of-{total:05}" for number in numbers))


def test_a_whole_set_comes_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    files = numbered(tmp_path, range(12), 12)
    found = in_order(files[::-1])
    assert found.files == tuple(files)
    assert found.missing == ()


def test_missing_files_are_listed(tmp_path: Path) -> None:
    files = numbered(tmp_path, [0, 1, 5, 6, 8], 12)
    with pytest.raises(DataError) as caught:
        in_order(files)
    assert str(caught.value) == (
        f"{tmp_path}: 5 of 12 files are there; missing: 2-4, 7, 9-11. Get them, or say "
        "allow_partial=True to use what is there; the result then says so."
    )
    found = in_order(files, allow_partial=True)
    assert found.files == tuple(files)
    assert found.missing == (2, 3, 4, 7, 9, 10, 11)


def test_a_number_there_twice(tmp_path: Path) -> None:
    files = touched(tmp_path, "validation-00000-of-00002", "validation-1-of-2")
    files += touched(tmp_path / "validation", "validation-00001-of-00002")
    with pytest.raises(DataError, match=r"file number 1 of 2 is there twice: .* would count twice"):
        in_order(files, allow_partial=True)


def test_files_of_several_sets(tmp_path: Path) -> None:
    files = numbered(tmp_path, range(3), 3) + numbered(tmp_path, range(2), 128)
    with pytest.raises(
        DataError,
        match=r"several sets together: 3 of validation-\*-of-00003, 2 of validation-\*-of-00128",
    ):
        in_order(files)


def test_a_number_outside_the_total(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="number 4 of 4 files, which count from 0"):
        in_order(numbered(tmp_path, [0, 4], 4))


def test_an_empty_file(tmp_path: Path) -> None:
    files = numbered(tmp_path, range(2), 2)
    files[1].write_bytes(b"")
    with pytest.raises(DataError, match=r"00001-of-00002: the file is empty \(0 bytes\)"):
        in_order(files)


def test_a_name_without_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="should be named <name>-<number>-of-<total>"):
        in_order(touched(tmp_path, "validation"))


@given(st.sets(st.integers(0, 60)))
def test_ranges_say_each_number_once(numbers: set[int]) -> None:
    said = []
    for part in filter(None, ranges(sorted(numbers)).split(", ")):
        first, _, last = part.partition("-")
        said += range(int(first), int(last or first) + 1)
    assert said == sorted(numbers)


def test_a_listing_takes_shards_together(tmp_path: Path) -> None:
    assert listing(tmp_path) == "nothing"
    numbered(tmp_path, range(30), 1024)
    touched(tmp_path, *"abcdef")
    assert listing(tmp_path) == "a, b, c, d, e, and 2 more"
    touched(tmp_path, "README")
    for name in "abcdef":
        (tmp_path / name).unlink()
    assert listing(tmp_path) == "README, 30 x validation-*-of-01024"
