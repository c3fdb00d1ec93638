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
from modelzoo_runner.errors import GraphError, RequestError
from modelzoo_runner.metrics import topk
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.tasks import base
from modelzoo_runner.tasks.base import Scorer, Scores, Source
from modelzoo_runner.values import atomic, codec
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch

IMAGE = None
HAS_ANNOTATIONS = False
PUBLISHED_ON = ("ImageNet's validation set", 50_000)
DATA_FORM = "ImageNet validation TFRecords (validation-*-of-*)"

SORTED = 0.8
"""The share of labels that aren't below the one before them, from which on examples are taken to be
sorted: of 30 shuffled ones so many are with a probability below 1e-3, of 100 below 1e-9."""

Row = tuple[str, int, int, str]
"""Of an example: its file name, and among the scores its own place, the best, the best five."""


@contextlib.contextmanager
def open_source(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    """The images of ImageNet's records, preprocessed."""
    if plan.preprocess is None:
        raise RequestError(
            f"data_location={location!r}: how images become this graph's input isn't known; give "
            "a preset with [preprocess] and the graph as weights="
        )
    shards = imagenet.find(base.at(location, plan), allow_partial=plan.allow_partial)
    # To count them, all of the files have to be read.
    examples = None if plan.stream else imagenet.count_examples(shards)
    is_all = plan.examples is None or examples is None
    missing = ", ".join(map(str, shards.missing))
    with contextlib.closing(
        imagenet.batches(shards, plan.preprocess, **base.reading(plan))
    ) as batches:
        yield Source(
            batches=batches,
            examples=examples,
            dataset=None if is_all else base.part_of(plan, _describe(plan, shards)),
            warnings=(f"a part of the set: shards {missing} are missing",) if missing else (),
        )


def dataset(plan: Plan, location: str) -> DatasetInfo:
    """What the plan's data is."""
    return _describe(plan, imagenet.find_files(location, allow_partial=plan.allow_partial))


def _describe(plan: Plan, shards: Any) -> DatasetInfo:
    files = imagenet.files_of(shards, plan.limit)
    return base.describe(plan, imagenet.count_examples(shards), files)


@contextlib.contextmanager
def open_scorer(plan: Plan, truth: object) -> Iterator[Scorer]:
    """The scorer; its predictions file, if one is asked for, is there when the block ends well."""
    target = base.predictions_target(plan)
    scorer = Classification(plan, with_rows=target is not None or plan.examples is not None)
    yield scorer
    if target is not None:
        _save(scorer.rows, target)


def merge(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of all the parts."""
    hits = functools.reduce(operator.add, (topk.TopK(**each["hits"]) for each in states))
    scores = _judged(hits, states[0]["classes"])
    if plan.predictions is not None:
        rows = itertools.chain.from_iterable(each["rows"] for each in states)
        _save(rows, atomic.target("predictions", plan.predictions))
    return scores


class Classification:
    """Counts top-1 and top-5 hits, and keeps a row for each example if asked to."""

    def __init__(self, plan: Plan, *, with_rows: bool = False) -> None:
        self.rows: list[Row] = []
        self._plan = plan
        self._with_rows = with_rows
        self._hits = topk.TopK()
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
        targets = labels.score_index(batch.truth, self._width, self._plan.label_offset)
        self._hits.add(scores, targets)
        for label in targets.tolist():
            self._ascents += label >= self._last_label
            self._last_label = label
        if self._with_rows:
            best = topk.best(scores).tolist()
            for name, target, five in zip(batch.names, targets.tolist(), best, strict=True):
                self.rows.append((name, target, five[0], " ".join(map(str, five))))

    def counts(self) -> Mapping[str, int]:
        """The top-1 and top-5 hits so far."""
        return self._hits.counts

    def examples(self) -> int:
        """How many examples were taken in."""
        return self._hits.examples

    def in_order_of_labels(self) -> bool:
        """Whether nearly every label is at least the one before; of shuffled ones half are."""
        return self._ascents >= SORTED * self._hits.examples

    def result(self) -> Scores:
        """The shares and the hits.

        Raises:
            GraphError: no row has an opinion: all scores are equal, or none is finite.
        """
        return _judged(self._hits, self._width)

    def state(self) -> Mapping[str, Any]:
        """The hits, the number of classes, and the rows."""
        rows = codec.to_dict(self.rows)
        return {"hits": codec.to_dict(self._hits), "classes": self._width, "rows": rows}


def _judged(hits: topk.TopK, classes: int) -> Scores:
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
        warnings=tuple(_doubts(hits)),
    )


def _doubts(hits: topk.TopK) -> Iterator[str]:
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


def _save(rows: Iterable[Sequence[Any]], target: Path) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["filename", "label", "prediction", "top5"])
    lines.writerows(rows)
    atomic.write_text(target, text.getvalue())
