"""compare_predictions() on detections: the bootstrap over images, with COCO's own evaluation."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from modelzoo_runner import compare_predictions
from modelzoo_runner.errors import RequestError, ResultError

IMAGES = 40


def truth() -> dict[str, Any]:
    chance = random.Random(0)
    annotations = []
    for image in range(1, IMAGES + 1):
        for _ in range(3):
            box = [chance.uniform(0, 300), chance.uniform(0, 200), 60.0, 50.0]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image * 10,
                    "category_id": chance.choice((1, 18)),
                    "bbox": box,
                    "area": 3000.0,
                    "iscrowd": 0,
                }
            )
    return {
        "images": [{"id": image * 10, "width": 640, "height": 480} for image in range(1, 41)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    }


def detections(path: Path, shift: float, seed: int) -> Path:
    """The objects, their boxes off by some pixels."""
    chance = random.Random(seed)
    found = []
    for each in truth()["annotations"]:
        x, y, width, height = each["bbox"]
        box = [x + chance.gauss(0, shift), y + chance.gauss(0, shift), width, height]
        found.append(
            {
                "image_id": each["image_id"],
                "category_id": each["category_id"],
                "bbox": box,
                "score": chance.uniform(0.5, 1),
            }
        )
    path.write_text(json.dumps(found))
    return path


def compared(tmp_path: Path, other_shift: float) -> Any:
    reference = detections(tmp_path / "a.json", 4.0, seed=1)
    changed = detections(tmp_path / "b.json", other_shift, seed=2)
    return compare_predictions(reference, changed, annotations=truth(), resamples=60)


def test_a_worse_detector_is_found_to_be_worse(tmp_path: Path) -> None:
    by_name = {each.name: each for each in compared(tmp_path, 9.0).scores}
    ap = by_name["AP"]
    assert ap.verdict == "worse" and ap.interval[1] < 0 and ap.difference < -0.1
    assert ap.interval[0] < ap.difference < ap.interval[1]
    assert ap.p_value is None and ap.examples == IMAGES


def test_two_as_good_are_not_told_apart(tmp_path: Path) -> None:
    found = compared(tmp_path, 4.0)
    assert {each.name: each.verdict for each in found.scores}["AP"] == "inconclusive"
    assert "AP" in str(found) and found.to_dict()["scores"][0]["verdict"] == "inconclusive"


def test_scores_that_are_not_defined_are_left_out(tmp_path: Path) -> None:
    names = [each.name for each in compared(tmp_path, 4.0).scores]
    # All objects are of medium size.
    assert "AP_medium" in names and "AP_small" not in names


def test_the_file_of_a_classifier_goes_without_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("filename,label,prediction,top5\nx,1,1,1\n")
    with pytest.raises(RequestError, match="leave annotations out"):
        compare_predictions(path, path, annotations=truth())
    (top1, _) = compare_predictions(path, path).scores
    assert (top1.reference, top1.verdict) == (1.0, "inconclusive")
    with pytest.raises(ResultError, match=r"can't be read as predictions|holds no predictions"):
        compare_predictions(detections(tmp_path / "a.json", 1, 1), path)
