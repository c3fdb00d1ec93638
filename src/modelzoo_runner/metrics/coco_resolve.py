"""Detections of any kind -> detections as COCO's results format has them."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from typing import TYPE_CHECKING

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.metrics import coco_boxes, coco_evidence, coco_numbering
from modelzoo_runner.metrics.coco_candidates import LabelOptions, Match, Numbering
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.metrics.coco_evaluation import evaluate, summary
from modelzoo_runner.metrics.coco_truth import Truth, read_truth
from modelzoo_runner.values import coco_instances
from modelzoo_runner.values.coco_instances import Annotations
from modelzoo_runner.values.options import BoxFormat

if TYPE_CHECKING:
    import numpy as np

AS_ANNOTATED = LabelOptions()


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
    return resolve(detections, truth, image_places(detections, truth), labels, box_format)


def resolve(
    detections: Detections,
    truth: Truth,
    images: np.ndarray,
    labels: LabelOptions,
    box_format: BoxFormat | None,
) -> Detections:
    """The same with the columns of the ground truth, and the place of each detection's image."""
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

    def matches(form: BoxFormat) -> list[Match]:
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


def _score_of(
    detections: Detections,
    truth: Truth,
    images: np.ndarray,
    boxes: np.ndarray,
    numbering: Numbering,
) -> float:
    """The AP where boxes and classes are read in this way."""
    categories = truth.category_places(map(numbering.categories.get, detections.category_ids))
    return summary(*evaluate(truth, images, categories, boxes, detections.scores))["AP"]


def image_places(detections: Detections, truth: Truth) -> np.ndarray:
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


def _listed(ids: set[coco_instances.Id]) -> str:
    shown = sorted(ids, key=coco_instances.order)
    return ", ".join(map(str, shown[:5])) + (", ..." if len(shown) > 5 else "")
