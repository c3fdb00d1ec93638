from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coco_made import annotation, instances, write_json

from modelzoo_runner.data.coco_annotations import read_annotations, restricted
from modelzoo_runner.errors import DataError

SIZES = [(8, 6), (9, 6)]


def test_what_finding_boxes_needs_is_kept_and_nothing_else(tmp_path: Path) -> None:
    truth = instances(
        SIZES, annotation(5, 2, segmentation=[[1, 2, 3]]), annotation(6, 2, iscrowd=1)
    )
    found = read_annotations(write_json(tmp_path / "instances_made.json", truth))
    assert sorted(found) == ["annotations", "categories", "images"]
    assert found["images"] == truth["images"]
    assert found["annotations"] == [annotation(5, 2), annotation(6, 2, iscrowd=1)]
    assert found["categories"] == truth["categories"]


def test_masks_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    polygon = [[0, 0, 4, 0, 4, 4]]
    truth = instances([(8, 6)], annotation(5, 1, segmentation=polygon), annotation(6, 1))
    path = write_json(tmp_path / "instances_made.json", truth)
    found = read_annotations(path, with_masks=True)
    assert [each["segmentation"] for each in found["annotations"]] == [polygon, None]
    assert all("segmentation" not in each for each in read_annotations(path)["annotations"])


def test_ids_may_be_text(tmp_path: Path) -> None:
    truth = instances(SIZES, annotation(5, 2))
    truth["images"][0]["id"] = "000000000139"
    found = read_annotations(write_json(tmp_path / "instances_made.json", truth))
    assert found["images"][0]["id"] == 139


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "instances_made.json"
    whole = json.dumps(instances(SIZES, annotation(5, 2)))
    for length in (0, 1, 40, len(whole) - 1):
        path.write_text(whole[:length])
        with pytest.raises(DataError) as caught:
            read_annotations(path)
        assert str(caught.value).startswith(f"{path}: not JSON, or cut short at {length} bytes: ")
        assert str(caught.value).endswith("Get the file again.")


def test_a_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: can't be read: No such file or directory"):
        read_annotations(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([{"image_id": 1}], "a list"),
        ({"images": [], "annotations": []}, "annotations, images"),
        ({}, "nothing"),
        ({"images": {}, "annotations": [], "categories": []}, "annotations, categories, images"),
    ],
)
def test_other_json_is_refused_with_what_it_holds(tmp_path: Path, content: Any, found: str) -> None:
    path = write_json(tmp_path / "results.json", content)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert str(caught.value) == (
        f"{path}: not COCO annotations of objects, which hold the lists images, annotations and "
        f"categories; found: {found}. The file of val2017 is instances_val2017.json, in "
        "annotations_trainval2017.zip."
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"bbox": [1, 2, 3]},
            "'bbox' is '[1, 2, 3]' and should be four numbers: x, y, width, height",
        ),
        (
            {"bbox": [1, 2, 3, float("nan")]},
            "'bbox' is '[1, 2, 3, nan]' and should be four numbers",
        ),
        ({"area": "big"}, "'area' is 'big' and should be a number"),
        ({"area": float("inf")}, "'area' is 'inf' and should be a number"),
        ({"image_id": None}, "'image_id' is 'None' and should be a whole number or text"),
        ({"image_id": True}, "'image_id' is 'True' and should be a whole number or text"),
        ({"image_id": " "}, "'image_id' is ' ' and should be a whole number or text"),
        ({"category_id": 1.5}, "'category_id' is '1.5' and should be a whole number"),
        ({"iscrowd": 2}, "'iscrowd' is '2' and should be 0 or 1"),
        ({"bbox": []}, "'bbox' is '[]' and should be four numbers"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    truth = instances(SIZES, annotation(5, 2), {**annotation(6, 2), **change})
    path = write_json(tmp_path / "instances_made.json", truth)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: annotations: entry 1: {fault}")


def test_a_missing_key_and_a_stray_entry_are_named(tmp_path: Path) -> None:
    truth = instances(SIZES)
    del truth["images"][1]["id"]
    path = write_json(tmp_path / "instances_made.json", truth)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert str(caught.value) == (
        f"{path}: images: entry 1: 'id' is missing; it has file_name, height, width"
    )
    write_json(path, {**truth, "images": [3]})
    with pytest.raises(DataError, match="images: entry 0: '3' should be an object"):
        read_annotations(path)
    write_json(path, instances([(0, 6)]))
    with pytest.raises(
        DataError, match="'width' is '0' and should be a whole number of pixels from"
    ):
        read_annotations(path)
    write_json(path, {**instances(SIZES), "categories": [{"id": 1, "name": 3}]})
    with pytest.raises(DataError, match="categories: entry 0: 'name' is '3' and should be text"):
        read_annotations(path)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_an_id_that_is_there_twice_is_refused(tmp_path: Path, key: str) -> None:
    truth = instances(SIZES, annotation(5, 2), annotation(6, 2))
    truth[key] = [*truth[key], truth[key][1]]
    path = write_json(tmp_path / "instances_made.json", truth)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert str(caught.value) == (
        f"{path}: {key}: 1 ids are there more than once ({truth[key][1]['id']}): was the file "
        "merged from parts? What is counted twice spoils the scores."
    )


def test_restricted_to_some_images() -> None:
    truth = instances(SIZES, annotation(5, 2), annotation(6, 1), annotation(7, 99))
    found = restricted(truth, [2])
    assert [image["id"] for image in found["images"]] == [2]
    assert [each["id"] for each in found["annotations"]] == [5]
    assert found["categories"] == truth["categories"]
    with pytest.raises(DataError, match="4 images are not in the annotations"):
        restricted(truth, [2, 8, 9, 10, 11])
