"""Detections + ground truth -> COCO's 12 numbers.

The rules are COCO's: areas in pixels, crowd regions neither found nor missed, every annotated image
counts, the best 100 detections of an image and category.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from modelzoo_runner.errors import DataError, RequestError, visible
from modelzoo_runner.metrics.coco_candidates import LabelOptions
from modelzoo_runner.metrics.coco_detections import Detections, from_records, load_detections
from modelzoo_runner.metrics.coco_evaluation import curves, evaluate, per_category, summary
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.metrics.coco_resolve import AS_ANNOTATED, image_places, resolved
from modelzoo_runner.metrics.coco_truth import Truth, as_legacy, read_masks, read_truth
from modelzoo_runner.values.coco_instances import Annotations
from modelzoo_runner.values.options import BoxFormat

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CocoScores", "IouType", "resolved", "score_detections"]

IouType = Literal["bbox", "segm"]
"""Whether the boxes or the masks of objects and detections are compared."""


@dataclass(frozen=True, kw_only=True)
class CocoScores:
    """How well objects were found.

    `scores` are the 12 numbers by name, in COCO's order, as fractions; as COCO has it, -1 where
    there is no object to be found (of that size). `per_category` is the AP of each category that
    has an object, by name, and `precision_recall` its precision at recalls 0, 0.01, ..., 1, at IoU
    0.5. `objects` leaves out `crowds`. `decisions` say how the boxes
    (`box_format`) and classes (`label_map`) of the detections were read, and why.
    """

    scores: Mapping[str, float]
    per_category: Mapping[str, float]
    precision_recall: Mapping[str, tuple[float, ...]] = dataclasses.field(
        default_factory=dict, repr=False
    )
    images: int
    objects: int
    crowds: int
    detections: int
    legacy: bool
    iou_type: IouType = "bbox"
    decisions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The 12 numbers, the categories from the best to the worst, and the warnings."""
        of = f"{self.detections} detections in {self.images} images with {self.objects} objects"
        best_first = sorted(self.per_category.items(), key=lambda each: -each[1])
        page = "\n".join(
            (
                f"{of}, {'legacy' if self.legacy else 'COCO'} rules"
                + (", by their masks" if self.iou_type == "segm" else ""),
                *(f"{name:<10}{score:8.4f}" for name, score in self.scores.items()),
                *(f"{'AP':<10}{score:8.4f}  {name}" for name, score in best_first),
                *(f"{name}: {decision}" for name, decision in self.decisions.items()),
                *(f"warning: {said}" for said in self.warnings),
            )
        )
        return visible(page)


def score_detections(
    detections: Detections | Sequence[Mapping[str, Any]] | Path | str,
    annotations: Annotations,
    *,
    legacy: bool = False,
    iou_type: IouType = "bbox",
    labels: LabelOptions = AS_ANNOTATED,
    box_format: BoxFormat | None = None,
) -> CocoScores:
    """The COCO scores of detections.

    Every image of `annotations` counts, whether or not anything was found in it: pass the images
    that were run, and those only.

    Args:
        detections: what was found, or a list or JSON file of it in COCO's results format.
        annotations: the ground truth, as the plain dict of a COCO `instances_*.json`.
        legacy: score as the Model Zoo's scripts did, to compare with the numbers they published:
            areas as shares of the image (all objects are "small", so the medium and large numbers
            are -1), crowd regions as objects, no boxes of zero size or reaching outside the image.
        iou_type: `"bbox"` compares boxes, `"segm"` masks, which all detections and annotations
            then need.
        labels: what the caller says about classes.
        box_format: of the boxes.

    Raises:
        RequestError: no such `iou_type`, or masks by the legacy rules, which are of boxes.
        DataError: as `resolved`; or the annotations can't be read, or a mask is missing.

    >>> truth = {"images": [{"id": 1}], "categories": [{"id": 18, "name": "dog"}], "annotations": [
    ...     {"image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 50], "area": 2500, "iscrowd": 0}]}
    >>> found = [{"image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 40], "score": 0.9}]
    >>> scores = score_detections(found, truth)
    >>> [(name, round(score, 2)) for name, score in scores.scores.items()][:4]
    [('AP', 0.7), ('AP50', 1.0), ('AP75', 1.0), ('AP_small', -1.0)]
    """
    import numpy as np

    with_masks = _with_masks(iou_type, legacy)
    if isinstance(detections, (str, Path)):
        detections = load_detections(detections)
    elif not isinstance(detections, Detections):
        detections = from_records(detections)
    truth = read_truth(annotations, with_masks=with_masks)
    detections = resolved(detections, truth, labels=labels, box_format=box_format)
    images = image_places(detections, truth)
    warnings = detections.warnings + truth.warnings + _doubts(detections, truth)
    boxes = detections.boxes
    if legacy:
        boxes = boxes / np.tile(truth.known_sizes()[images, ::-1], 2)
        truth = as_legacy(truth)
    precision, recall = evaluate(
        truth,
        images,
        truth.category_places(detections.category_ids),
        boxes,
        detections.scores,
        _masks(detections, truth, images) if with_masks else None,
    )
    crowds = int(np.count_nonzero(truth.crowd))
    return CocoScores(
        scores=summary(precision, recall),
        per_category=per_category(precision, truth.names),
        precision_recall=curves(precision, truth.names),
        images=len(truth.image_ids),
        objects=len(truth.boxes) - crowds,
        crowds=crowds,
        detections=len(detections),
        legacy=legacy,
        iou_type=iou_type,
        decisions=detections.decisions,
        warnings=warnings,
    )


def _with_masks(iou_type: str, legacy: bool) -> bool:
    if iou_type not in get_args(IouType):
        raise RequestError(f"iou_type={iou_type!r}: should be bbox or segm")
    if iou_type == "segm" and legacy:
        raise RequestError(
            'iou_type="segm": the legacy rules are those of the Model Zoo\'s scripts, which scored '
            "boxes only; leave legacy out"
        )
    return iou_type == "segm"


def _masks(detections: Detections, truth: Truth, images: np.ndarray) -> tuple[Segmentation, ...]:
    """The masks of the detections, one each and of their image's size."""
    if len(detections) and not detections.masks:
        raise DataError(
            'iou_type="segm": the detections have no masks (segmentation). A detector gives them '
            "if its graph has detection_masks"
        )
    return read_masks(
        detections.masks,
        truth.known_sizes()[images],
        lambda number: f"detections: a segmentation in image {detections.image_ids[number]}",
    )


def _doubts(detections: Detections, truth: Truth) -> tuple[str, ...]:
    """What may make the scores other than they seem."""
    import numpy as np

    doubts = []
    if detections.not_finite:
        doubts.append(
            f"{detections.not_finite} detections with a NaN or infinite box, score or class were "
            "left out"
        )
    images, seen = len(truth.image_ids), len(set(detections.image_ids))
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
