"""Columns of truth and detections -> COCO's tables of precision and recall -> the 12 numbers.

The arithmetic is hotcoco's, which gives what pycocotools gives.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.metrics.coco_truth import Truth
from modelzoo_runner.values.coco_instances import Id

if TYPE_CHECKING:
    import numpy as np

SCORES = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""The 12 numbers in COCO's order.

Average precision over IoU 0.50:0.05:0.95, at 0.50, at 0.75, and by area in pixels (below 32
squared, to 96 squared, above); average recall with the best 1, 10, 100 detections, and by area.
"""


def evaluate(
    truth: Truth,
    images: np.ndarray,
    categories: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    masks: Sequence[Segmentation] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Precision [iou, recall, category, area, count] and recall [iou, category, area, count].

    Args:
        truth: the ground truth; its masks are needed for those of the detections.
        images: int64 [n], the place of each detection's image in `truth.image_ids`.
        categories: int64 [n], the place of its category in `truth.names`; detections of -1, no
            category, are ignored, as COCO does.
        boxes: float64 [n, 4], as x, y, width, height.
        scores: float64 [n].
        masks: n of them, to be compared with those of the truth in place of the boxes.
    """
    import hotcoco
    import numpy as np

    known = categories >= 0
    images, categories, boxes, scores = (
        each[known] for each in (images, categories, boxes, scores)
    )
    if masks is not None:
        masks = list(itertools.compress(masks, known))

    # Ids count from 1: to pycocotools, and so to all that follows it, 0 means "no match".
    expected = hotcoco.COCO.from_arrays(
        [{"id": place + 1} for place in range(len(truth.image_ids))],
        [{"id": place + 1, "name": name} for place, name in enumerate(truth.names.values())],
        truth.images + 1,
        truth.categories + 1,
        truth.boxes,
        ids=np.arange(1, len(truth.boxes) + 1),
        area=truth.areas,
        iscrowd=truth.crowd,
        segmentation=None if masks is None else list(truth.masks),
    )
    if masks is None:
        found: Any = np.column_stack([images + 1, boxes, scores, categories + 1])
    else:  # without boxes, so that their areas are those of their masks
        columns = zip(images.tolist(), categories.tolist(), scores.tolist(), masks, strict=True)
        found = [
            {"image_id": image + 1, "category_id": category + 1, "score": score, "segmentation": m}
            for image, category, score, m in columns
        ]
    detected = expected.load_res(found)
    evaluation = hotcoco.COCOeval(expected, detected, "bbox" if masks is None else "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    # Not `summarize`: it prints.
    table = evaluation.eval or {}
    return table["precision"], table["recall"]


_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_BEST_1, _BEST_10, _BEST_100 = range(3)
_IOU_50, _IOU_75 = 0, 5


def summary(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """The 12 numbers: means over what is defined, as `COCOeval.summarize` takes them."""
    values = (
        _mean(precision[..., _ALL, _BEST_100]),
        _mean(precision[_IOU_50, ..., _ALL, _BEST_100]),
        _mean(precision[_IOU_75, ..., _ALL, _BEST_100]),
        *(_mean(precision[..., area, _BEST_100]) for area in (_SMALL, _MEDIUM, _LARGE)),
        *(_mean(recall[..., _ALL, best]) for best in (_BEST_1, _BEST_10, _BEST_100)),
        *(_mean(recall[..., area, _BEST_100]) for area in (_SMALL, _MEDIUM, _LARGE)),
    )
    return dict(zip(SCORES, values, strict=True))


def per_category(precision: np.ndarray, names: Mapping[Id, str]) -> dict[str, float]:
    """The AP of each category that has an object, by name and in the order of the ids."""
    return {name: _mean(of_one) for name, of_one in _with_objects(precision, names)}


def curves(precision: np.ndarray, names: Mapping[Id, str]) -> dict[str, tuple[float, ...]]:
    """The precision of each such category at recalls 0, 0.01, ..., 1, at IoU 0.5."""
    found = _with_objects(precision, names)
    return {name: tuple(of_one[_IOU_50].round(4).tolist()) for name, of_one in found}


def _with_objects(
    precision: np.ndarray, names: Mapping[Id, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Precision [iou, recall] of each category that has an object, by a name of its own."""
    seen = set()
    for column, (category, name) in enumerate(names.items()):
        of_one = precision[:, :, column, _ALL, _BEST_100]
        if _mean(of_one) > -1:
            name = name if name not in seen else f"{name} ({category})"
            seen.add(name)
            yield name, of_one


def _mean(values: np.ndarray) -> float:
    # -1 marks what has no value: a recall never reached by a category without an object.
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0
