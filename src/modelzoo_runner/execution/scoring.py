"""From a step's outputs and a batch's truth to scores, by task."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modelzoo_runner import atomic
from modelzoo_runner.data import labels
from modelzoo_runner.errors import GraphError, RequestError
from modelzoo_runner.metrics import topk
from modelzoo_runner.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a scorer comes to: shares, exact counts, and what is doubtful about them."""

    scores: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_category: Mapping[str, float] = field(default_factory=dict)
    legacy_scores: Mapping[str, float] = field(default_factory=dict)
    classes: int | None = None
    warnings: tuple[str, ...] = ()


class Scorer(Protocol):
    """Takes a run's outputs batch by batch."""

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Take in the outputs of one batch, in the order of the plan's outputs."""

    def result(self) -> Scores:
        """The scores of all that was added; there was at least one example."""


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[Scorer]:
    """The scorer for the plan's task; its predictions file is there when the block ends well."""
    with _predictions(plan.predictions) as rows:
        yield Classification(plan, rows)


class Classification:
    """Counts top-1 and top-5 hits, and writes a row for each example."""

    def __init__(self, plan: Plan, rows: Any | None) -> None:
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


@contextlib.contextmanager
def _predictions(path: str | None) -> Iterator[Any | None]:
    """A CSV writer for the rows of the predictions file, if there is to be one."""
    if path is None:
        yield None
        return
    target = Path(path)
    # Looked at before the run, so that a slip doesn't cost its hours.
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        reason = "it is a folder" if target.is_dir() else f"no writable folder {target.parent}"
        raise RequestError(f"predictions={path!r}: can't be written: {reason}")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["filename", "label", "prediction", "top5"])
    yield rows
    atomic.write_text(target, text.getvalue())
