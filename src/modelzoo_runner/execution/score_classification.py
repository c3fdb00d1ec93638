"""Scores of a classifier -> top-1 and top-5."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelzoo_runner import atomic
from modelzoo_runner.data import labels
from modelzoo_runner.errors import GraphError
from modelzoo_runner.execution.scorer import Scores
from modelzoo_runner.metrics import topk
from modelzoo_runner.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[Classification]:
    """The scorer; its predictions file, if one is asked for, is there when the block ends well."""
    if plan.predictions is None:
        yield Classification(plan)
        return
    target = atomic.target("predictions", plan.predictions)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["filename", "label", "prediction", "top5"])
    yield Classification(plan, rows)
    atomic.write_text(target, text.getvalue())


class Classification:
    """Counts top-1 and top-5 hits, and writes a row for each example."""

    def __init__(self, plan: Plan, rows: Any | None = None) -> None:
        self._plan = plan
        self._rows = rows
        self._hits = topk.TopK()
        self._scores_at = list(plan.graph.outputs).index("scores")
        self._width = 0

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
        if self._rows is not None:
            for name, target, best in zip(batch.names, targets, topk.best(scores), strict=True):
                self._rows.writerow([name, target, best[0], " ".join(map(str, best))])

    def result(self) -> Scores:
        """The shares and the hits.

        Raises:
            GraphError: no row has an opinion: all scores are equal, or none is finite.
        """
        hits = self._hits
        if hits.all_equal == hits.examples:
            raise GraphError(
                f"all {self._width} scores are equal in each of {hits.examples} examples: the "
                "graph doesn't look at its input; look at input and outputs with `inspect`"
            )
        if hits.not_finite == hits.examples:
            raise GraphError(f"none of {hits.examples} examples has finite scores")
        return Scores(
            scores={name: count / hits.examples for name, count in hits.counts.items()},
            counts=hits.counts,
            classes=self._width,
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
