"""Boxes of a detector -> COCO's numbers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from modelzoo_runner.data import coco as data
from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics import coco as metric
from modelzoo_runner.metrics.coco_boxes import TENSORFLOW
from modelzoo_runner.metrics.coco_detections import Collector, Detections, from_records
from modelzoo_runner.metrics.coco_numbering import LabelOptions
from modelzoo_runner.tasks.scorer import Scores
from modelzoo_runner.values import atomic
from modelzoo_runner.values.coco_instances import Id
from modelzoo_runner.values.options import BoxFormat
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch


@contextlib.contextmanager
def opened(plan: Plan, truth: Annotations) -> Iterator[Detection]:
    """The scorer; its predictions file, if one is asked for, is there when the block ends well."""
    target = None
    if plan.predictions is not None and plan.examples is None:
        target = atomic.target("predictions", plan.predictions)
    scorer = Detection(plan, truth)
    yield scorer
    if target is not None:
        scorer.resolved().save(target)


def merged(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of all the parts; see `scoring.merged`."""
    records = [record for each in states for record in each["detections"]]
    found = dataclasses.replace(
        from_records(records, form=_form(plan)),
        not_finite=sum(each["not_finite"] for each in states),
    )
    truth = data.joined([each["truth"] for each in states])
    detections = _resolved(plan, found, truth)
    scores = _scored(detections, truth)
    if plan.predictions is not None:
        detections.save(atomic.target("predictions", plan.predictions))
    return scores


class Detection:
    """Collects the detections in each image, and scores them against the ground truth."""

    def __init__(self, plan: Plan, truth: Annotations) -> None:
        # Masks take time to encode, and the score is of the boxes.
        self._found = Collector(with_masks=plan.predictions is not None, form=_form(plan))
        self._plan = plan
        self._truth = truth
        self._sizes: dict[Id, tuple[int, int]] = {}
        self._resolved: Detections | None = None

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Collect the detections in the images of one batch."""
        images = cast(data.Images, batch.truth)
        by_role = dict(zip(self._plan.graph.outputs, outputs, strict=True))
        self._found.add_batch(images.ids, images.sizes, by_role)
        self._sizes |= dict(zip(images.ids, images.sizes, strict=True))

    def resolved(self) -> Detections:
        """The detections with boxes and categories as COCO's results format has them."""
        if self._resolved is None:
            self._resolved = _resolved(self._plan, self._found.detections(), self._seen())
        return self._resolved

    def result(self) -> Scores:
        """COCO's numbers of the images that were run, and beside them the legacy ones."""
        return _scored(self.resolved(), self._seen())

    def state(self) -> Mapping[str, Any]:
        """The detections as the graph gave them, and the ground truth of their images."""
        found = self._found.detections()
        return {
            "detections": list(found),
            "not_finite": found.not_finite,
            "truth": self._seen(),
        }

    def _seen(self) -> Annotations:
        # After an interrupt that isn't all of them; what wasn't looked at can't have been missed.
        truth = data.restricted(self._truth, self._sizes)
        images = [
            {**image, "height": self._sizes[image["id"]][0], "width": self._sizes[image["id"]][1]}
            for image in truth["images"]
        ]
        return {**truth, "images": images}


def _form(plan: Plan) -> BoxFormat:
    return plan.box_format or TENSORFLOW


def _resolved(plan: Plan, found: Detections, truth: Annotations) -> Detections:
    labels = LabelOptions(
        label_map=plan.label_map,
        label_offset=plan.label_offset,
        category_names=plan.category_names,
    )
    try:
        return metric.resolved(found, truth, labels=labels, box_format=plan.box_format)
    except DataError as error:
        # Hours may have gone into them: they can be scored again with `score`.
        if plan.predictions is None:
            raise
        target = found.save(atomic.target("predictions", plan.predictions))
        raise DataError(
            f"{error} The detections are in {target}, as the graph gave them ({found.form})."
        ) from None


def _scored(detections: Detections, truth: Annotations) -> Scores:
    official = metric.score_detections(detections, truth)
    legacy = metric.score_detections(detections, truth, legacy=True)
    return Scores(
        scores=official.scores,
        per_category=official.per_category,
        legacy_scores=legacy.scores,
        decisions=official.decisions,
        warnings=official.warnings,
    )
