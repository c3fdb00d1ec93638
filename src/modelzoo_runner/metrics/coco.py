"""Detections + ground truth -> COCO's 12 numbers.

The rules are COCO's: areas in pixels, crowd regions neither found nor missed, every annotated image
counts, the best 100 detections of an image and category.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.metrics import coco_boxes, coco_evidence, coco_masks, coco_numbering
from modelzoo_runner.metrics.coco_detections import Detections, from_records, load_detections
from modelzoo_runner.metrics.coco_evaluation import evaluate, per_category, summary
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.metrics.coco_numbering import LabelOptions
from modelzoo_runner.metrics.coco_truth import Truth, as_legacy, read_truth, sizes_by_id
from modelzoo_runner.values import coco_instances
from modelzoo_runner.values.coco_instances import Annotations
from modelzoo_runner.values.options import BoxFormat

if TYPE_CHECKING:
    import numpy as np

IouType = Literal["bbox", "segm"]
"""Whether the boxes or the masks of objects and detections are compared."""

AS_ANNOTATED = LabelOptions()


@dataclass(frozen=True, kw_only=True)
class CocoScores:
    """How well objects were found.

    `scores` are the 12 numbers by name, in COCO's order, as fractions; as COCO has it, -1 where
    there is no object to be found (of that size). `per_category` is the AP of each category that
    has an object, by name. `objects` leaves out `crowds`. `decisions` say how the boxes
    (`box_format`) and classes (`label_map`) of the detections were read, and why.
    """

    scores: Mapping[str, float]
    per_category: Mapping[str, float]
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
        return "\n".join(
            (
                f"{of}, {'legacy' if self.legacy else 'COCO'} rules"
                + (", by their masks" if self.iou_type == "segm" else ""),
                *(f"{name:<10}{score:8.4f}" for name, score in self.scores.items()),
                *(f"{'AP':<10}{score:8.4f}  {name}" for name, score in best_first),
                *(f"{name}: {decision}" for name, decision in self.decisions.items()),
                *(f"warning: {said}" for said in self.warnings),
            )
        )


def resolved(
    detections: Detections,
    annotations: Annotations,
    *,
    labels: LabelOptions = AS_ANNOTATED,
    box_format: BoxFormat | None = None,
) -> Detections:
    """The detections with boxes and categories as COCO's results format has them.

    How the boxes are meant and how the classes are numbered is told by the ground truth, unless
    `box_format` and `labels` say it. Classes that are no category are left as they are: COCO
    ignores them.

    Args:
        detections: as a graph or another tool gave them.
        annotations: the ground truth of the images that were run, as `coco_instances.validated`
            gives it.
        labels: what the caller says about classes.
        box_format: of the boxes.

    Raises:
        RequestError: an option fits nothing.
        DataError: a detection is of an image that isn't annotated; or it can't be told how boxes
            are meant or classes numbered, with what each possibility would score.
    """
    truth = read_truth(annotations)
    return _resolved(detections, truth, _places(detections, truth), labels, box_format)


def _resolved(
    detections: Detections,
    truth: Truth,
    images: np.ndarray,
    labels: LabelOptions,
    box_format: BoxFormat | None,
) -> Detections:
    import numpy as np

    if detections.decisions:
        return detections
    views = coco_evidence.views(images, detections.scores, truth)
    rows = coco_evidence.rows(views)
    sizes = truth.sizes[images]
    boxes, prior = detections.boxes, detections.form
    counts = coco_evidence.counts(detections.scores)
    classes = set(itertools.compress(detections.category_ids, counts))

    def pixels(form: BoxFormat) -> np.ndarray:
        return coco_boxes.converted(boxes, form, sizes)

    def matches(form: BoxFormat) -> list[coco_numbering.Match]:
        ids = list(truth.names)
        return [
            (detections.category_ids[row], frozenset(ids[place] for place in categories))
            for row, categories in coco_evidence.matches(views, pixels(form))
        ]

    def score(form: BoxFormat) -> float:
        numbering = coco_numbering.likeliest(classes, truth.names, matches(form), labels)
        return _score_of(detections, truth, images, pixels(form), numbering)

    sized = bool(np.isfinite(sizes).all())
    if box_format and not sized:
        coco_boxes.need_sizes(box_format)

    def quality(form: BoxFormat) -> np.ndarray:
        return coco_evidence.quality(views, pixels(form))

    candidates = coco_boxes.possible(boxes[rows], prior, sized=sized)
    form, why = coco_boxes.decided(
        boxes[rows],
        box_format or prior,
        (box_format,) if box_format else candidates,
        quality,
        lambda form: pixels(form)[rows],
        score,
    )
    if detections.masks and form != prior:
        raise RequestError(
            f"the boxes are {form}, not {prior}, by which the masks were placed: {why}. Give "
            f"box_format={form!r}."
        )
    numbered = coco_numbering.decided(
        classes,
        truth.names,
        matches(form),
        labels,
        partial(_score_of, detections, truth, images, pixels(form)),
    )
    new = [numbered.numbering.categories.get(each) for each in detections.category_ids]
    unknown = {a for a, b in zip(detections.category_ids, new, strict=True) if b is None}
    warnings = list(numbered.warnings)
    if box_format:
        warnings += coco_boxes.contradicted(
            box_format, {each: quality(each) for each in candidates}
        )
    if form != prior and not box_format:
        warnings.insert(0, f"boxes are read as {form}, not {prior}: {why}")
    if why == coco_boxes.NOTHING and len(rows):
        warnings.append(
            f"{why}, whatever the form of the boxes: are these the annotations of these images? "
            "Boxes in pixels of a resized image can't be told"
        )
    if unknown:
        count = sum(each in unknown for each in detections.category_ids)
        warnings.append(
            f"{count} of {len(detections)} detections are in classes that are no category of the "
            f"annotations ({_listed(unknown)}): ignored, as COCO does"
        )
    return dataclasses.replace(
        detections,
        category_ids=tuple(
            # What is no category must not look like one.
            read if read is not None else f"class {old}" if old in truth.names else old
            for old, read in zip(detections.category_ids, new, strict=True)
        ),
        boxes=pixels(form),
        form=coco_boxes.COCO,
        decisions={
            "box_format": f"{form}: {'as asked; ' if box_format else ''}{why}",
            "label_map": f"{numbered.numbering.name}: {numbered.why}",
        },
        warnings=tuple(warnings),
    )


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
    annotations = coco_instances.validated(annotations, "annotations", with_masks=with_masks)
    truth = read_truth(annotations, with_masks=with_masks)
    images = _places(detections, truth)
    detections = _resolved(detections, truth, images, labels, box_format)
    warnings = detections.warnings + truth.warnings + _doubts(detections, truth)
    boxes = detections.boxes
    if legacy:
        sizes_by_id(annotations)  # which says where there is none
        boxes = boxes / np.tile(truth.sizes[images], 2)
        truth = as_legacy(truth)
    places = {category: place for place, category in enumerate(truth.names)}
    categories = np.array([places.get(each, -1) for each in detections.category_ids], np.int64)
    known = categories >= 0
    masks = _masks(detections, annotations) if with_masks else None
    precision, recall = evaluate(
        truth,
        images[known],
        categories[known],
        boxes[known],
        detections.scores[known],
        None if masks is None else list(itertools.compress(masks, known)),
    )
    crowds = int(np.count_nonzero(truth.crowd))
    return CocoScores(
        scores=summary(precision, recall),
        per_category=per_category(precision, truth.names),
        images=len(truth.image_ids),
        objects=len(truth.boxes) - crowds,
        crowds=crowds,
        detections=len(detections),
        legacy=legacy,
        iou_type=iou_type,
        decisions=detections.decisions,
        warnings=warnings,
    )


def _score_of(
    detections: Detections,
    truth: Truth,
    images: np.ndarray,
    boxes: np.ndarray,
    numbering: coco_numbering.Numbering,
) -> float:
    """The AP where boxes and classes are read in this way."""
    import numpy as np

    places = {category: place for place, category in enumerate(truth.names)}
    read = (numbering.categories.get(each) for each in detections.category_ids)
    categories = np.array([-1 if each is None else places[each] for each in read], np.int64)
    known = categories >= 0
    tables = evaluate(
        truth, images[known], categories[known], boxes[known], detections.scores[known]
    )
    return summary(*tables)["AP"]


def _with_masks(iou_type: str, legacy: bool) -> bool:
    if iou_type not in get_args(IouType):
        raise RequestError(f"iou_type={iou_type!r}: should be bbox or segm")
    if iou_type == "segm" and legacy:
        raise RequestError(
            'iou_type="segm": the legacy rules are those of the Model Zoo\'s scripts, which scored '
            "boxes only; leave legacy out"
        )
    return iou_type == "segm"


def _masks(detections: Detections, annotations: Annotations) -> list[Segmentation]:
    """The masks of the detections, one each and of their image's size."""
    if len(detections) and not detections.masks:
        raise DataError(
            'iou_type="segm": the detections have no masks (segmentation). A detector gives them '
            "if its graph has detection_masks"
        )
    sizes = sizes_by_id(annotations)
    found = []
    for image_id, mask in zip(detections.image_ids, detections.masks, strict=True):
        try:
            found.append(coco_masks.read(mask, sizes[image_id]))
        except ValueError as error:
            raise DataError(
                f"detections: a segmentation in image {image_id} can't be read: {error}"
            ) from None
    return found


def _places(detections: Detections, truth: Truth) -> np.ndarray:
    """The place of each detection's image."""
    import numpy as np

    strange = set(detections.image_ids) - set(truth.image_ids)
    if strange:
        raise DataError(
            f"{len(strange)} images with detections are not in the annotations "
            f"({_listed(strange)}): these detections are of other images than the "
            f"{len(truth.image_ids)} annotated ones. Give the annotations of the images that were "
            "run."
        )
    return np.array([truth.image_ids[each] for each in detections.image_ids], np.int64)


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


def _listed(ids: set[coco_instances.Id]) -> str:
    shown = sorted(ids, key=coco_instances.order)
    return ", ".join(map(str, shown[:5])) + (", ..." if len(shown) > 5 else "")
