from __future__ import annotations

from pathlib import Path

import pytest

from modelzoo_runner.data.label_map import read_pbtxt
from modelzoo_runner.errors import DataError
from modelzoo_runner.values.coco_categories import IDS


def test_the_published_map_is_the_built_in_one(samples: Path) -> None:
    assert read_pbtxt(samples / "labels" / "mscoco_label_map.pbtxt") == IDS


def test_names_comments_and_fields_of_no_use(tmp_path: Path) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text(
        """
        # two animals
        item { name: "/m/01", id: 1, display_name: 'cat' keypoints { id: 3 label: "ear" } }
        item { id: 7 name: "dog's" }
        """
    )
    assert read_pbtxt(path) == {"cat": 1, "dog's": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item { id: 'x' }", "can't be read as a label map: 1:12 : "),
        ("item { id: 1 ", "can't be read as a label map: "),
        ("", 'not a label map: it has no item { id: 1 display_name: "person" }'),
        ("item { id: 3 }", "the item '' with id 3 needs a name and an id from 0"),
        ("item { name: 'a' }", "the item 'a' with id 0 needs a name and an id from 0"),
        (
            "item { name: 'a' id: 1 } item { name: 'a' id: 2 }",
            "the name 'a' or the id 2 is there twice",
        ),
        (
            "item { name: 'a' id: 1 } item { name: 'b' id: 1 }",
            "the name 'b' or the id 1 is there twice",
        ),
    ],
)
def test_what_is_no_label_map_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_pbtxt(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_map_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can't be read as a label map: .*No such file"):
        read_pbtxt(tmp_path / "none.pbtxt")
