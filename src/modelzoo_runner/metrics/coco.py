"""Detections + ground truth -> COCO's 12 numbers.

The rules are COCO's: areas in pixels, crowd regions neither found nor missed, every annotated image
counts, the best 100 detections of an image and category. The arithmetic is hotcoco's, which gives
what pycocotools gives. Where annotations and detections come from is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics.coco_detections import Detections, from_records, load_detections
from modelzoo_runner.metrics.coco_labels import as_categories
from modelzoo_runner.metrics.coco_truth import Truth, as_legacy, image_sizes, read_truth

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


@dataclass(frozen=True, kw_only=True)
class CocoScores:
    """How well objects were found.

    `scores` are the 12 numbers by name, in COCO's order, as fractions; as COCO has it, -1 where
    there is no object to be found (of that size). `per_category` is the AP of each category that
    has an object, by name. `objects` leaves out `crowds`.
    """

    scores: Mapping[str, float]
    per_category: Mapping[str, float]
    images: int
    objects: int
    crowds: int
    detections: int
    legacy: bool
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The 12 numbers, the categories from the best to the worst, and the warnings."""
        of = f"{self.detections} detections in {self.images} images with {self.objects} objects"
        best_first = sorted(self.per_category.items(), key=lambda each: -each[1])
        return "\n".join(
            (
                f"{of}, {'legacy' if self.legacy else 'COCO'} rules",
                *(f"{name:<10}{score:8.4f}" for name, score in self.scores.items()),
                *(f"{'AP':<10}{score:8.4f}  {name}" for name, score in best_first),
                *(f"warning: {said}" for said in self.warnings),
            )
        )


def score_detections(
    detections: Detections | Sequence[Mapping[str, Any]] | Path | str,
    annotations: Mapping[str, Any],
    *,
    legacy: bool = False,
) -> CocoScores:
    """The COCO scores of detections.

    Every image of `annotations` counts, whether or not anything was found in it: pass the images
    that were run, and those only.

    Args:
        detections: what was found, or a list or JSON file of it in COCO's results format.
        annotations: what there is to find, as the plain dict of a COCO `instances_*.json`:
            `images` (`id`; with `legacy` also `width` and `height`), `annotations` (`image_id`,
            `category_id`, `bbox`, `area`, `iscrowd`) and `categories` (`id`, `name`).
        legacy: score as the Model Zoo's scripts did, to compare with the numbers they published:
            areas as shares of the image (all objects are "small", so the medium and large numbers
            are -1), crowd regions as objects, no boxes of zero size or reaching outside the image.

    Raises:
        DataError: a detection is of an image that isn't annotated, or the way the detector numbers
            its classes can't be told.

    >>> truth = {"images": [{"id": 1}], "categories": [{"id": 18, "name": "dog"}], "annotations": [
    ...     {"image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 50], "area": 2500, "iscrowd": 0}]}
    >>> found = [{"image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 40], "score": 0.9}]
    >>> scores = score_detections(found, truth)
    >>> [(name, round(score, 2)) for name, score in scores.scores.items()][:4]
    [('AP', 0.7), ('AP50', 1.0), ('AP75', 1.0), ('AP_small', -1.0)]
    """
    import numpy as np

    if isinstance(detections, (str, Path)):
        detections = load_detections(detections)
    elif not isinstance(detections, Detections):
        detections = from_records(detections)
    truth = read_truth(annotations)
    images = _places(detections.image_ids, truth.image_ids)
    categories, warnings = as_categories(detections.category_ids, truth.names)
    warnings += truth.warnings + _doubts(detections, truth)
    boxes = detections.boxes
    if legacy:
        sizes = image_sizes(annotations)
        boxes = boxes / np.tile(sizes[images], 2)
        truth = as_legacy(truth, sizes)
    found = np.column_stack([images + 1, boxes, detections.scores, categories])
    precision, recall = _evaluate(truth, found[np.isin(categories, list(truth.names))])
    crowds = int(np.count_nonzero(truth.crowd))
    return CocoScores(
        scores=_summary(precision, recall),
        per_category=_per_category(precision, truth.names),
        images=len(truth.image_ids),
        objects=len(truth.boxes) - crowds,
        crowds=crowds,
        detections=len(detections),
        legacy=legacy,
        warnings=warnings,
    )


def _evaluate(truth: Truth, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision [iou, recall, category, area, count] and recall [iou, category, area, count].

    `found` is [n, 7]: the image's place in `truth.image_ids` counted from 1, the box, the score
    and the category.
    """
    import hotcoco
    import numpy as np

    expected = hotcoco.COCO.from_arrays(
        [{"id": place + 1} for place in range(len(truth.image_ids))],
        [{"id": category, "name": name} for category, name in truth.names.items()],
        truth.images + 1,
        truth.categories,
        truth.boxes,
        # From 1: to pycocotools, and so to all that follows it, 0 means "no match".
        ids=np.arange(1, len(truth.boxes) + 1),
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    evaluation = hotcoco.COCOeval(expected, expected.load_res(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    # Not `summarize`: it prints.
    table = evaluation.eval or {}
    return table["precision"], table["recall"]


_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_BEST_1, _BEST_10, _BEST_100 = range(3)
_IOU_50, _IOU_75 = 0, 5


def _summary(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
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


def _per_category(precision: np.ndarray, names: Mapping[int, str]) -> dict[str, float]:
    """The AP of each category that has an object, by name and in the order of the ids."""
    found = {}
    for column, (category, name) in enumerate(names.items()):
        average = _mean(precision[:, :, column, _ALL, _BEST_100])
        if average > -1:
            found[name if name not in found else f"{name} ({category})"] = average
    return found


def _mean(values: np.ndarray) -> float:
    # -1 marks what has no value: a recall never reached by a category without an object.
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _places(image_ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where in the ascending `known` each id is."""
    import numpy as np

    strange = np.setdiff1d(image_ids, known)
    if strange.size:
        listed = ", ".join(str(each) for each in strange[:3])
        raise DataError(
            f"{strange.size} images with detections are not in the annotations ({listed}): these "
            f"detections are of other images than the {known.size} annotated ones. Give the "
            "annotations of the images that were run."
        )
    return np.searchsorted(known, image_ids)


def _doubts(detections: Detections, truth: Truth) -> tuple[str, ...]:
    """What may make the scores other than they seem."""
    import numpy as np

    doubts = []
    if detections.not_finite:
        doubts.append(
            f"{detections.not_finite} detections with a NaN or infinite box, score or class were "
            "left out"
        )
    images, seen = len(truth.image_ids), len(np.unique(detections.image_ids))
    if not len(detections):
        doubts.append("there are no detections at all, so every score is 0")
    elif seen < images / 2:
        doubts.append(
            f"{images - seen} of {images} annotated images have no detection, and count as images "
            "in which everything was missed; leave out the images that were not run"
        )
    if not np.count_nonzero(~truth.crowd):
        doubts.append("the annotations hold no object to find, so the scores are -1 (undefined)")
    return tuple(doubts)
