"""Detections of any kind -> detections as COCO's results format has them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.metrics import coco_boxes, coco_evidence, coco_numbering
from modelzoo_runner.metrics.coco_candidates import LabelOptions, Numbering
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.metrics.coco_evaluation import evaluate, summary
from modelzoo_runner.metrics.coco_numbering import Compared
from modelzoo_runner.metrics.coco_truth import Truth
from modelzoo_runner.values import coco_instances
from modelzoo_runner.values.options import BoxFormat

if TYPE_CHECKING:
    import numpy as np

AS_ANNOTATED = LabelOptions()


def resolved(
    detections: Detections,
    truth: Truth,
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
        truth: the ground truth of the images that were run.
        labels: what the caller says about classes.
        box_format: of the boxes.

    Raises:
        RequestError: an option fits nothing.
        DataError: a detection is of an image that isn't annotated; or it can't be told how boxes
            are meant or classes numbered, with what each possibility would score.
    """
    import numpy as np

    if detections.decisions:
        return detections
    images = image_places(detections, truth)
    evidence = coco_evidence.gather(images, detections.scores, truth)
    rows, sizes, prior = evidence.rows, truth.sizes[images], detections.form
    best_boxes = detections.boxes[rows]
    sized = bool(np.isfinite(sizes).all())
    if box_format and not sized:
        coco_boxes.need_sizes(box_format)
    candidates = coco_boxes.possible(best_boxes, prior, sized=sized)
    tried = dict.fromkeys((box_format or prior, *candidates))
    pixels = {form: coco_boxes.converted(best_boxes, form, sizes[rows]) for form in tried}
    fits = {form: evidence.overlaps(boxes)[1] for form, boxes in pixels.items()}
    classes = set(
        itertools.compress(detections.category_ids, coco_evidence.counts(detections.scores))
    )

    def numberings(form: BoxFormat) -> Compared:
        matches = [
            (detections.category_ids[row], categories)
            for row, categories in evidence.matches(pixels[form]).items()
        ]
        return coco_numbering.compared(classes, truth.names, matches, labels)

    def score(form: BoxFormat, numbering: Numbering | None = None) -> float:
        """The AP where boxes and classes are read in this way."""
        numbering = numbering or numberings(form).likeliest
        ids = truth.category_places(map(numbering.categories.get, detections.category_ids))
        boxes = coco_boxes.converted(detections.boxes, form, sizes)
        return summary(*evaluate(truth, images, ids, boxes, detections.scores))["AP"]

    asked = (box_format,) if box_format else candidates
    form, why = coco_boxes.decided(
        best_boxes,
        box_format or prior,
        pixels,
        {each: fits[each] for each in asked},
        score,
    )
    if detections.masks and form != prior:
        raise RequestError(
            f"the boxes are {form}, not {prior}, by which the masks were placed: {why}. Give "
            f"box_format={form!r}."
        )
    numbered = coco_numbering.decided(numberings(form), functools.partial(score, form))
    new = [numbered.numbering.categories.get(each) for each in detections.category_ids]
    unknown = {a for a, b in zip(detections.category_ids, new, strict=True) if b is None}
    warnings = list(numbered.warnings)
    if box_format:
        warnings += coco_boxes.contradicted(box_format, {each: fits[each] for each in candidates})
    elif form != prior:
        warnings.insert(0, f"boxes are read as {form}, not {prior}: {why}")
    if why == coco_boxes.NOTHING and len(rows):
        warnings.append(
            f"{why}, whatever the format of the boxes: are these the annotations of these images? "
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
        boxes=coco_boxes.converted(detections.boxes, form, sizes),
        form=coco_boxes.COCO,
        decisions={
            "box_format": f"{form}: {'as asked; ' if box_format else ''}{why}",
            "label_map": f"{numbered.numbering.name}: {numbered.why}",
        },
        warnings=tuple(warnings),
    )


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
