"""From the outputs of a detection graph to detections as COCO has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.errors import GraphError
from modelzoo_runner.metrics import coco_masks
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.values.preset import MASKS

if TYPE_CHECKING:
    import numpy as np


class Collector:
    """Gathers the outputs of a detection graph, batch by batch.

    Args:
        with_masks: gather the masks too, where the graph gives them.

    >>> import numpy as np
    >>> found, box = Collector(), np.array([[0.0, 0.0, 0.5, 0.25]])
    >>> found.add(139, box, np.array([0.9]), np.array([18.0]), (80, 40))
    >>> list(found.detections())
    [{'image_id': 139, 'category_id': 18, 'bbox': [0.0, 0.0, 10.0, 40.0], 'score': 0.9}]
    """

    def __init__(self, *, with_masks: bool = False) -> None:
        self._with_masks = with_masks
        self._columns: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._masks: list[Segmentation] = []
        self._not_finite = 0

    def add(
        self,
        image_id: int,
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        size: tuple[int, int],
        masks: np.ndarray | None = None,
    ) -> None:
        """Add what was found in one image.

        Args:
            image_id: COCO's number of the image.
            boxes: [n, 4]: ymin, xmin, ymax, xmax as shares of the image (0..1).
            scores: [n].
            classes: [n], whole numbers of any type.
            size: height and width of the image in pixels.
            masks: [n, rows, columns]: shares of 0..1 within each box.
        """
        import numpy as np

        shares = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64)
        classes = np.asarray(classes, np.float64)
        sound = np.isfinite(shares).all(axis=1) & np.isfinite(scores) & np.isfinite(classes)
        self._not_finite += int(np.count_nonzero(~sound))
        height, width = size
        ymin, xmin, ymax, xmax = (shares[sound] * (height, width, height, width)).T
        self._columns.append(
            (
                np.full(len(ymin), image_id, np.int64),
                classes[sound].astype(np.int64),
                np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=1),
                scores[sound],
            )
        )
        if masks is not None:
            self._masks += coco_masks.encoded(masks[sound], shares[sound], size)

    def add_batch(
        self,
        image_ids: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        outputs: Mapping[str, np.ndarray],
    ) -> None:
        """Add what a graph answered for one batch.

        Args:
            image_ids: COCO's number of each of the `n` images.
            sizes: height and width in pixels that each image's boxes are shares of.
            outputs: by role: `num_detections` [n], `detection_boxes` [n, k, 4],
                `detection_scores` [n, k], `detection_classes` [n, k], and, if the graph has them,
                `detection_masks` [n, k, rows, columns].

        Raises:
            GraphError: the outputs are not of these shapes, or there are not `num_detections`.
        """
        counts, boxes = outputs["num_detections"], outputs["detection_boxes"]
        scores, classes = outputs["detection_scores"], outputs["detection_classes"]
        masks = outputs.get(MASKS) if self._with_masks else None
        images = len(image_ids)
        if not (
            counts.shape == (images,)
            and boxes.shape == (*scores.shape, 4)
            and scores.shape == classes.shape
            and scores.shape[:1] == (images,)
            and (masks is None or (masks.ndim == 4 and masks.shape[:2] == scores.shape))
        ):
            shapes = ", ".join(f"{role} {list(outputs[role].shape)}" for role in sorted(outputs))
            raise GraphError(
                f"outputs of a batch of {images}: {shapes}. A detection graph should give "
                "num_detections [n], detection_boxes [n, k, 4], detection_scores [n, k], "
                "detection_classes [n, k] and, if it has masks, detection_masks [n, k, rows, "
                "columns]."
            )
        for row, image_id in enumerate(image_ids):
            count = float(counts[row])
            if not 0 <= count <= scores.shape[1]:  # and so for a NaN
                raise GraphError(
                    f"num_detections is {count:g} for image {image_id}: it should be from 0 to "
                    f"{scores.shape[1]}, the number of boxes given."
                )
            kept = slice(0, int(count))
            found = (boxes[row, kept], scores[row, kept], classes[row, kept])
            own = None if masks is None else masks[row, kept]
            self.add(image_id, *found, sizes[row], own)

    def detections(self) -> Detections:
        """Everything added so far."""
        import numpy as np

        none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0)
        columns = [np.concatenate(column) for column in zip(none, *self._columns, strict=True)]
        return Detections(
            image_ids=columns[0],
            category_ids=columns[1],
            boxes=columns[2],
            scores=columns[3],
            masks=tuple(self._masks),
            not_finite=self._not_finite,
        )
