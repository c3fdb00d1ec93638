"""Boxes of a detector -> COCO's numbers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from modelzoo_runner.data import coco as data
from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.metrics import coco as metric
from modelzoo_runner.metrics.coco_detections import Collector, Detections, from_records
from modelzoo_runner.tasks.scorer import Scores
from modelzoo_runner.values import atomic
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
        scorer.found.detections().save(target)


def merged(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of all the parts; see `scoring.merged`."""
    records = [record for each in states for record in each["detections"]]
    detections = dataclasses.replace(
        from_records(records), not_finite=sum(each["not_finite"] for each in states)
    )
    scores = _scored(detections, data.joined([each["truth"] for each in states]))
    if plan.predictions is not None:
        detections.save(atomic.target("predictions", plan.predictions))
    return scores


class Detection:
    """Collects what was found in each image, and scores it against what there is to find."""

    def __init__(self, plan: Plan, truth: Annotations) -> None:
        # They take time to encode, and the score is of the boxes.
        self.found = Collector(with_masks=plan.predictions is not None)
        self._roles = tuple(plan.graph.outputs)
        self._truth = truth
        self._images: list[int] = []

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Collect what was found in the images of one batch."""
        images = cast(data.Images, batch.truth)
        by_role = dict(zip(self._roles, outputs, strict=True))
        self.found.add_batch(images.ids, images.sizes, by_role)
        self._images += images.ids

    def result(self) -> Scores:
        """COCO's numbers of the images that were run, and beside them the legacy ones."""
        return _scored(self.found.detections(), self._seen())

    def state(self) -> Mapping[str, Any]:
        """What was found, in COCO's results format, and what there was to find."""
        found = self.found.detections()
        return {
            "detections": list(found),
            "not_finite": found.not_finite,
            "truth": self._seen(),
        }

    def _seen(self) -> Annotations:
        # After an interrupt that isn't all of them; what wasn't looked at can't have been missed.
        return data.restricted(self._truth, self._images)


def _scored(detections: Detections, truth: Annotations) -> Scores:
    official = metric.score_detections(detections, truth)
    legacy = metric.score_detections(detections, truth, legacy=True)
    return Scores(
        scores=official.scores,
        per_category=official.per_category,
        legacy_scores=legacy.scores,
        warnings=official.warnings,
    )
