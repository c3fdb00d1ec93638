from __future__ import annotations

from pathlib import Path

import pytest
from coco_made import annotation, instances, old_example, write_images, write_json

from modelzoo_runner.data.coco_find import WANTED, find
from modelzoo_runner.data.records import writing
from modelzoo_runner.errors import DataError

TRUTH = instances([(8, 6), (9, 6)], annotation(5, 2))


def record(path: Path, number: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as writer:
        writer.write(old_example(number))
    return path


@pytest.mark.parametrize("name", ["coco_val.record", "val2017.tfrecord", "COCO.TFRECORDS".lower()])
def test_a_record_file_by_itself_or_by_its_folder(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name)
    for location in (path, str(path), tmp_path):
        found = find(location)
        assert (found.kind, found.files, found.image_ids) == ("records", (path,), ())
        assert (found.annotations, found.annotations_file, found.warnings) == (None, None, ())
        assert found.label_map["dog"] == 18


@pytest.mark.parametrize(
    "pattern",
    ["coco_val.record-{:05}-of-00003", "val-{:05}-of-00003.tfrecord", "validation-{:05}-of-00003"],
)
def test_shards_by_any_of_them_or_by_their_folder(tmp_path: Path, pattern: str) -> None:
    paths = tuple(record(tmp_path / pattern.format(number), number) for number in range(3))
    for location in (paths[1], tmp_path):
        assert find(location).files == paths


def test_a_missing_shard_is_an_error_unless_allowed(tmp_path: Path) -> None:
    kept = record(tmp_path / "coco_val.record-00001-of-00003")
    with pytest.raises(DataError, match=r"1 of 3 files are there; missing: 0, 2.*allow_partial="):
        find(tmp_path)
    found = find(tmp_path, allow_partial=True)
    assert found.files == (kept,)
    assert found.warnings == ("a part of the set: shards 0, 2 are missing",)


def test_the_validation_records_are_meant_and_empty_ones_are_passed_over(tmp_path: Path) -> None:
    record(tmp_path / "coco_train.record")
    (tmp_path / "coco_testdev.record").touch()
    path = record(tmp_path / "coco_val.record")
    assert find(tmp_path).files == (path,)


def test_two_sets_that_could_be_meant_are_refused(tmp_path: Path) -> None:
    record(tmp_path / "a.record")
    record(tmp_path / "b.record")
    with pytest.raises(DataError) as caught:
        find(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: several record files could be meant: a.record, b.record. Name one of them."
    )


def test_shards_of_different_totals_are_different_sets(tmp_path: Path) -> None:
    record(tmp_path / "val-00000-of-00001.tfrecord")
    record(tmp_path / "val-00000-of-00002.tfrecord")
    with pytest.raises(DataError, match="several record files could be meant"):
        find(tmp_path)


@pytest.mark.parametrize("place", ["", "annotations", "..", "../annotations"])
def test_images_and_the_annotations_beside_them(tmp_path: Path, place: str) -> None:
    folder = write_images(tmp_path / "coco" / "val2017", TRUTH)
    path = write_json((folder / place).resolve() / "instances_val2017.json", TRUTH)
    # Those of another split are not these.
    write_json(path.parent / "instances_train2017.json", instances([]))
    write_json(path.parent / "captions_val2017.json", [])
    for location in (folder, folder.parent):
        found = find(location)
        assert found.kind == "images"
        assert found.files == (folder / "000000000001.jpg", folder / "000000000002.jpg")
        assert found.image_ids == (1, 2)
        assert found.annotations_file == path
        assert found.annotations is not None
        assert found.annotations["annotations"] == TRUTH["annotations"]


def test_images_without_annotations_are_numbered_by_name_or_in_order(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "val2017", instances([(8, 6)] * 2))
    assert find(folder).image_ids == (1, 2)
    (folder / "dog.PNG").touch()
    found = find(folder)
    assert [path.name for path in found.files] == [
        "000000000001.jpg",
        "000000000002.jpg",
        "dog.PNG",
    ]
    assert found.image_ids == (1, 2, 3)
    assert found.annotations is None


def test_annotations_may_be_named_as_file_or_folder(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "pictures", TRUTH)
    path = write_json(tmp_path / "elsewhere" / "instances_mine.json", TRUTH)
    for named in (path, path.parent, str(path)):
        assert find(folder, named).annotations_file == path
    with pytest.raises(DataError, match=r"pictures: no instances_\*\.json in this folder"):
        find(folder, folder)


def test_several_annotations_that_could_be_meant_are_refused(tmp_path: Path) -> None:
    path = record(tmp_path / "coco_val.record")
    for name in ("instances_val2014.json", "instances_val2017.json"):
        write_json(tmp_path / name, TRUTH)
    with pytest.raises(DataError) as caught:
        find(path)
    assert str(caught.value) == (
        f"{tmp_path}: several annotation files could be meant: instances_val2014.json, "
        "instances_val2017.json. Name one of them."
    )


def test_an_annotated_image_that_is_missing_is_an_error_unless_allowed(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "val2017", TRUTH)
    write_json(tmp_path / "instances_val2017.json", TRUTH)
    (folder / "000000000001.jpg").unlink()
    said = (
        f"{folder}: 1 of 2 annotated images are missing (000000000001.jpg: there is no such file)"
    )
    with pytest.raises(DataError) as caught:
        find(folder)
    assert str(caught.value) == (
        f"{said}. Get them or other annotations, or allow_partial=True to go on without them."
    )
    found = find(folder, allow_partial=True)
    assert (found.image_ids, found.warnings) == ((2,), (said,))


def test_other_images_than_the_annotated_ones_are_refused_even_partly(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "val2017", instances([(8, 6)]))
    other = instances([(8, 6)])
    other["images"][0]["file_name"] = "other.jpg"
    write_json(tmp_path / "instances_val2017.json", other)
    with pytest.raises(DataError, match=r"1 of 1 annotated images are missing \(other\.jpg: "):
        find(folder, allow_partial=True)


def test_annotations_of_images_that_are_not_listed_are_said(tmp_path: Path) -> None:
    truth = instances([(8, 6)], annotation(1, 1), annotation(2, 8), annotation(3, 9))
    write_json(tmp_path / "instances_val2017.json", truth)
    found = find(write_images(tmp_path / "val2017", truth))
    assert found.warnings == ("2 annotations of images that aren't listed: ignored, as COCO does",)


def test_a_folder_in_an_images_name_may_be_there_or_not_but_never_leads_out(tmp_path: Path) -> None:
    truth = instances([(8, 6)])
    folder = write_images(tmp_path / "val2017", truth)
    for prefix in ("val2017/", "/val2017/", "../val2017/", "../../"):
        named = instances([(8, 6)])
        named["images"][0]["file_name"] = f"{prefix}000000000001.jpg"
        write_json(tmp_path / "instances_val2017.json", named)
        assert find(folder).files == (folder / "000000000001.jpg",)
    (tmp_path / "secret.jpg").touch()
    named["images"][0]["file_name"] = "../secret.jpg"
    write_json(tmp_path / "instances_val2017.json", named)
    with pytest.raises(DataError, match="1 of 1 annotated images are missing"):
        find(folder)


def test_a_wrong_location_is_answered_with_what_was_needed_and_what_is_there(
    tmp_path: Path,
) -> None:
    record(tmp_path / "coco_val.record")
    with pytest.raises(DataError) as caught:
        find(tmp_path / "coco_val.recrod")
    assert str(caught.value) == (
        f"{tmp_path}/coco_val.recrod: no such file or folder. Needed: {WANTED}. Did you mean "
        "'coco_val.record'?"
    )
    with pytest.raises(DataError) as caught:
        find(tmp_path / "imagenet" / "val")
    assert str(caught.value) == (
        f"{tmp_path}/imagenet/val: no such file or folder. Needed: {WANTED}."
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError) as caught:
        find(empty)
    assert str(caught.value) == f"{empty}: no COCO data in it. Needed: {WANTED}. Found: nothing."
    for name in "abcdefg":
        (empty / name).touch()
    with pytest.raises(DataError, match=r"Found: a, b, c, d, e, and 2 more\."):
        find(empty)


def test_annotations_are_no_location(tmp_path: Path) -> None:
    path = write_json(tmp_path / "instances_val2017.json", TRUTH)
    with pytest.raises(DataError) as caught:
        find(path)
    assert str(caught.value) == (
        f"{path}: not the name of a COCO TFRecord. Needed: {WANTED}. A file of annotations goes "
        "into annotations=, beside the data."
    )


def test_the_folder_for_validation_is_meant(tmp_path: Path) -> None:
    write_images(tmp_path / "train2017", TRUTH)
    folder = write_images(tmp_path / "val2017", TRUTH)
    assert find(tmp_path).files[0].parent == folder


def test_a_label_map_of_ones_own(tmp_path: Path) -> None:
    found = find(record(tmp_path / "own.record"), label_map={"dog": 5})
    assert found.label_map == {"dog": 5}


def test_the_real_sample(samples: Path) -> None:
    folder = samples / "coco" / "val2017_mini"
    for location in (folder, folder / "images"):
        found = find(location)
        assert (found.kind, len(found.files), found.warnings) == ("images", 164, ())
        assert found.annotations_file == folder / "instances_val2017_mini.json"
