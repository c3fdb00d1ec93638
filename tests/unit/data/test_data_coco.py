from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_made import annotation, encoded, instances, old_example, write_images, write_json

from modelzoo_runner.data import coco, manifest
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.data.coco import CocoSource, Images, batches, count, find, ground_truth
from modelzoo_runner.data.convert import convert_coco
from modelzoo_runner.data.images import Encoded, decode
from modelzoo_runner.data.manifest import ListedFile
from modelzoo_runner.data.records import index, writing
from modelzoo_runner.errors import DataError, RequestError

SIZES = [(8, 6), (9, 6), (8, 6), (8, 6), (9, 6), (5, 4), (8, 6)]
TRUTH = instances(
    SIZES,
    annotation(5, 2, 18),
    annotation(6, 1, 1, iscrowd=1),
    annotation(9, 2, 1, bbox=[0.1, 0.2, 9, 0]),
    annotation(10, 7, 13, bbox=[-1, 2, 9.7, 3.2]),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "data" / "instances_val2017.json", TRUTH)
    return write_images(tmp_path / "data" / "val2017", TRUTH)


@pytest.fixture
def converted(folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "records"
    convert_coco(folder, folder.parent, out, shards=3)
    return out


@pytest.fixture(params=["images", "records"])
def source(request: pytest.FixtureRequest, folder: Path, converted: Path) -> CocoSource:
    found = find(folder if request.param == "images" else converted)
    assert found.kind == request.param
    return found


def records(path: Path, *examples: bytes) -> Path:
    with writing(path) as writer:
        for each in examples:
            writer.write(each)
    return path


def test_one_image_at_a_time_in_order_by_default(source: CocoSource) -> None:
    found = list(batches(source))
    assert [batch.truth for batch in found] == [
        Images(ids=(number,), sizes=((height, width),))
        for number, (width, height) in enumerate(SIZES, start=1)
    ]
    assert [batch.names for batch in found] == [(f"{n:012}.jpg",) for n in range(1, 8)]
    for number, batch in enumerate(found, start=1):
        width, height = SIZES[number - 1]
        expected = decode(
            Encoded(name="", image_id=0, where="", data=encoded(width, height, seed=number))
        )
        assert batch.inputs.dtype == np.uint8
        np.testing.assert_array_equal(batch.inputs, expected.pixels[None])
    assert count(source) == 7


@pytest.mark.parametrize("threads", [1, 3])
def test_larger_batches_hold_images_of_one_size_each_image_once(
    source: CocoSource, threads: int
) -> None:
    found = list(batches(source, ReadOptions(batch_size=3, threads=threads)))
    assert [batch.truth.ids for batch in found] == [(1, 3, 4), (2, 5), (6,), (7,)]
    for batch in found:
        assert len(set(batch.truth.sizes)) == 1
        assert batch.inputs.shape == (len(batch), *batch.truth.sizes[0], 3)


def test_limit_and_repeat(source: CocoSource) -> None:
    ids = [batch.truth.ids for batch in batches(source, ReadOptions(limit=2))]
    assert ids == [(1,), (2,)]
    endless = batches(source, ReadOptions(limit=2, repeat=True))
    assert [next(endless).truth.ids for _ in range(5)] == [(1,), (2,), (1,), (2,), (1,)]
    endless.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("decode")]


@pytest.mark.parametrize("first", range(8))
def test_a_range_is_what_comes_in_that_place(source: CocoSource, first: int) -> None:
    found = [batch.truth.ids[0] for batch in batches(source, ReadOptions(first=first, limit=3))]
    assert found == list(range(1, 8))[first : first + 3]
    truth = ground_truth(source, first=first, limit=3)
    assert [image["id"] for image in truth["images"]] == found
    assert {each["image_id"] for each in truth["annotations"]} == {1, 2, 7} & set(found)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 3), (1, 5), (4, None), (0, None)])
def test_a_part_needs_its_record_files_alone(
    converted: Path, tmp_path: Path, start: int, stop: int | None
) -> None:
    whole = find(converted)
    assert len(whole.files) > 2
    needed = coco.record_files(whole, start, stop)
    files = {
        f"a/{path.name}": ListedFile(
            path=str(path) if path in needed else str(tmp_path / "absent"),
            size=path.stat().st_size,
            records=len(index(path)),
        )
        for path in whole.files
    }
    listed = find(manifest.folder("a", files))
    options = ReadOptions(first=start, limit=None if stop is None else stop - start)
    for each in (whole, listed):
        names = [batch.names for batch in batches(each, options)]
        assert names == [batch.names for batch in batches(whole)][start:stop]
        truth = ground_truth(each, first=start, limit=options.limit)
        assert truth == ground_truth(whole, first=start, limit=options.limit)


def test_what_is_passed_over_is_not_read(converted: Path) -> None:
    first, second, _ = find(converted).files
    for path, offset in ((first, 40), (second, 40)):
        data = bytearray(path.read_bytes())
        data[offset] ^= 1
        path.write_bytes(bytes(data))
    whole = find(converted)
    passed = len(index(first)) + 1
    assert [batch.truth.ids[0] for batch in batches(whole, ReadOptions(first=passed))] == list(
        range(passed + 1, 8)
    )
    with pytest.raises(DataError, match="record 0 at byte 0: the record's checksum is wrong"):
        list(batches(whole, ReadOptions(first=passed - 1)))


def test_a_transform_makes_all_images_one_size(source: CocoSource) -> None:
    def corner(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return image[:, :4, :4] / np.float32(255)

    found = list(batches(source, ReadOptions(batch_size=4), transform=corner))
    assert [len(batch) for batch in found] == [4, 3]
    assert found[0].inputs.shape == (4, 4, 4, 3)
    assert found[0].inputs.dtype == np.float32
    assert found[0].truth.sizes[:2] == ((6, 8), (6, 9))


def test_the_preprocessing_graph_of_the_zoo_as_a_transform(samples: Path) -> None:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(
        (samples / "graphs" / "intel_ssdmobilenet_preprocess.pb").read_bytes()
    )
    with tf.Graph().as_default():
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session() as session:
            step = session.make_callable("Preprocessor/sub:0", ["image_tensor:0"])
            images = find(samples / "coco" / "val2017_mini")
            batch = next(batches(images, ReadOptions(batch_size=4, threads=2), transform=step))
    assert batch.inputs.shape == (4, 300, 300, 3)
    assert batch.inputs.dtype == np.float32
    assert -1 <= batch.inputs.min() < batch.inputs.max() <= 1


@pytest.mark.parametrize("name", ["batch_size", "limit", "threads"])
def test_numbers_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name}=0: .*at least 1"):
        ReadOptions(**{name: 0})
    with pytest.raises(RequestError, match=r"first=-1: .*at least 0"):
        ReadOptions(first=-1)


def test_ground_truth_is_the_same_from_records_and_json(source: CocoSource) -> None:
    truth = ground_truth(source)
    assert truth["images"] == TRUTH["images"]
    by_id = sorted(truth["annotations"], key=lambda each: int(each["id"]))
    assert by_id == TRUTH["annotations"]
    names = {each["id"]: each["name"] for each in truth["categories"]}
    assert names == {1: "person", 18: "dog", 13: "stop sign"}


def test_ground_truth_of_the_first_images(source: CocoSource) -> None:
    truth = ground_truth(source, limit=2)
    assert [image["id"] for image in truth["images"]] == [1, 2]
    assert sorted(each["id"] for each in truth["annotations"]) == [5, 6, 9]


def test_json_beside_records_is_preferred(converted: Path) -> None:
    write_json(converted / "instances_val2017.json", {**TRUTH, "annotations": [annotation(3, 2)]})
    source = find(converted)
    assert source.annotations_file == converted / "instances_val2017.json"
    assert [each["id"] for each in ground_truth(source)["annotations"]] == [3]
    assert len(list(batches(source))) == 7


def test_records_of_other_images_than_the_annotations_are_refused(converted: Path) -> None:
    write_json(converted / "instances_val2017.json", instances(SIZES[:4]))
    with pytest.raises(DataError) as caught:
        ground_truth(find(converted))
    assert str(caught.value) == (
        f"{converted / 'coco_val.record-00002-of-00003'}: record 0: image 5 is not in the "
        "annotations: they are of other images. Give those of these images."
    )


def test_records_of_older_converters(tmp_path: Path) -> None:
    path = records(tmp_path / "coco_val.record", old_example(7), old_example(9))
    source = find(path)
    truth = ground_truth(source)
    box = {"bbox": [2, 3, 4, 3], "area": 9.5, "iscrowd": 0, "category_id": 18}
    assert truth["annotations"] == [
        {"id": 1, "image_id": 7, **box},
        {"id": 2, "image_id": 9, **box},
    ]
    assert truth["categories"] == [{"id": 18, "name": "dog"}]
    assert [batch.truth.ids for batch in batches(source)] == [(7,), (9,)]


def test_an_image_that_is_in_two_records_is_refused(tmp_path: Path) -> None:
    path = records(tmp_path / "coco_val.record", old_example(7), old_example(7))
    with pytest.raises(DataError) as caught:
        ground_truth(find(path))
    assert str(caught.value) == f"{path}: record 1: image 7 was in an earlier record already."


def test_images_without_annotations_can_run_and_not_be_scored(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "val2017", instances(SIZES))
    source = find(folder)
    assert len(list(batches(source))) == 7
    with pytest.raises(DataError) as caught:
        ground_truth(source)
    assert str(caught.value) == (
        f"{folder}: no instances_*.json in it, in its annotations, or in those places of the "
        "folder above: without it there is nothing to score against. Put "
        "instances_val2017.json there, or give annotations=."
    )


def test_a_broken_image_is_named_at_its_place(folder: Path) -> None:
    path = folder / "000000000003.jpg"
    path.write_bytes(path.read_bytes()[:-20])
    found = batches(find(folder), ReadOptions(threads=2))
    assert [next(found).truth.ids, next(found).truth.ids] == [(1,), (2,)]
    with pytest.raises(DataError) as caught:
        next(found)
    assert str(caught.value) == (
        f"{path}: the image is a JPEG of 8 x 6 that is truncated or damaged."
    )


def test_a_broken_image_in_a_record_is_named(tmp_path: Path) -> None:
    path = records(tmp_path / "val.record", old_example(7), old_example(8, encoded=b"hello"))
    with pytest.raises(DataError, match=r"val\.record: record 1: the image is of no known format"):
        list(batches(find(path)))
    path = records(tmp_path / "val.record", old_example(7, encoded=encoded(9, 6)))
    with pytest.raises(
        DataError, match="record 0: the image is 9 x 6 pixels, its annotation says 8"
    ):
        list(batches(find(path)))


def test_a_broken_record_file_is_named(converted: Path) -> None:
    path = converted / "coco_val.record-00001-of-00003"
    path.write_bytes(path.read_bytes()[:-20])
    for read in (count, ground_truth, lambda source: list(batches(source))):
        with pytest.raises(DataError, match=r"coco_val\.record-00001-of-00003: record 1 at byte"):
            read(find(converted))
