from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelzoo_runner.int8.compare import agreement


def test_equal_scores_agree() -> None:
    scores = {"scores": np.array([[0.1, 0.9], [0.7, 0.3]], np.float32)}
    assert agreement(scores, scores) == {"correlation": 1.0, "same_top1": 1.0}


def test_scores_that_differ() -> None:
    first = np.array([[0.1, 0.9], [0.7, 0.3]], np.float32)
    second = np.array([[0.2, 0.8], [0.4, 0.6]], np.float32)
    found = agreement({"scores": first}, {"scores": second})
    assert found["same_top1"] == 0.5
    assert found["correlation"] == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_constant_outputs_have_no_correlation_unless_they_are_equal() -> None:
    ones, ramp = np.ones((1, 4)), np.arange(4.0)[None]
    assert agreement({"a": ones}, {"a": ramp})["correlation"] == 0.0
    assert agreement({"a": ones}, {"a": ones})["correlation"] == 1.0


def test_several_outputs_are_one() -> None:
    first = {"a": np.zeros((1, 2)), "b": np.ones((1, 2))}
    assert agreement(first, first) == {"correlation": 1.0}


def _detections(boxes: Any, classes: Any, scores: Any) -> dict[str, Any]:
    return {
        "num_detections": np.array([len(scores)], np.float32),
        "detection_boxes": np.array([boxes], np.float32),
        "detection_classes": np.array([classes], np.float32),
        "detection_scores": np.array([scores], np.float32),
    }


BOX, MOVED, ELSEWHERE = [0.0, 0.0, 0.5, 0.5], [0.0, 0.1, 0.5, 0.6], [0.5, 0.5, 0.9, 0.9]


@pytest.mark.parametrize(
    ("theirs", "found", "confirmed"),
    [
        (([ELSEWHERE, BOX], [2, 1], [0.9, 0.8]), 1.0, 1.0),  # in another order
        (([MOVED, ELSEWHERE], [1, 2], [0.2, 0.9]), 1.0, 1.0),  # moved a bit, with half the score
        (([BOX, ELSEWHERE], [3, 2], [0.9, 0.9]), 0.5, 0.5),  # of another class
        (([BOX, BOX], [1, 2], [0.9, 0.9]), 0.5, 0.5),  # in another place
        (([BOX, ELSEWHERE], [1, 2], [0.1, 0.9]), 0.5, 1.0),  # hardly there
        (([BOX, BOX, ELSEWHERE, ELSEWHERE], [1, 3, 2, 5], [0.9] * 4), 1.0, 0.5),  # more than ours
    ],
)
def test_detections_are_found_again(
    theirs: tuple[Any, Any, Any], found: float, confirmed: float
) -> None:
    ours = _detections([BOX, ELSEWHERE, BOX], [1, 2, 7], [0.9, 0.4, 0.1])
    boxes, classes, scores = theirs
    other = _detections([*boxes, [0.0] * 4], [*classes, 0], [*scores, 0.0])
    assert agreement(ours, other) == {"found": found, "confirmed": confirmed}


def test_nothing_to_find_is_all_found() -> None:
    nothing = _detections([BOX], [1], [0.0])
    assert agreement(nothing, nothing) == {"found": 1.0, "confirmed": 1.0}
