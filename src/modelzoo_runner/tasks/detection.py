"""Detection: images with annotated boxes; COCO's numbers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from modelzoo_runner.backends.base import Step
from modelzoo_runner.data import coco
from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.data.coco_find import CocoSource
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics import coco as metric
from modelzoo_runner.metrics.coco_boxes import TENSORFLOW
from modelzoo_runner.metrics.coco_candidates import LabelOptions
from modelzoo_runner.metrics.coco_collector import Collector
from modelzoo_runner.metrics.coco_detections import Detections, from_records
from modelzoo_runner.metrics.coco_truth import read_truth
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.tasks import base, examine_boxes, synthetic
from modelzoo_runner.tasks.base import Scorer, Scores, Source
from modelzoo_runner.tasks.evidence import Examined
from modelzoo_runner.values import atomic
from modelzoo_runner.values.coco_instances import Id
from modelzoo_runner.values.options import BoxFormat
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch

IMAGE = (480, 640)
"""COCO's most common size."""

HAS_ANNOTATIONS = True
PUBLISHED_ON = ("COCO's val2017", 5_000)
DATA_FORM = "COCO images, or a COCO TFRecord"


@contextlib.contextmanager
def open_source(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    """The images as they are, or as `prepare` makes them, and their ground truth."""
    beside = plan.annotations and base.at(plan.annotations, plan)
    label_map = None
    if plan.label_map is not None:
        label_map = {name: int(label) for label, name in plan.label_map.items() if label.isdigit()}
    images = coco.find(
        base.at(location, plan), beside, label_map=label_map, allow_partial=plan.allow_partial
    )
    options = base.read_options(plan)
    is_scored = plan.kind == "accuracy"
    # To be read once only: ground truth and count are known as the records are read.
    once = plan.stream and images.kind == "records"
    examples = None if once else coco.count(images)
    is_all = plan.examples is None or examples is None
    collected = coco.collected(images) if once and is_scored else None
    truth = None if collected is None else collected.annotations
    if is_scored and not once:
        # Read before the run: annotations that don't fit must not cost its hours.
        truth = coco.ground_truth(images, first=options.first, limit=options.limit)
    batches = coco.batches(
        images,
        options,
        transform=synthetic.transform(prepare),
        truth=collected,
        decoded=not plan.encoded_input,
    )
    with contextlib.closing(batches):
        yield Source(
            batches=batches,
            examples=examples,
            truth=truth,
            dataset=None if is_all else base.part_of(plan, _describe(plan, images)),
            warnings=images.warnings,
        )


def examine(plan: Plan, location: str, step: Step, prepare: Step | None) -> Examined:
    """What the first images show: see `examine_boxes`."""
    with open_source(plan, location, prepare) as source:
        return examine_boxes.examine(plan, step, source)


def dataset(plan: Plan, location: str) -> DatasetInfo:
    """What the plan's data is."""
    images = coco.find(base.at(location, plan), plan.annotations, allow_partial=plan.allow_partial)
    return _describe(plan, images)


def record_files(plan: Plan, folder: ReadablePath) -> Sequence[ReadablePath] | None:
    """The record files that the plan's examples are read from; `None` of a folder of images."""
    images = coco.find(folder, plan.annotations, allow_partial=plan.allow_partial)
    if images.kind == "images":
        return None
    start, stop = plan.examples or (0, None)
    return coco.record_files(images, start, stop)


def _describe(plan: Plan, images: CocoSource) -> DatasetInfo:
    return base.describe(plan, coco.count(images), coco.files_of(images, plan.limit))


@contextlib.contextmanager
def open_scorer(plan: Plan, truth: Annotations) -> Iterator[Scorer]:
    """The scorer; its predictions file, if one is asked for, is there when the block ends well."""
    target = base.predictions_target(plan)
    scorer = Detection(plan, truth)
    yield scorer
    if target is not None:
        scorer.resolved().save(target)


def merge(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of all the parts."""
    records = [record for each in states for record in each["detections"]]
    found = dataclasses.replace(
        from_records(records, form=_form(plan)),
        not_finite=sum(each["not_finite"] for each in states),
    )
    truth = coco.joined([each["truth"] for each in states])
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

    def counts(self) -> Mapping[str, int]:
        """None: COCO's scores aren't shares of the images."""
        return {}

    def examples(self) -> int:
        """How many images were taken in."""
        return len(self._sizes)

    def in_order_of_labels(self) -> bool:
        """Images have no label."""
        return False

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Collect the detections in the images of one batch."""
        images = cast(coco.Images, batch.truth)
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
        return coco.with_sizes(self._truth, self._sizes)


def _form(plan: Plan) -> BoxFormat:
    return plan.box_format or TENSORFLOW


def _resolved(plan: Plan, found: Detections, truth: Annotations) -> Detections:
    known = read_truth(truth)
    try:
        return metric.resolved(
            found, known, labels=LabelOptions.of(plan), box_format=plan.box_format
        )
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
        precision_recall=official.precision_recall,
        legacy_scores=legacy.scores,
        decisions=official.decisions,
        warnings=official.warnings,
    )
