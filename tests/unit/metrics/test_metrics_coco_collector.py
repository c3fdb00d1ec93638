from __future__ import annotations

import numpy as np
import pytest
from coco_made import add

from modelzoo_runner.errors import GraphError
from modelzoo_runner.metrics import coco_masks
from modelzoo_runner.metrics.coco_collector import Collector


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


def test_a_batch_keeps_what_num_detections_says_as_the_graph_gave_it() -> None:
    found = Collector()
    found.add_batch([7, 139], [(40, 80), (100, 200)], outputs([1, 2]))
    detections = found.detections()
    assert detections.image_ids == (7, 139, 139)
    assert detections.boxes.tolist() == [[0.25, 0.5, 0.75, 1.0]] * 3
    assert detections.form == "normalized_yxyx"
    # Scores stay as they come, sorted or not.
    np.testing.assert_allclose(detections.scores, np.float32([0.1, 0.58, 0.74]), atol=1e-6)
    assert detections.category_ids == (18, 18, 18)
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
        "num_detections [n], detection_boxes [n, k, 4], detection_scores [n, k], "
        "detection_classes [n, k] and, if it has masks, detection_masks [n, k, rows, columns]."
    )


def test_masks_are_collected_where_they_are_wanted() -> None:
    masks = np.zeros((1, 3, 2, 2), np.float32)
    masks[0, 0] = 1
    given = {**outputs([2]), "detection_masks": masks}
    found, without = Collector(with_masks=True), Collector()
    for each in (found, without):
        each.add_batch([7], [(4, 4)], given)
    # Of the box 0.25..0.75, 0.5..1: pixels whose place among 0, 1/3, 2/3, 1 is within.
    masks_found = [each["segmentation"] for each in found.detections()]
    assert [coco_masks.box(each) for each in masks_found] == [[2, 1, 2, 2], [0, 0, 0, 0]]
    assert without.detections().masks == ()


def test_the_mask_of_a_detection_that_is_left_out_is_left_out() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, float("nan"), 1, 1]])
    found = Collector(with_masks=True)
    add(found, 1, boxes, np.ones(2), np.ones(2), (2, 2), np.ones((2, 2, 2)))
    assert len(found.detections().masks) == len(found.detections()) == 1


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 2, 4, 4), (2, 3, 4, 4)])
def test_masks_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    given = {**outputs([1]), "detection_masks": np.zeros(shape)}
    with pytest.raises(GraphError, match=rf"detection_masks \[{', '.join(map(str, shape))}\], "):
        Collector(with_masks=True).add_batch([1], [(4, 4)], given)


def test_a_class_that_is_no_whole_number_is_refused_not_cut_off() -> None:
    given = {**outputs([2]), "detection_classes": np.full((1, 3), 1.5)}
    with pytest.raises(GraphError, match=r"detection_classes has 1\.5 for image 7"):
        Collector().add_batch([7], [(4, 4)], given)


def test_masks_are_placed_by_the_form_of_the_boxes() -> None:
    box = np.array([[2.0, 1.0, 4.0, 3.0]])  # of 4 x 4 pixels, as x, y of two corners
    found, usual = Collector(with_masks=True, form="pixel_xyxy"), Collector(with_masks=True)
    add(found, 7, box, np.ones(1), np.ones(1), (4, 4), np.ones((1, 2, 2)))
    add(usual, 7, box[:, [1, 0, 3, 2]] / 4, np.ones(1), np.ones(1), (4, 4), np.ones((1, 2, 2)))
    assert found.detections().masks == usual.detections().masks
