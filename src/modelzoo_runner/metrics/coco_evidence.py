"""What detections that lie on objects say about the format of their boxes and their class numbers.

Only the best detections of an image count, as many as it has objects: of a sound detector these are
mostly right, and the rows it pads its output with are not among them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelzoo_runner.values.coco_instances import Id

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.metrics.coco_truth import Truth

IMAGES = 400
"""As many images, spread over all, are looked at: more would only take more time."""

ON_OBJECT = 0.5
"""The intersection over union from which a detection lies on an object."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """The best detections, and beside each the objects in its image.

    `rows` are those of the detections, int64 [n], `counts` how many objects each has, and `objects`
    the rows of these in `truth`, one detection's after the other's, int64 [p].
    """

    rows: np.ndarray
    counts: np.ndarray
    objects: np.ndarray
    truth: Truth

    def overlaps(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The IoU of each of `rows` with its objects [p], and the best, 0 below `ON_OBJECT` [n].

        `boxes` are those of `rows` as x, y, width, height in pixels.
        """
        import numpy as np

        every = iou(np.repeat(boxes, self.counts, axis=0), self.truth.boxes[self.objects])
        starts = np.cumsum(self.counts) - self.counts
        best = np.maximum.reduceat(every, starts) if len(every) else every
        return every, np.where(best >= ON_OBJECT, best, 0)

    def matches(self, boxes: np.ndarray) -> dict[int, frozenset[Id]]:
        """The row of each detection that lies on an object, and the categories of that object.

        They are several where several objects share the box that fits best.
        """
        import numpy as np

        every, best = self.overlaps(boxes)
        rows, best = (np.repeat(each, self.counts) for each in (self.rows, best))
        names = list(self.truth.names)
        found: dict[int, set[Id]] = defaultdict(set)
        for pair in np.flatnonzero((best > 0) & (every >= best - 1e-9)):
            found[int(rows[pair])].add(names[self.truth.categories[self.objects[pair]]])
        return {row: frozenset(categories) for row, categories in found.items()}


def counts(scores: np.ndarray) -> np.ndarray:
    """Which detections count, bool [n]: not those of score 0, with which outputs are padded."""
    import numpy as np

    scored: np.ndarray = scores > 0
    return scored if scored.any() else np.ones(len(scores), bool)


def gather(images: np.ndarray, scores: np.ndarray, truth: Truth) -> Evidence:
    """The best detections and the objects of up to `IMAGES` images.

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
    none = np.zeros(0, np.int64)
    found = [(none, none, none)]
    for image in both[:: max(1, len(both) // IMAGES)]:
        rows, own = detected[image], objects[image]
        if len(rows) > (best := most[image]):
            # With those that have the same score as the last of them.
            limit = np.partition(scores[rows], -best)[-best]
            rows = rows[scores[rows] >= limit][: 100 + best]
        found.append((rows, np.full(len(rows), len(own)), np.tile(own, len(rows))))
    rows, sizes, own = map(np.concatenate, zip(*found, strict=True))
    return Evidence(rows, sizes, own, truth)


def _rows_by_image(images: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    import numpy as np

    rows = rows[np.argsort(images[rows], kind="stable")]
    places, starts = np.unique(images[rows], return_index=True)
    return dict(zip(places.tolist(), np.split(rows, starts[1:]), strict=False))


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (x, y, width, height; [..., 4]), 0 for one without area."""
    import numpy as np

    starts = np.maximum(boxes[..., :2], others[..., :2])
    ends = np.minimum(*(each[..., :2] + each[..., 2:] for each in (boxes, others)))
    shared = np.clip(ends - starts, 0, None).prod(axis=-1)
    areas = [np.clip(each[..., 2:], 0, None).prod(axis=-1) for each in (boxes, others)]
    union = areas[0] + areas[1] - shared
    result: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
