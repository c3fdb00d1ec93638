from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics.coco_labels import COUNTED, as_categories
from modelzoo_runner.values.coco_categories import IDS, NAMES, ORDERED


def test_cocos_own_ids_are_left_alone() -> None:
    classes = np.array([1, 90, 13, 13])
    categories, warnings = as_categories(classes, NAMES)
    assert (categories.tolist(), warnings) == ([1, 90, 13, 13], ())


@pytest.mark.parametrize("start", [0, 1])
def test_ids_counted_through_become_cocos(start: int) -> None:
    categories, warnings = as_categories(np.arange(80) + start, NAMES)
    assert categories.tolist() == list(ORDERED)
    strays = 10 - (start == 1)
    listed = "0, 12, 26, 29, 30" if start == 0 else "12, 26, 29, 30, 45"
    assert warnings == (
        f"classes are numbered {start} to {start + 79}: taken as COCO's 80 categories counted "
        f"through, because {strays} of 80 detections are in ids that COCO doesn't use "
        f"({listed}, ...)",
    )


def test_a_few_unused_ids_are_noise() -> None:
    classes = np.array([1] * 999 + [12])
    categories, warnings = as_categories(classes, NAMES)
    assert categories.tolist() == classes.tolist()
    assert warnings == (
        "1 of 1000 detections are in classes that are no category of the annotations (12): "
        "ignored, as COCO does",
    )


def test_a_numbering_that_is_neither_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        as_categories(np.array([1, 12, 26, 90]), NAMES)
    assert str(caught.value) == (
        "2 of 4 detections are in ids that COCO doesn't use (12, 26), so the classes, 1 to 90, are "
        "not COCO's ids; nor are they its 80 categories counted through. Give detections with "
        "COCO's ids."
    )


def test_a_detector_of_all_categories_may_be_scored_on_some() -> None:
    classes = np.array([1, 2, 3, 90])
    categories, warnings = as_categories(classes, {1: "person"})
    assert categories.tolist() == [1, 2, 3, 90]
    assert "3 of 4 detections are in classes that are no category" in warnings[0]


def test_annotations_that_count_through_and_detections_that_dont_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        as_categories(np.array([1, 13, 90]), COUNTED)
    assert str(caught.value) == (
        "the annotations count COCO's 80 categories through (12 is 'stop sign'), and the "
        "detections don't: their classes go up to 90. Give annotations with COCO's own ids (13 is "
        "'stop sign')."
    )
    categories, warnings = as_categories(np.array([1, 12, 80]), COUNTED)
    assert (categories.tolist(), warnings) == ([1, 12, 80], ())


def test_categories_of_ones_own_are_never_taken_for_cocos() -> None:
    own = {1: "cat", 2: "mouse"}
    categories, warnings = as_categories(np.array([1, 2, 12, 12]), own)
    assert categories.tolist() == [1, 2, 12, 12]
    assert len(warnings) == 1


def test_names_and_ids_fit_each_other() -> None:
    assert len(NAMES) == len(IDS) == len(ORDERED) == 80
    assert {IDS[name]: name for name in IDS} == dict(NAMES)
    assert (ORDERED[0], ORDERED[11], ORDERED[79]) == (1, 13, 90)
