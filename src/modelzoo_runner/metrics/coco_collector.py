"""The outputs of a detection graph -> detections, as the graph gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.errors import GraphError
from modelzoo_runner.metrics import coco_boxes, coco_masks
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.values.coco_instances import Id
from modelzoo_runner.values.options import BoxFormat
from modelzoo_runner.values.preset import MASKS

if TYPE_CHECKING:
    import numpy as np


class Collector:
    """Gathers the outputs of a detection graph, batch by batch.

    Args:
        with_masks: gather the masks too, where the graph gives them.
        form: of the graph's boxes. It may turn out to be another (see `coco.resolved`), unless
            there are masks, which are placed by it at once.

    >>> import numpy as np
    >>> found, box = Collector(), np.array([[0.0, 0.0, 0.5, 0.25]])
    >>> found.add(139, box, np.array([0.9]), np.array([18.0]), (80, 40))
    >>> list(found.detections())
    [{'image_id': 139, 'category_id': 18, 'bbox': [0.0, 0.0, 0.5, 0.25], 'score': 0.9}]
    """

    def __init__(
        self, *, with_masks: bool = False, form: BoxFormat = coco_boxes.TENSORFLOW
    ) -> None:
        self._with_masks = with_masks
        self._form = form
        self._images: list[Id] = []
        self._columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._masks: list[Segmentation] = []
        self._not_finite = 0

    def add(
        self,
        image_id: Id,
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        size: tuple[int, int],
        masks: np.ndarray | None = None,
    ) -> None:
        """Add what was found in one image.

        Args:
            image_id: of the image.
            boxes: [n, 4], as the graph gives them.
            scores: [n].
            classes: [n], whole numbers of any type.
            size: height and width of the image in pixels.
            masks: [n, rows, columns]: shares of 0..1 within each box.

        Raises:
            GraphError: a class isn't a whole number.
        """
        import numpy as np

        given = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64)
        classes = np.asarray(classes, np.float64)
        sound = np.isfinite(given).all(axis=1) & np.isfinite(scores) & np.isfinite(classes)
        self._not_finite += int(np.count_nonzero(~sound))
        labels = classes[sound]
        if np.any(labels != np.round(labels)):
            odd = labels[labels != np.round(labels)][0]
            raise GraphError(
                f"detection_classes has {odd:g} for image {image_id}: classes are whole numbers; "
                "are the outputs mixed up?"
            )
        self._images += [image_id] * len(labels)
        self._columns.append((labels.astype(np.int64), given[sound], scores[sound]))
        if masks is not None:
            corners = given[sound]
            if self._form != coco_boxes.TENSORFLOW:
                pixels = coco_boxes.converted(corners, self._form, np.array([size[::-1]]))
                low, high = pixels[:, :2], pixels[:, :2] + pixels[:, 2:]
                corners = np.hstack([low[:, ::-1], high[:, ::-1]]) / np.tile(size, 2)
            self._masks += coco_masks.encoded(masks[sound], corners, size)

    def add_batch(
        self,
        image_ids: Sequence[Id],
        sizes: Sequence[tuple[int, int]],
        outputs: Mapping[str, np.ndarray],
    ) -> None:
        """Add what a graph gave for one batch.

        Args:
            image_ids: of the `n` images.
            sizes: height and width of each image in pixels.
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
        """Everything added so far, as the graph gave it."""
        import numpy as np

        none = np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0)
        columns = [np.concatenate(column) for column in zip(none, *self._columns, strict=True)]
        return Detections(
            image_ids=tuple(self._images),
            category_ids=tuple(columns[0].tolist()),
            boxes=columns[1],
            scores=columns[2],
            form=self._form,
            masks=tuple(self._masks),
            not_finite=self._not_finite,
        )
