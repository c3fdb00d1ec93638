from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path

import pytest
from coco_made import annotation, encoded, instances, write_images, write_json

from modelzoo_runner.data.coco import count, find, ground_truth
from modelzoo_runner.data.convert import CocoConversion, convert_coco
from modelzoo_runner.errors import DataError, RequestError

TRUTH = instances(
    [(8, 6), (9, 6), (8, 6)],
    annotation(5, 2, 18),
    annotation(6, 1, 1, iscrowd=1),
    annotation(9, 2, 1, bbox=[0.1, 0.2, 9, 0]),
    annotation(10, 2, 13, bbox=[-1, 2, 9.7, 3.2]),
    annotation(11, 99),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "data" / "instances_val2017.json", TRUTH)
    return write_images(tmp_path / "data" / "val2017", TRUTH)


def test_every_image_and_every_box_is_kept_and_counted(folder: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", []
    report = convert_coco(
        folder,
        folder.parent / "instances_val2017.json",
        out,
        progress=lambda _, done, total: seen.append((done, total)),
    )
    assert report == CocoConversion(
        files=(out / "coco_val.record",),
        images=3,
        images_without_objects=1,
        annotations=4,
        crowds=1,
        clipped=2,
        empty=1,
        unlisted=1,
    )
    assert str(report) == (
        "3 images, 1 of them without objects, and 4 boxes: 1 crowds, 2 over the border, 1 without "
        f"area; 1 of no listed image, left out\n{out}: 1 files, coco_val.record first"
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    truth = ground_truth(find(out))
    assert truth["images"] == TRUTH["images"]
    assert sorted(each["id"] for each in truth["annotations"]) == [5, 6, 9, 10]


def test_shards_hold_the_images_in_order(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = convert_coco(folder, folder.parent, out, shards=2, name="val.tfrecord")
    names = ["val.tfrecord-00000-of-00002", "val.tfrecord-00001-of-00002"]
    assert [path.name for path in report.files] == names
    assert sorted(path.name for path in out.iterdir()) == names
    source = find(out)
    assert count(source) == 3
    assert [image["id"] for image in ground_truth(source)["images"]] == [1, 2, 3]


@pytest.mark.parametrize("shards", [0, 4, "2"])
def test_more_shards_than_images_are_refused(folder: Path, tmp_path: Path, shards: object) -> None:
    with pytest.raises(RequestError, match=f"shards={shards!r}: "):
        convert_coco(folder, folder.parent, tmp_path / "out", shards=shards)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(DataError, match="the output folder has files in it already"):
        convert_coco(folder, folder.parent, folder)


def test_what_fails_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    path = folder / "000000000003.jpg"
    for data, message in {
        encoded(9, 9): f"{path}: the image is 9 x 9 pixels, its annotation says 8 x 6: boxes",
        b"hello": f"{path}: the image is of no known format (it begins with b'hello'); it",
        encoded(8, 6)[:-20]: f"{path}: the image is a JPEG of 8 x 6 that is truncated or damaged.",
    }.items():
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            convert_coco(folder, folder.parent, tmp_path / "out")
        assert str(caught.value).startswith(message)
    path.unlink()
    with pytest.raises(DataError, match=r"1 of 3 annotated images are missing \(000000000003\.jpg"):
        convert_coco(folder, folder.parent, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_an_interrupted_conversion_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    def stop(_: str, done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_coco(folder, folder.parent, tmp_path / "out", progress=stop)
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_records_are_no_images(folder: Path, tmp_path: Path) -> None:
    convert_coco(folder, folder.parent, tmp_path / "out")
    with pytest.raises(DataError, match="should be a folder of images, and holds records already"):
        convert_coco(tmp_path / "out", folder.parent, tmp_path / "again")


def test_the_real_sample_comes_back_exactly(samples: Path, tmp_path: Path) -> None:
    folder = samples / "coco" / "val2017_mini"
    report = convert_coco(
        folder, folder / "instances_val2017_mini.json", tmp_path / "out", shards=5
    )
    assert (report.images, report.annotations, report.crowds) == (164, 1560, 17)
    truth = json.loads((folder / "instances_val2017_mini.json").read_text())
    found = ground_truth(find(tmp_path / "out"))
    expected = ground_truth(find(folder))
    assert found["images"] == expected["images"]
    assert found["categories"] == expected["categories"]
    key = itemgetter("id")
    assert sorted(found["annotations"], key=key) == sorted(expected["annotations"], key=key)
    assert len(found["annotations"]) == len(truth["annotations"])
