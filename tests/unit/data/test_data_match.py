"""Which file is meant by an entry."""

from __future__ import annotations

import unicodedata

import pytest

from modelzoo_runner.data.match import is_image, matched, parts

ROOT = ("data", "imagenet")


def found(entries: list[str], files: list[str], root: tuple[str, ...] = ROOT) -> list[str | None]:
    below = [(tuple(each.split("/")), each) for each in files]
    result = matched(entries, root, below)
    assert result.files.keys() | result.problems.keys() == set(range(len(entries)))
    assert not result.files.keys() & result.problems.keys()
    return [result.files.get(place) for place in range(len(entries))]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["train/1.jpg", "val/1.jpg"], ["train/1.jpg", "val/1.jpg"]),
        (["/mnt/x/train/1.jpg"], ["train/1.jpg"]),
        (["/data/imagenet/val/1.jpg"], ["val/1.jpg"]),
        (["imagenet/val/1.jpg", "2.jpg"], ["val/1.jpg", "val/2.jpg"]),
        (["1.jpg"], [None]),  # two files of that name
        (["other/2.jpg"], ["val/2.jpg"]),  # the only one of that name, listed once
        (["test/2.jpg", "other/2.jpg"], [None, None]),
        (["val/2.jpg", "test/2.jpg"], ["val/2.jpg", None]),
        (["val/2.jpg", "val/2.jpg"], ["val/2.jpg", None]),
        (["C:\\images\\val\\1.jpg"], ["val/1.jpg"]),
        ([".\\train\\1.jpg"], ["train/1.jpg"]),
        (["val/2"], ["val/2.jpg"]),
        (["3.jpg", ""], [None, None]),
    ],
)
def test_the_path_decides_and_a_name_only_where_it_is_unique(
    entries: list[str], expected: list[str | None]
) -> None:
    assert found(entries, ["train/1.jpg", "val/1.jpg", "val/2.jpg"]) == expected


def test_the_folder_itself_may_be_a_part_of_the_path() -> None:
    files = ["frame_1.jpg"]
    entries = ["cam1/frame_1.jpg", "cam2/frame_1.jpg"]
    assert found(entries, files, ("cams", "cam2")) == [None, "frame_1.jpg"]
    assert found(entries, files, ("cams", "cam1")) == ["frame_1.jpg", None]


def test_the_whole_path_below_the_folder_is_best() -> None:
    assert found(["a/1.jpg"], ["1.jpg", "a/1.jpg"], ("x", "a")) == ["a/1.jpg"]


def test_accents_may_be_composed_otherwise() -> None:
    composed, apart = (unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD"))
    assert composed != apart
    assert found([composed], [apart]) == [apart]
    assert found([apart], [composed]) == [composed]


def test_hidden_files_are_no_images() -> None:
    assert [is_image(name) for name in ("a.JPG", "._a.jpg", ".a.png", "a.txt")] == [
        True, False, False, False,
    ]  # fmt: skip


def test_parts() -> None:
    assert parts(" /a//b/./c.jpg ") == ("a", "b", "c.jpg")
    assert parts("c:d.jpg") == ("c:d.jpg",)
