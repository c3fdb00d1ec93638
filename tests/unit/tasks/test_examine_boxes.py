"""What the doctor finds in the detections of a few images, each fault planted in the outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelzoo_runner.data.batches import Batch
from modelzoo_runner.data.coco import Images
from modelzoo_runner.results.diagnosis import Finding
from modelzoo_runner.tasks import examine_boxes
from modelzoo_runner.tasks.base import Source
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

ROLES = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
SIDE, OBJECTS = 200, 3
IMAGES = 24
PLAN = Plan(
    kind="accuracy",
    model="made",
    task="detection",
    goal="accuracy",
    graph=GraphFile(source="path", path="made.pb", outputs={each: f"{each}:0" for each in ROLES}),
    batch_size=1,
    placement=Placement(inter_threads=1, intra_threads=1),
)

Found = tuple[int, Sequence[float], float]
"""A detection: class, box as y, x, y, x in shares of the image, score."""


class Replay:
    """A compiled graph that gives the detections of one image after the other."""

    input_dtype, input_shape = "uint8", None

    def __init__(self, images: Sequence[Sequence[Found]]) -> None:
        self._images = iter(images)

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        classes, boxes, scores = zip(*next(self._images), strict=True)
        return [
            np.array([len(classes)], np.float32),
            np.array([boxes], np.float32),
            np.array([scores], np.float32),
            np.array([classes], np.float32),
        ]

    def close(self) -> None:
        """Nothing is held."""


def place(image: int, category: int) -> tuple[float, ...]:
    """The box of the object of a category in an image: y, x, y, x in shares."""
    top, left = 0.3 * category - 0.25, 0.01 * image + 0.1
    return (top, left, top + 0.2, left + 0.3)


def right(image: int) -> list[Found]:
    return [(each, place(image, each), 0.9) for each in range(1, OBJECTS + 1)]


SIZES = ((SIDE, SIDE),)


def examined(images: Sequence[Sequence[Found]]) -> dict[str, Finding]:
    """The findings by name."""
    annotations = []
    for image in range(len(images)):
        for category in range(1, OBJECTS + 1):
            y, x, bottom, end = (SIDE * each for each in place(image, category))
            box = [x, y, end - x, bottom - y]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    truth = {
        "images": [{"id": image} for image in range(len(images))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "bolt"}, {"id": 2, "name": "nut"}, {"id": 3, "name": "w"}],
    }
    batches = (
        Batch(np.full((1, 1), image), Images(ids=(image,), sizes=SIZES), (f"{image}.jpg",))
        for image in range(len(images))
    )
    source = Source(batches=batches, truth=truth)
    found = examine_boxes.examine(PLAN, Replay(images), source)
    assert found.images == len(images)
    return {each.name: each for each in found.findings}


def test_a_right_detector_gives_no_finding() -> None:
    assert not examined([right(image) for image in range(IMAGES)])


def test_boxes_outside_of_images() -> None:
    out = (1, (0.1, 1.3, 0.2, 1.5), 0.5)
    found = examined([[*right(image), out] for image in range(IMAGES)])
    assert set(found) == {"outside"}
    assert found["outside"].level == "doubt"
    assert f"{IMAGES} of {4 * IMAGES} boxes" in found["outside"].evidence


def test_categories_that_are_never_found() -> None:
    found = examined([right(image)[:2] for image in range(IMAGES)])
    assert set(found) == {"categories"}
    assert found["categories"].evidence == f"'w' (in {IMAGES} images)"


def test_objects_none_of_which_is_found() -> None:
    nowhere = [(1, (0.9, 0.02 * image, 0.99, 0.02 * image + 0.05), 0.9) for image in range(IMAGES)]
    found = examined([[each] for each in nowhere])
    assert found["zero"].level == "error"
    assert "AP50 is 0.0000" in found["zero"].evidence


def test_classes_that_cannot_be_told() -> None:
    turned = {1: 2, 2: 3, 3: 1}
    images = [
        [(turned[label], box, score) for label, box, score in right(image)]
        for image in range(IMAGES)
    ]
    found = examined(images)
    assert set(found) == {"refused"}
    assert found["refused"].level == "error"
    assert "label_map=" in found["refused"].remedy
