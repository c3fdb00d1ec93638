"""Classification: images with one label each; top-1 and top-5."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.base import Step
from modelzoo_runner.data import imagenet, labels
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.shards import Shards
from modelzoo_runner.errors import DataError, GraphError, RequestError
from modelzoo_runner.metrics import topk
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.tasks import base, examine_classes
from modelzoo_runner.tasks.base import Scorer, Scores, Source
from modelzoo_runner.values import atomic, codec
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.remote import RemotePath

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch

IMAGE = None
HAS_ANNOTATIONS = False
PUBLISHED_ON = ("ImageNet's validation set", 50_000)
DATA_FORM = "ImageNet validation TFRecords (validation-*-of-*)"

examine = examine_classes.examine

SORTED = 0.8
"""The share of labels that aren't below the one before them, from which on examples are taken to be
sorted: of 30 shuffled ones so many are with a probability below 1e-3, of 100 below 1e-9."""

DECISIVE = 5
"""So many hits with shifted labels, and so many times those without, are no accident."""

Row = tuple[str, int, int, str]
"""Of an example: its file name, and among the scores its own place, the best, the best five."""


@contextlib.contextmanager
def open_source(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    """The images of ImageNet's records, preprocessed."""
    preprocess = None if plan.encoded_input else plan.preprocess
    if preprocess is None and not plan.encoded_input:
        raise RequestError(
            f"data_location={location!r}: how images become this graph's input isn't known; give "
            "a preset with [preprocess] and the graph as weights="
        )
    options = base.read_options(plan)
    shards = imagenet.find(
        base.at(location, plan), allow_partial=plan.allow_partial, first=options.first
    )
    # To count them, all of the files have to be read.
    examples = None if plan.stream else imagenet.count_examples(shards)
    is_all = plan.examples is None or examples is None
    with contextlib.closing(imagenet.batches(shards, preprocess, options)) as batches:
        yield Source(
            batches=batches,
            examples=examples,
            dataset=None if is_all else base.part_of(plan, _describe(plan, shards)),
            warnings=shards.warnings,
        )


def dataset(plan: Plan, location: str) -> DatasetInfo:
    """What the plan's data is."""
    shards = imagenet.find_files(base.at(location, plan), allow_partial=plan.allow_partial)
    return _describe(plan, shards)


def record_files(plan: Plan, folder: ReadablePath) -> Sequence[ReadablePath]:
    """The record files that the plan's examples are read from."""
    options = base.read_options(plan)
    shards = imagenet.find_files(folder, allow_partial=plan.allow_partial)
    return imagenet.files_of(shards, options.first, options.limit)


def _describe(plan: Plan, shards: Shards) -> DatasetInfo:
    files = imagenet.files_of(shards, limit=plan.limit)
    return base.describe(plan, imagenet.count_examples(shards), files)


@contextlib.contextmanager
def open_scorer(plan: Plan, truth: object) -> Iterator[Scorer]:
    """The scorer; its predictions file, if one is asked for, is there when the block ends well."""
    target = base.predictions_target(plan)
    scorer = Classification(plan, with_rows=target is not None or plan.examples is not None)
    yield scorer
    if target is not None:
        _save(scorer.rows, _shift(plan, scorer.hits), target)


def merge(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of all the parts."""
    hits = {
        shift: functools.reduce(
            operator.add, (topk.TopK(**each["hits"][str(shift)]) for each in states)
        )
        for shift in topk.SHIFTS
    }
    scores = _judged(plan, hits, states[0]["classes"])
    if plan.predictions is not None:
        rows = itertools.chain.from_iterable(each["rows"] for each in states)
        _save(rows, _shift(plan, hits), atomic.target("predictions", plan.predictions))
    return scores


class Classification:
    """Counts top-1 and top-5 hits, and keeps a row for each example if asked to."""

    def __init__(self, plan: Plan, *, with_rows: bool = False) -> None:
        self.rows: list[Row] = []
        self._plan = plan
        self._with_rows = with_rows
        self.hits = {shift: topk.TopK() for shift in topk.SHIFTS}
        self._scores_at = list(plan.graph.outputs).index("scores")
        self._width = 0
        self._last_label = -1
        self._ascents = 0

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Count the hits of one batch."""
        scores = outputs[self._scores_at]
        if scores.ndim != 2 or len(scores) != len(batch.inputs):
            raise GraphError(
                f"{self._plan.graph.outputs['scores']}: has shape {scores.shape} for a batch of "
                f"{len(batch.inputs)}; scores should be [batch, classes]"
            )
        self._width = scores.shape[1]
        targets = labels.score_index(
            batch.truth, self._width, self._plan.label_offset, is_asked=_is_asked(self._plan)
        )
        for shift, hits in self.hits.items():
            hits.add(scores, targets + shift)
        for label in targets.tolist():
            self._ascents += label >= self._last_label
            self._last_label = label
        if self._with_rows:
            best = topk.best(scores).tolist()
            for name, target, five in zip(batch.names, targets.tolist(), best, strict=True):
                self.rows.append((name, target, five[0], " ".join(map(str, five))))

    def counts(self) -> Mapping[str, int]:
        """The top-1 and top-5 hits so far."""
        return self.hits[_shift(self._plan, self.hits, is_final=False)].counts

    def examples(self) -> int:
        """How many examples were taken in."""
        return self.hits[0].examples

    def in_order_of_labels(self) -> bool:
        """Whether nearly every label is at least the one before; of shuffled ones half are."""
        return self._ascents >= SORTED * self.hits[0].examples

    def result(self) -> Scores:
        """The shares and the hits.

        Raises:
            GraphError: no row has an opinion: all scores are equal, or none is finite.
        """
        return _judged(self._plan, self.hits, self._width)

    def state(self) -> Mapping[str, Any]:
        """The hits, the number of classes, and the rows."""
        hits = {str(shift): codec.to_dict(each) for shift, each in self.hits.items()}
        return {"hits": hits, "classes": self._width, "rows": codec.to_dict(self.rows)}


def _is_asked(plan: Plan) -> bool:
    return plan.why.get("label_offset") == "argument"


def _shift(plan: Plan, hits: Mapping[int, topk.TopK], *, is_final: bool = True) -> int:
    """By how much labels are off, as the hits tell; 0 where the caller says the offset.

    Raises:
        DataError: a few hits say that labels are off, too few to be sure.
    """
    own, best = hits[0].sole, max((-1, 1), key=lambda shift: hits[shift].sole)
    beyond = hits[best].sole
    if _is_asked(plan):
        return 0
    if beyond >= DECISIVE:
        return best if beyond > DECISIVE * own else 0
    if is_final and beyond > 1 and not own:
        raise DataError(
            f"where a label's score is can't be told: {own} of {hits[0].examples} examples are "
            f"hits, and {beyond} would be with all labels {best:+d}. Score more examples, or say "
            "it with label_offset= (0: 1001 scores with the background first, -1: 1000 scores)."
        )
    return 0


def _judged(plan: Plan, by_shift: Mapping[int, topk.TopK], classes: int) -> Scores:
    shift = _shift(plan, by_shift)
    hits = by_shift[shift]
    if hits.all_equal == hits.examples:
        raise GraphError(
            f"all {classes} scores are equal in each of {hits.examples} examples: the graph "
            "doesn't look at its input; look at input and outputs with `inspect`"
        )
    if hits.not_finite == hits.examples:
        raise GraphError(f"none of {hits.examples} examples has finite scores")
    return Scores(
        scores={name: count / hits.examples for name, count in hits.counts.items()},
        counts=hits.counts,
        classes=classes,
        decisions={"label_offset": _offset_said(plan, by_shift, classes, shift)},
        warnings=tuple(_doubts(hits, by_shift, shift)),
    )


def _offset_said(plan: Plan, hits: Mapping[int, topk.TopK], classes: int, shift: int) -> str:
    """The label offset that was taken, and why."""
    if _is_asked(plan):
        return f"{plan.label_offset}: as asked"
    offset = classes - labels.CLASSES - 1 + shift
    why = f"{classes} scores"
    if shift:
        why = f"{hits[shift].top1} hits; {offset - shift}, as {why} mean, has {hits[0].top1}"
    return f"{offset}: {why}"


def _doubts(hits: topk.TopK, by_shift: Mapping[int, topk.TopK], shift: int) -> Iterator[str]:
    best = max(topk.SHIFTS, key=lambda each: by_shift[each].sole)
    if shift:
        yield (
            f"labels are read {shift:+d}: {hits.top1} of {hits.examples} examples are hits, and "
            f"{by_shift[0].top1} without; label_offset= decides"
        )
    elif by_shift[best].sole > max(DECISIVE - 1, DECISIVE * hits.sole):
        yield (
            f"labels are read as label_offset= says: {hits.top1} of {hits.examples} examples are "
            f"hits, and {by_shift[best].top1} would be with all labels {best:+d}"
        )
    if hits.not_finite:
        yield (
            f"{hits.not_finite} of {hits.examples} examples have scores that aren't finite; they "
            "count as misses"
        )
    if hits.all_equal:
        yield (
            f"{hits.all_equal} of {hits.examples} examples have all scores equal; by in_top_k's "
            "tie rule they count as hits"
        )


def _save(rows: Iterable[Sequence[Any]], shift: int, target: Path | RemotePath) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["filename", "label", "prediction", "top5"])
    lines.writerows((name, label + shift, *rest) for name, label, *rest in rows)
    atomic.write_text(target, text.getvalue())
