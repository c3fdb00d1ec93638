"""Where a classifier's label is among its scores: by their number, and by the hits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from modelzoo_runner.data.batches import Batch
from modelzoo_runner.errors import DataError
from modelzoo_runner.tasks import classification
from modelzoo_runner.tasks.base import Scores
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

PLAN = Plan(
    kind="accuracy",
    model="made",
    task="classification",
    goal="accuracy",
    graph=GraphFile(source="path", path="made.pb", outputs={"scores": "scores:0"}),
    batch_size=4,
    placement=Placement(inter_threads=1, intra_threads=1),
)


def batches(width: int, shift: int, count: int, right: float) -> Iterator[tuple[Any, Batch]]:
    """Scores whose best is the class's place plus `shift`, for a share of the examples."""
    draw = np.random.default_rng(0)
    for _ in range(count // 4):
        truth = draw.integers(1, 999, 4)
        scores = draw.random((4, width)).astype(np.float32)
        for row, place in enumerate(truth + width - 1000 + shift):
            if draw.random() < right:
                scores[row, place] = 2
        yield [scores], Batch(np.zeros((4, 1)), truth, ("a.jpg",) * 4)


def scored(
    width: int, shift: int, *, count: int = 80, right: float = 0.7, asked: int | None = None
) -> Scores:
    plan = PLAN
    if asked is not None:
        plan = dataclasses.replace(PLAN, label_offset=asked, why={"label_offset": "argument"})
    with classification.open_scorer(plan, None) as scorer:
        for outputs, batch in batches(width, shift, count, right):
            scorer.add(outputs, batch)
    merged = classification.merge(plan, [scorer.state()])
    assert merged == scorer.result()
    return merged


@pytest.mark.parametrize(("width", "offset"), [(1000, -1), (1001, 0)])
def test_the_number_of_scores_says_it(width: int, offset: int) -> None:
    found = scored(width, 0)
    assert found.scores["top1"] > 0.5 and found.warnings == ()
    assert found.decisions == {"label_offset": f"{offset}: {width} scores"}


@pytest.mark.parametrize(("width", "shift"), [(1001, -1), (1000, 1), (1000, -1)])
def test_labels_that_are_off_by_one_are_recognized_and_it_is_said(width: int, shift: int) -> None:
    found = scored(width, shift)
    assert found.scores == scored(width, 0).scores
    assert f"labels are read {shift:+d}" in found.warnings[0]
    assert found.decisions["label_offset"].startswith(f"{width - 1001 + shift}: ")


def test_a_few_hits_are_too_few_to_say_it() -> None:
    with pytest.raises(DataError, match="label_offset="):
        scored(1001, -1, count=4, right=0.9)


def test_a_poor_classifier_is_believed() -> None:
    assert scored(1001, 0, right=0.02).warnings == ()
    assert scored(1001, 0, right=0).scores["top1"] < 0.05


def test_what_is_asked_for_counts_and_is_warned_about() -> None:
    right = scored(1001, -1, asked=-1)
    assert right.scores["top1"] > 0.5 and right.warnings == ()
    assert right.decisions == {"label_offset": "-1: as asked"}
    wrong = scored(1001, 0, asked=-1)
    assert wrong.scores["top1"] < 0.1 and "with all labels +1" in wrong.warnings[0]


def test_more_scores_than_classes_need_an_offset() -> None:
    with pytest.raises(DataError, match=r"gives 1008 scores.*label_offset="):
        scored(1008, 0)
    assert scored(1008, 1 - 8, asked=0).scores["top1"] > 0.5
    with pytest.raises(DataError, match=r"label_offset=8: the graph gives 1008 scores"):
        scored(1008, 0, asked=8)
