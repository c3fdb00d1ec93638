"""What detections that lie on objects say about the form of their boxes and their class numbers.

Only the best detections of an image count, as many as it has objects: of a sound detector these are
mostly right, and the rows it pads its output with are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelzoo_runner.metrics.coco_boxes import iou

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.metrics.coco_truth import Truth

IMAGES = 400
"""As many images, spread over all, are looked at: more would only take more time."""

ON_OBJECT = 0.5
"""The intersection over union from which a detection lies on an object."""


@dataclass(frozen=True, eq=False)
class View:
    """One image: the rows of its best detections, and its objects that are no crowds."""

    rows: np.ndarray
    boxes: np.ndarray
    categories: np.ndarray


def counts(scores: np.ndarray) -> np.ndarray:
    """Which detections count, bool [n]: not those of score 0, with which outputs are padded."""
    import numpy as np

    scored: np.ndarray = scores > 0
    return scored if scored.any() else np.ones(len(scores), bool)


def views(images: np.ndarray, scores: np.ndarray, truth: Truth) -> list[View]:
    """The images that can tell something.

    Args:
        images: int64 [n], the place of each detection's image in `truth.image_ids`.
        scores: float64 [n].
        truth: the ground truth.
    """
    import numpy as np

    detected = _rows_by_image(images, np.flatnonzero(counts(scores)))
    objects = _rows_by_image(truth.images, np.flatnonzero(~truth.crowd))
    # Of crowds too there may be good detections.
    most = np.bincount(truth.images, minlength=1)
    both = [image for image in objects if image in detected]
    found = []
    for image in both[:: max(1, len(both) // IMAGES)]:
        rows, own = detected[image], objects[image]
        if len(rows) > (best := most[image]):
            # With those that have the same score as the last of them.
            limit = np.partition(scores[rows], -best)[-best]
            rows = rows[scores[rows] >= limit][: 100 + best]
        found.append(View(rows, truth.boxes[own], truth.categories[own]))
    return found


def _rows_by_image(images: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    import numpy as np

    rows = rows[np.argsort(images[rows], kind="stable")]
    places, starts = np.unique(images[rows], return_index=True)
    return dict(zip(places.tolist(), np.split(rows, starts[1:]), strict=False))


def quality(found: Sequence[View], boxes: np.ndarray) -> np.ndarray:
    """How well each detection that counts lies on an object: the best IoU, 0 below `ON_OBJECT`.

    Args:
        found: the images.
        boxes: [n, 4] of all detections, as x, y, width, height in pixels.
    """
    import numpy as np

    if not found:
        return np.zeros(0)
    best = np.concatenate([iou(boxes[view.rows], view.boxes).max(axis=1) for view in found])
    return np.where(best >= ON_OBJECT, best, 0)


def rows(found: Sequence[View]) -> np.ndarray:
    """The rows of all detections that count, int64, in the order of `quality`."""
    import numpy as np

    return np.concatenate([view.rows for view in found] or [np.zeros(0, np.int64)])


def matches(found: Sequence[View], boxes: np.ndarray) -> Iterator[tuple[int, frozenset[int]]]:
    """Each detection that lies on an object, as its row, and the categories of that object.

    They are several where several objects share the box that fits best.
    """
    for view in found:
        overlaps = iou(boxes[view.rows], view.boxes)
        for row, own in zip(view.rows.tolist(), overlaps, strict=True):
            best = own.max()
            if best >= ON_OBJECT:
                yield row, frozenset(view.categories[own >= best - 1e-9].tolist())
