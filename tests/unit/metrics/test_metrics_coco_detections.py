from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_made import add

from modelzoo_runner.errors import DataError, ResultError
from modelzoo_runner.metrics.coco_collector import Collector
from modelzoo_runner.metrics.coco_detections import from_records, load_detections


def test_saved_detections_come_back_exactly(tmp_path: Path) -> None:
    found = Collector()
    numbers = np.random.default_rng(0)
    add(found, 5, numbers.random((9, 4), np.float32), numbers.random(9), np.arange(9), (333, 500))
    detections = found.detections()
    path = detections.save(tmp_path / "found.json")
    again = load_detections(path)
    assert again.image_ids == detections.image_ids
    assert again.category_ids == detections.category_ids
    for name in ("boxes", "scores"):
        np.testing.assert_array_equal(getattr(again, name), getattr(detections, name))
    entry = json.loads(path.read_text())[1]
    assert sorted(entry) == ["bbox", "category_id", "image_id", "score"]
    empty = Collector().detections().save(tmp_path / "none.json")
    assert json.loads(empty.read_text()) == []
    assert len(load_detections(empty)) == 0


MASK = {"size": [3, 4], "counts": [4, 2, 6]}


def test_masks_come_back_and_stand_in_for_a_missing_box(tmp_path: Path) -> None:
    record = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": MASK}
    found = from_records([record, {**record, "image_id": 2, "bbox": [0, 0, 3, 3]}])
    assert found.boxes.tolist() == [[1, 1, 1, 2], [0, 0, 3, 3]]
    assert found.masks == (MASK, MASK)
    assert list(load_detections(found.save(tmp_path / "found.json"))) == list(found)
    assert from_records([record, {**record, "score": float("nan")}]).masks == (MASK,)


def test_masks_of_some_detections_only_are_left_out() -> None:
    record = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 1, 1]}
    found = from_records([record, {**record, "segmentation": MASK}])
    assert found.masks == ()
    assert all("segmentation" not in each for each in found)


def test_an_image_id_may_be_text() -> None:
    record = {"image_id": "000000000139", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}
    assert from_records([record]).image_ids == (139,)


@pytest.mark.parametrize("value", [2**64, 5, 5.0, "5", " 0005 ", "cam1/a.jpg", "1.5.jpg"])
def test_an_id_of_any_kind_is_read_as_it_is(value: object, tmp_path: Path) -> None:
    record = {"image_id": value, "category_id": value, "bbox": [0, 0, 1, 1], "score": 1}
    (path := tmp_path / "found.json").write_text(json.dumps([record]))
    expected = value if value in (2**64, "cam1/a.jpg", "1.5.jpg") else 5
    for found in (from_records([record]), load_detections(path)):
        assert found.image_ids == found.category_ids == (expected,)


def test_nan_in_a_file_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(
        '[{"image_id": 1, "category_id": 1, "bbox": [0, 0, NaN, 1], "score": 0.5},'
        '{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 1], "score": Infinity},'
        '{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 1], "score": 0.5}]'
    )
    found = load_detections(path)
    assert (len(found), found.not_finite) == (1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"image_id": None},
        {"image_id": ""},
        {"image_id": 1.5},
        {"image_id": True},
        {"category_id": float("nan")},
        {"bbox": []},
        {"bbox": [0, 0, "1", 1]},
        {"bbox": [1, 2, 3]},
        {"bbox": 4},
        {"bbox": None},
        {"bbox": None, "segmentation": {"size": [1, 1], "counts": "no mask"}},
        {"bbox": None, "segmentation": [[0, 0, 1, 1, 1, 0]]},
        {"score": "high"},
        {"score": None},
    ],
)
def test_an_entry_that_is_no_detection_is_named(change: dict[str, object]) -> None:
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}
    with pytest.raises(DataError) as caught:
        from_records([good, {**good, **change}])
    assert str(caught.value).startswith("detections: entry 1: {")
    assert "should have image_id and category_id" in str(caught.value)


def test_files_that_hold_no_detections_are_named(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    with pytest.raises(DataError, match="can't be read: No such file or directory"):
        load_detections(path)
    path.write_text('[{"image_id": 1, "cat')
    with pytest.raises(DataError, match="not JSON, or cut short at 21 bytes"):
        load_detections(path)
    path.write_text('{"images": []}')
    with pytest.raises(DataError, match=r"should be a list of detections .* and is dict"):
        load_detections(path)


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"nowhere/found\.json: the detections can't be saved"):
        Collector().detections().save(tmp_path / "nowhere" / "found.json")
