"""From a step's outputs and a batch's truth to scores, by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.tasks import score_classification, score_detection
from modelzoo_runner.tasks.scorer import Scorer, Scores
from modelzoo_runner.values.plan import Plan


def opened(plan: Plan, truth: Annotations | None) -> AbstractContextManager[Scorer]:
    """The scorer for the plan's task; its predictions file is there when the block ends well.

    Args:
        plan: of an accuracy run.
        truth: what there is to find, where it isn't in the batches themselves (see `source`).

    Raises:
        RequestError: the predictions file can't be written.
    """
    if truth is not None:
        return score_detection.opened(plan, truth)
    return score_classification.opened(plan)


def merged(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    """The scores of all examples of several parts, and the plan's predictions file written.

    They are what one run over all of the examples comes to.

    Args:
        plan: of the whole.
        states: of the parts (`Scorer.state`), in the order of the data.

    Raises:
        RequestError: the predictions file can't be written.
        DataError: the parts hold the same image twice.
    """
    if plan.task == "detection":
        return score_detection.merged(plan, states)
    return score_classification.merged(plan, states)
