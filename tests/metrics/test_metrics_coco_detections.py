from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelzoo_runner.errors import DataError, GraphError, ResultError
from modelzoo_runner.metrics.coco_detections import Collector, from_records, load_detections


def outputs(counts: list[float], boxes: int = 3) -> dict[str, np.ndarray]:
    images = len(counts)
    box = np.array([0.25, 0.5, 0.75, 1.0], np.float32)
    return {
        "num_detections": np.array(counts, np.float32),
        "detection_boxes": np.tile(box, (images, boxes, 1)),
        "detection_scores": np.linspace(0.1, 0.9, images * boxes, dtype=np.float32).reshape(
            images, boxes
        ),
        "detection_classes": np.full((images, boxes), 18, np.float32),
    }


def test_a_batch_keeps_what_num_detections_says_in_the_pixels_of_each_image() -> None:
    found = Collector()
    found.add_batch([7, 139], [(40, 80), (100, 200)], outputs([1, 2]))
    detections = found.detections()
    assert detections.image_ids.tolist() == [7, 139, 139]
    assert detections.boxes.tolist() == [[40, 10, 40, 20], [100, 25, 100, 50], [100, 25, 100, 50]]
    # Scores stay as they come, sorted or not.
    np.testing.assert_allclose(detections.scores, np.float32([0.1, 0.58, 0.74]), atol=1e-6)
    assert detections.category_ids.dtype == np.int64
    assert (len(detections), detections.not_finite) == (3, 0)


def test_nothing_was_found() -> None:
    found = Collector()
    assert len(found.detections()) == 0
    found.add_batch([1], [(4, 4)], outputs([0]))
    found.add_batch([2], [(4, 4)], outputs([0], boxes=0))
    detections = found.detections()
    assert len(detections) == 0
    assert detections.boxes.shape == (0, 4)


@pytest.mark.parametrize("count", [-1, 4, float("nan")])
def test_a_number_of_detections_that_cannot_be_is_refused(count: float) -> None:
    with pytest.raises(GraphError) as caught:
        Collector().add_batch([139], [(4, 4)], outputs([count]))
    assert str(caught.value) == (
        f"num_detections is {count:g} for image 139: it should be from 0 to 3, the number of boxes "
        "given."
    )


def test_outputs_of_other_shapes_are_refused() -> None:
    wrong = {**outputs([1, 1]), "detection_boxes": np.zeros((2, 3), np.float32)}
    with pytest.raises(GraphError) as caught:
        Collector().add_batch([1, 2], [(4, 4)] * 2, wrong)
    assert str(caught.value) == (
        "outputs of a batch of 2: detection_boxes [2, 3], detection_classes [2, 3], "
        "detection_scores [2, 3], num_detections [2]. A detection graph should give "
        "num_detections [n], detection_boxes [n, k, 4], detection_scores [n, k] and "
        "detection_classes [n, k]."
    )


def test_saved_detections_come_back_exactly(tmp_path: Path) -> None:
    found = Collector()
    numbers = np.random.default_rng(0)
    found.add(5, numbers.random((9, 4), np.float32), numbers.random(9), np.arange(9), (333, 500))
    detections = found.detections()
    path = detections.save(tmp_path / "found.json")
    again = load_detections(path)
    for name in ("image_ids", "category_ids", "boxes", "scores"):
        np.testing.assert_array_equal(getattr(again, name), getattr(detections, name))
    entry = json.loads(path.read_text())[1]
    assert sorted(entry) == ["bbox", "category_id", "image_id", "score"]
    empty = Collector().detections().save(tmp_path / "none.json")
    assert json.loads(empty.read_text()) == []
    assert len(load_detections(empty)) == 0


def test_an_image_id_may_be_text() -> None:
    record = {"image_id": "000000000139", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}
    assert from_records([record]).image_ids.tolist() == [139]


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
        {"image_id": "dog.jpg"},
        {"category_id": "dog"},
        {"bbox": [1, 2, 3]},
        {"bbox": 4},
        {"score": "high"},
        {"score": None},
    ],
)
def test_an_entry_that_is_no_detection_is_named(change: dict[str, object]) -> None:
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}
    with pytest.raises(DataError) as caught:
        from_records([good, {**good, **change}])
    assert str(caught.value).startswith("detections: entry 1: {")
    assert str(caught.value).endswith(
        "should have image_id and category_id (whole numbers), bbox (x, y, width, height in "
        "pixels) and score."
    )


def test_files_that_hold_no_detections_are_named(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    with pytest.raises(DataError, match="can't be read: No such file or directory"):
        load_detections(path)
    path.write_text('[{"image_id": 1, "cat')
    with pytest.raises(DataError, match="not JSON, or cut short: Unterminated string starting"):
        load_detections(path)
    path.write_text('{"images": []}')
    with pytest.raises(DataError, match=r"should be a list of detections .* and is dict"):
        load_detections(path)


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"nowhere/found\.json: the detections can't be saved"):
        Collector().detections().save(tmp_path / "nowhere" / "found.json")
