"""Scoring detections that are there already, without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelzoo_runner.data import label_map as label_maps
from modelzoo_runner.data.coco_annotations import read_annotations
from modelzoo_runner.metrics import coco
from modelzoo_runner.metrics.coco import CocoScores, IouType
from modelzoo_runner.metrics.coco_candidates import LabelOptions
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.planning import validation
from modelzoo_runner.values.arguments import documented
from modelzoo_runner.values.options import BoxFormat, LabelMap


@documented(
    detections="a JSON file in COCO's results format, as `accuracy(predictions=...)` writes it, or "
    "the list that such a file holds.",
    annotations="the ground truth: a COCO `instances_*.json`, or the dict in it.",
    legacy="score as the Model Zoo's scripts did, to compare with the numbers they published (see "
    "`docs/detection.md`).",
    iou_type="`bbox` scores boxes, `segm` masks, which then all detections and annotations need.",
    label_map="the names of the detections' classes: a `.pbtxt`, a file or list of names (the "
    "first is class 0), or class -> name. `None`: told from the ground truth.",
    label_offset="what is added to a category's id to get its class. `None`: told from the ground "
    "truth; 0: classes are the annotations' ids.",
    category_names="other names for categories of the annotations, by name or id, where the label "
    "map has others.",
    box_format="how boxes are given. `None`: `pixel_xywh`, as COCO has them, unless the ground "
    "truth tells otherwise.",
)
def score_detections(
    detections: Detections | Sequence[Mapping[str, Any]] | Path | str,
    annotations: Mapping[str, Any] | Path | str,
    *,
    legacy: bool = False,
    iou_type: IouType = "bbox",
    label_map: LabelMap | None = None,
    label_offset: int | None = None,
    category_names: Mapping[str, str] | None = None,
    box_format: BoxFormat | None = None,
) -> CocoScores:
    """COCO's 12 numbers of detections, whoever made them.

    Every image of `annotations` counts, whether or not anything was found in it. How boxes are
    given and classes numbered is told from the ground truth; `decisions` of the result say it.

    Raises:
        RequestError: an argument that can't be, or masks by the legacy rules, which are of boxes.
        DataError: a file can't be read or isn't what it should be, a detection is of an image that
            isn't annotated, or it can't be told how boxes are given or classes numbered.

    Examples:
        >>> found = [{"image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 40], "score": 0.9}]
        >>> dog = {"id": 1, "image_id": 1, "category_id": 18, "bbox": [0, 0, 50, 50], "area": 2500}
        >>> truth = {"images": [{"id": 1}], "annotations": [{**dog, "iscrowd": 0}],
        ...     "categories": [{"id": 18, "name": "dog"}]}
        >>> round(score_detections(found, truth).scores["AP"], 2)
        0.7
    """
    labels = LabelOptions(
        label_map=label_maps.read(label_map),
        label_offset=validation.label_offset(label_offset),
        category_names=validation.category_names(category_names),
    )
    if isinstance(annotations, (str, Path)):
        path = Path(annotations).expanduser()
        annotations = read_annotations(path, with_masks=iou_type == "segm")
    return coco.score_detections(
        detections,
        annotations,
        legacy=legacy,
        iou_type=iou_type,
        labels=labels,
        box_format=validation.box_format(box_format),
    )
