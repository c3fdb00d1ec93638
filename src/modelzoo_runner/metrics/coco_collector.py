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
    >>> found = Collector()
    >>> found.add_batch([139], [(80, 40)], {
    ...     "num_detections": np.array([1.0]), "detection_boxes": np.array([[[0, 0, 0.5, 0.25]]]),
    ...     "detection_scores": np.array([[0.9]]), "detection_classes": np.array([[18.0]])})
    >>> list(found.detections())
    [{'image_id': 139, 'category_id': 18, 'bbox': [0.0, 0.0, 0.5, 0.25], 'score': 0.9}]
    """

    def __init__(
        self, *, with_masks: bool = False, form: BoxFormat = coco_boxes.TENSORFLOW
    ) -> None:
        self._with_masks = with_masks
        self._form = form
        self._images: list[Id] = []
        # Boxes, score and class of each detection, [n, 6] a batch.
        self._found: list[np.ndarray] = []
        self._masks: list[Segmentation] = []
        self._not_finite = 0

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
            GraphError: the outputs are not of these shapes, there are not `num_detections`, or a
                class isn't a whole number.
        """
        import numpy as np

        counts, scores = outputs["num_detections"], outputs["detection_scores"]
        masks = outputs.get(MASKS) if self._with_masks else None
        images = len(image_ids)
        if not (
            counts.shape == (images,)
            and outputs["detection_boxes"].shape == (*scores.shape, 4)
            and scores.shape == outputs["detection_classes"].shape
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
        for count, image_id in zip(counts.tolist(), image_ids, strict=True):
            if not 0 <= count <= scores.shape[1]:  # and so for a NaN
                raise GraphError(
                    f"num_detections is {count:g} for image {image_id}: it should be from 0 to "
                    f"{scores.shape[1]}, the number of boxes given."
                )
        given = np.arange(scores.shape[1]) < counts.astype(np.int64)[:, None]
        found = np.column_stack(
            [
                np.asarray(outputs[f"detection_{name}"][given], np.float64)
                for name in ("boxes", "scores", "classes")
            ]
        )
        sound = np.isfinite(found).all(axis=1)
        self._not_finite += int(np.count_nonzero(~sound))
        found, rows = found[sound], np.nonzero(given)[0][sound]
        for place in np.flatnonzero(found[:, 5] != np.round(found[:, 5]))[:1]:
            raise GraphError(
                f"detection_classes has {found[place, 5]:g} for image {image_ids[rows[place]]}: "
                "classes are whole numbers; are the outputs mixed up?"
            )
        self._images += [image_ids[row] for row in rows]
        self._found.append(found)
        if masks is not None:
            masks = masks[given][sound]
            for row, size in enumerate(sizes):
                own = rows == row
                self._masks += coco_masks.encoded(
                    masks[own], self._corners(found[own, :4], size), size
                )

    def _corners(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The boxes of an image as shares of it: ymin, xmin, ymax, xmax."""
        import numpy as np

        if self._form == coco_boxes.TENSORFLOW:
            return boxes
        pixels = coco_boxes.converted(boxes, self._form, np.array([size[::-1]]))
        low, high = pixels[:, :2], pixels[:, :2] + pixels[:, 2:]
        corners: np.ndarray = np.hstack([low[:, ::-1], high[:, ::-1]]) / np.tile(size, 2)
        return corners

    def detections(self) -> Detections:
        """Everything added so far, as the graph gave it."""
        import numpy as np

        found = np.concatenate([np.zeros((0, 6)), *self._found])
        return Detections(
            image_ids=tuple(self._images),
            category_ids=tuple(found[:, 5].astype(np.int64).tolist()),
            boxes=found[:, :4],
            scores=found[:, 4],
            form=self._form,
            masks=tuple(self._masks),
            not_finite=self._not_finite,
        )
