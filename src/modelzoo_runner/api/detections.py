"""Scoring detections that are there already, without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelzoo_runner.data.coco_annotations import read_annotations
from modelzoo_runner.metrics import coco
from modelzoo_runner.metrics.coco import CocoScores, IouType
from modelzoo_runner.metrics.coco_detections import Detections


def score_detections(
    detections: Detections | Sequence[Mapping[str, Any]] | Path | str,
    annotations: Mapping[str, Any] | Path | str,
    *,
    legacy: bool = False,
    iou_type: IouType = "bbox",
) -> CocoScores:
    """COCO's 12 numbers of detections, whoever made them.

    Every image of `annotations` counts, whether or not anything was found in it.

    Args:
        detections: a JSON file in COCO's results format, as `accuracy(predictions=...)` writes it,
            or the list that such a file holds.
        annotations: what there is to find: a COCO `instances_*.json`, or the dict in it.
        legacy: score as the Model Zoo's scripts did, to compare with the numbers they published
            (see `docs/detection.md`).
        iou_type: `bbox` scores boxes, `segm` masks, which then all detections and annotations need.

    Raises:
        RequestError: no such `iou_type`, or masks by the legacy rules, which are of boxes.
        DataError: a file can't be read or isn't what it should be, a detection is of an image that
            isn't annotated, or the way the detector numbers its classes can't be told.

    >>> found = [{"image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 40], "score": 0.9}]
    >>> dog = {"id": 1, "image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 50], "area": 2500}
    >>> truth = {"images": [{"id": 1}], "annotations": [{**dog, "iscrowd": 0}],
    ...     "categories": [{"id": 18, "name": "dog"}]}
    >>> round(score_detections(found, truth).scores["AP"], 2)
    0.7
    """
    if isinstance(annotations, (str, Path)):
        path = Path(annotations).expanduser()
        annotations = read_annotations(path, with_masks=iou_type == "segm")
    return coco.score_detections(detections, annotations, legacy=legacy, iou_type=iou_type)
