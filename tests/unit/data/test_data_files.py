"""Files as people have them: folders, hidden files, marks, rotations, lists of labels."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from coco_made import annotation, encoded, instances, old_example, write_json
from PIL import Image

from modelzoo_runner.data import coco
from modelzoo_runner.data.coco_find import find
from modelzoo_runner.data.convert import convert_coco
from modelzoo_runner.data.images import Encoded, decode
from modelzoo_runner.data.label_map import read
from modelzoo_runner.data.labelled import labelled_images
from modelzoo_runner.data.records import writing
from modelzoo_runner.errors import DataError, RequestError

SYNSETS = ["n01440764", *(f"n02{number:06}" for number in range(998)), "n15075141"]


def truth_of(*names: str) -> dict[str, Any]:
    truth = instances([(8, 6)] * len(names), *(annotation(n, n) for n in range(1, len(names) + 1)))
    for image, name in zip(truth["images"], names, strict=True):
        image["file_name"] = name
    return truth


def write(root: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(8, 6, seed=seed))


# COCO's images.


@pytest.fixture
def cams(tmp_path: Path) -> Path:
    """Two cameras with a frame each, of the same base name."""
    root = tmp_path / "cams"
    write(root, "cam1/frame_000001.jpg", "cam2/frame_000001.jpg")
    write_json(
        tmp_path / "instances_all.json", truth_of("cam1/frame_000001.jpg", "cam2/frame_000001.jpg")
    )
    return root


def test_images_are_matched_by_their_path_below_the_root(cams: Path, tmp_path: Path) -> None:
    source = find(cams, tmp_path / "instances_all.json")
    assert source.files == (cams / "cam1/frame_000001.jpg", cams / "cam2/frame_000001.jpg")
    assert source.image_ids == (1, 2)
    (tmp_path / "instances_all.json").rename(cams / "instances_all.json")
    assert find(cams).files == source.files
    report = convert_coco(cams, cams, tmp_path / "out")
    assert report.images == 2
    inputs = [batch.inputs for batch in coco.batches(find(tmp_path / "out"))]
    expected = [batch.inputs for batch in coco.batches(source)]
    assert [each.tobytes() for each in inputs] == [each.tobytes() for each in expected]
    assert inputs[0].tobytes() != inputs[1].tobytes()


def test_one_folder_of_them_has_the_images_of_that_folder_only(cams: Path, tmp_path: Path) -> None:
    json_file = tmp_path / "instances_all.json"
    with pytest.raises(DataError, match=r"1 of 2 annotated images are missing \(cam1/frame_"):
        find(cams / "cam2", json_file)
    source = find(cams / "cam2", json_file, allow_partial=True)
    assert (source.files, source.image_ids) == ((cams / "cam2/frame_000001.jpg",), (2,))


def test_no_image_serves_two_entries(tmp_path: Path) -> None:
    write(tmp_path / "val2017", "a.jpg")
    path = write_json(tmp_path / "instances_val2017.json", truth_of("a.jpg", "a.jpg"))
    with pytest.raises(DataError, match=r"1 of 2 annotated images are missing \(a.jpg: it is list"):
        find(tmp_path / "val2017", path)


def test_backslashes_and_windows_paths(tmp_path: Path) -> None:
    write(tmp_path / "data", "images/x.jpg", "images/y.jpg")
    write_json(
        tmp_path / "data" / "instances_val.json",
        truth_of("images\\x.jpg", "D:\\data\\images\\y.jpg"),
    )
    source = find(tmp_path / "data" / "images")
    assert [path.name for path in source.files] == ["x.jpg", "y.jpg"]
    # A backslash may be a letter of the name itself.
    (tmp_path / "data" / "images" / "x.jpg").rename(tmp_path / "data" / "images" / "images\\x.jpg")
    assert [path.name for path in find(tmp_path / "data" / "images").files] == [
        "images\\x.jpg", "y.jpg",
    ]  # fmt: skip


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("coco_val.record", "._coco_val.record"):
        with writing(tmp_path / name) as writer:
            writer.write(old_example(7))
    assert find(tmp_path).files == (tmp_path / "coco_val.record",)
    write(tmp_path / "val2017", "1.jpg", "._1.jpg")
    assert [each.name for each in find(tmp_path / "val2017").files] == ["1.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_annotations_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    write(tmp_path / "val2017", "é.jpg")
    truth = truth_of("é.jpg")
    path = tmp_path / "instances_val2017.json"
    path.write_text(json.dumps(truth, ensure_ascii=False), encoding=encoding)
    assert find(tmp_path / "val2017").annotations_file == path


def test_annotations_without_sizes_and_annotation_ids(tmp_path: Path) -> None:
    write(tmp_path / "val2017", "1.jpg", "2.jpg")
    truth = truth_of("1.jpg", "2.jpg")
    for each in truth["images"]:
        del each["width"], each["height"]
    for each in truth["annotations"]:
        del each["id"], each["iscrowd"]
    write_json(tmp_path / "instances_val2017.json", truth)
    source = find(tmp_path / "val2017")
    assert [batch.truth.sizes for batch in coco.batches(source)] == [((6, 8),)] * 2
    found = coco.ground_truth(source)["annotations"]
    assert [(each["id"], each["iscrowd"]) for each in found] == [(1, 0), (2, 0)]
    convert_coco(tmp_path / "val2017", tmp_path, tmp_path / "deep" / "er" / "out")
    again = coco.ground_truth(find(tmp_path / "deep" / "er" / "out"))
    assert [(each["width"], each["height"]) for each in again["images"]] == [(8, 6)] * 2


def test_ids_that_are_names_or_large(tmp_path: Path) -> None:
    write(tmp_path / "val2017", "1.jpg", "2.jpg")
    truth = truth_of("1.jpg", "2.jpg")
    for each, number in zip(truth["images"], ("cam/1", 2**64), strict=True):
        each["id"] = number
    for each, number in zip(truth["annotations"], ("cam/1", 2**64), strict=True):
        each["image_id"] = number
    write_json(tmp_path / "instances_val2017.json", truth)
    convert_coco(tmp_path / "val2017", tmp_path, tmp_path / "out")
    for place in (tmp_path / "val2017", tmp_path / "out"):
        source = find(place)
        assert [batch.truth.ids for batch in coco.batches(source)] == [("cam/1",), (2**64,)]
        found = coco.ground_truth(source)["annotations"]
        assert [each["image_id"] for each in found] == ["cam/1", 2**64]


# Rotations.


def rotated(value: int, **size: int) -> bytes:
    exif = Image.Exif()
    exif[274] = value
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_an_image_annotated_as_rotated_is_refused_with_the_reason() -> None:
    image = Encoded(name="a.jpg", image_id=1, where="a.jpg", data=rotated(6), size=(8, 6))
    with pytest.raises(DataError, match=r"8 x 6 pixels, its annotation says 6 x 8: .* EXIF orient"):
        decode(image)


# Labels of ImageNet's images.


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A train and a val image of the same base name."""
    root = tmp_path / "imagenet"
    write(root, "train/0001.JPEG", "val/0001.JPEG", "val/._0001.JPEG")
    return root


def labels(folder: Path, content: str | bytes, name: str = "labels.txt") -> dict[str, int]:
    path = folder.parent / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found, _ = labelled_images(folder, path)
    return {each.path.relative_to(folder).as_posix(): each.class_index for each in found}


def test_an_absolute_path_means_the_image_of_its_own_folder(split: Path) -> None:
    assert labels(split, "/data/imagenet/train/0001.JPEG 0\n") == {"train/0001.JPEG": 0}
    assert labels(split, "/x/val/0001.JPEG 7\n/x/train/0001.JPEG 5\n") == {
        "val/0001.JPEG": 7, "train/0001.JPEG": 5,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"0001.JPEG .*could be any of 2 files"):
        labels(split, "0001.JPEG 0\n")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfval/0001.JPEG 7\r\ntrain/0001.JPEG 5\r\n",
        "val/0001.JPEG 7\r\ntrain/0001.JPEG 5\r\n".encode("utf-16"),
        b"filename,label\nval/0001.JPEG,7\ntrain/0001.JPEG,5\n",
        b'"val/0001.JPEG","7"\n"train/0001.JPEG","5"\n',
        b"val\\0001.JPEG 7\ntrain\\0001.JPEG 5\n",
    ],
    ids=["mark", "utf-16", "header", "quotes", "backslashes"],
)
def test_lists_as_other_tools_write_them(split: Path, content: bytes) -> None:
    assert labels(split, content) == {"val/0001.JPEG": 7, "train/0001.JPEG": 5}


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    """A thousand images named as those of the validation set are, with other numbers."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(1000):
        (folder / f"ILSVRC2012_val_{number + 40_000:08}.JPEG").touch()
    return folder


def expected(number: int) -> int:
    return (number * 7) % 1000


def test_kaggles_list(thousand: Path) -> None:
    lines = ["ImageId,PredictionString"]
    for number in range(1000):
        synset = SYNSETS[expected(number)]
        lines.append(f"ILSVRC2012_val_{number + 40_000:08},{synset} 85 1 499 272 {synset} 1 2 3 4 ")
    found = labels(thousand, "\r\n".join(lines), "LOC_val_solution.csv")
    assert list(found.values()) == [expected(number) for number in range(1000)]


def test_the_script_that_moves_images_into_folders(thousand: Path) -> None:
    lines = ["#!/bin/bash", *(f"mkdir -p {synset}" for synset in SYNSETS)]
    for number in range(1000):
        lines.append(f"mv ILSVRC2012_val_{number + 40_000:08}.JPEG {SYNSETS[expected(number)]}/")
    found = labels(thousand, "\n".join(lines), "valprep.sh")
    assert list(found.values()) == [expected(number) for number in range(1000)]


def test_keras_class_index(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write(folder, f"{SYNSETS[7]}_x.JPEG")
    index = {str(number): [synset, f"word{number}"] for number, synset in enumerate(SYNSETS)}
    assert labels(folder, json.dumps(index), "imagenet_class_index.json") == {
        f"{SYNSETS[7]}_x.JPEG": 7
    }
    assert labels(folder, json.dumps({f"{SYNSETS[7]}_x.JPEG": 7}), "labels.json") == {
        f"{SYNSETS[7]}_x.JPEG": 7
    }


def test_names_of_classes_are_no_labels(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write(folder, "a.JPEG")
    for content in ("background\ntench\ngoldfish\n", '["tench", "goldfish"]'):
        name = "names.json" if content[0] == "[" else "names.txt"
        with pytest.raises(DataError, match="Needed: the 1000 synsets"):
            labels(folder, content, name)


# Label maps.


def test_a_label_map_in_any_form(tmp_path: Path) -> None:
    expected = {"0": "background", "1": "dog"}
    (tmp_path / "map.pbtxt").write_bytes(
        b"\xef\xbb\xbfitem { id: 0 name: 'background' } item { id: 1 name: 'dog' }"
    )
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfbackground\r\ndog\r\n\r\n")
    (tmp_path / "list.json").write_text('["background", "dog"]')
    (tmp_path / "map.json").write_text('{"0": "background", "1": "dog"}')
    for given in (
        *(tmp_path / name for name in ("map.pbtxt", "names.txt", "list.json", "map.json")),
        ["background", "dog"],
        {0: "background", 1: "dog"},
        {"background": 0, "dog": 1},
    ):
        assert read(given) == expected
    assert read(None) is None


@pytest.mark.parametrize("given", [[], {}, 5, ["dog", 3], {1.5: "dog"}, {"dog": None}])
def test_what_is_no_label_map_is_refused(given: object) -> None:
    with pytest.raises(RequestError, match=r"label_map=.*should be a \.pbtxt"):
        read(given)


def test_files_that_are_no_label_map_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.txt: can't be read"):
        read(tmp_path / "absent.txt")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match=r"bad.json: not a label map"):
        read(tmp_path / "bad.json")


def test_records_with_names_only_are_read_by_a_label_map(tmp_path: Path) -> None:
    with writing(tmp_path / "val.record") as writer:
        writer.write(old_example(7, object__class__text=["bolt"]))
    with pytest.raises(DataError, match=r"'bolt', which isn't in the label map.*label_map="):
        coco.ground_truth(find(tmp_path))
    found = coco.ground_truth(find(tmp_path, label_map={"bolt": 3}))
    assert found["categories"] == [{"id": 3, "name": "bolt"}]
