from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from coco_made import add, reference
from hypothesis import given, settings
from pycocotools import mask

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.metrics.coco import CocoScores, IouType, score_detections
from modelzoo_runner.metrics.coco_candidates import LabelOptions
from modelzoo_runner.metrics.coco_collector import Collector
from modelzoo_runner.metrics.coco_detections import load_detections
from modelzoo_runner.metrics.coco_evaluation import SCORES
from modelzoo_runner.values.coco_categories import NAMES

AS_IDS = LabelOptions(label_offset=0)

PUBLISHED = (0.505, 0.697, 0.573, 0.586, 0.519, 0.501, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564)
"""What cocoapi prints for its own made-up detections (results/val2014_fake_eval_res.txt, bbox)."""

PUBLISHED_SEGM = (
    *(0.320, 0.562, 0.299, 0.387, 0.310, 0.327),
    *(0.268, 0.415, 0.417, 0.469, 0.377, 0.381),
)
"""And for its made-up masks (the same file, segm)."""

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 18, "name": "dog"}]


def annotation(image_id: int, category_id: int, *bbox: float, crowd: int = 0) -> dict[str, Any]:
    area = abs(bbox[2] * bbox[3]) * 0.75
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(bbox),
        "area": area,
        "iscrowd": crowd,
    }


def detection(image_id: Any, category_id: int, *bbox: float, score: float = 0.5) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(bbox),
        "score": score,
    }


def dataset(*annotations: dict[str, Any], images: int = 2) -> dict[str, Any]:
    return {
        "images": [{"id": number, "width": 400, "height": 300} for number in range(1, images + 1)],
        "annotations": [{"id": number, **each} for number, each in enumerate(annotations, 1)],
        "categories": CATEGORIES,
    }


def assert_like_reference(
    detections: list[dict[str, Any]], truth: dict[str, Any], iou_type: IouType = "bbox"
) -> CocoScores:
    ours = score_detections(
        detections, truth, iou_type=iou_type, labels=AS_IDS, box_format="pixel_xywh"
    )
    names = {each["id"]: each["name"] for each in truth["categories"]}
    numbers = [
        *ours.scores.values(),
        *(ours.per_category.get(names[category], -1.0) for category in sorted(names)),
    ]
    expected = reference(detections, truth, iou_type)
    np.testing.assert_allclose(numbers, expected, rtol=0, atol=1e-12)
    return ours


def test_the_published_numbers_of_cocoapi(samples: Path) -> None:
    folder = samples / "coco" / "cocoapi_eval"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = folder / "instances_val2014_fakebbox100_results.json"
    ours = score_detections(results, truth)
    assert tuple(round(score, 3) for score in ours.scores.values()) == PUBLISHED
    assert tuple(ours.scores) == SCORES
    assert (ours.images, ours.objects, ours.crowds, ours.detections) == (100, 830, 9, 734)
    assert ours.warnings == ()
    assert not ours.legacy
    assert_like_reference(json.loads(results.read_text()), truth)


def test_the_published_numbers_of_cocoapi_for_masks(samples: Path) -> None:
    folder = samples / "coco" / "cocoapi_eval"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakesegm100_results.json").read_text())
    ours = score_detections(results, truth, iou_type="segm")
    assert tuple(round(score, 3) for score in ours.scores.values()) == PUBLISHED_SEGM
    assert_like_reference(results, truth, "segm")
    assert str(ours).splitlines()[0].endswith("COCO rules, by their masks")


boxes = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 120)] * 2)
images = st.integers(1, 4)


@st.composite
def hard_cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ties in score and overlap, crowds, empty images, unknown categories, nothing at all."""
    category = st.sampled_from([1, 3, 18])
    truth = draw(
        st.lists(
            st.builds(
                lambda image, category, box, crowd: annotation(image, category, *box, crowd=crowd),
                images,
                category,
                boxes,
                st.integers(0, 1),
            ),
            max_size=12,
        )
    )
    # Moved by little, so that overlaps cross the thresholds.
    near = [st.just(tuple(each["bbox"])) for each in truth]
    found = draw(
        st.lists(
            st.builds(
                lambda image, category, box, move, score: detection(
                    image, category, box[0] + move, *box[1:], score=score
                ),
                images,
                st.one_of(category, st.just(90)),
                st.one_of(boxes, *near),
                st.sampled_from([0, 0, 1, 5, 0.25]),
                st.sampled_from([0.1, 0.5, 0.5, 0.9, 1.0]),
            ),
            max_size=20,
        )
    )
    return found, dataset(*truth, images=5)


@given(hard_cases())
@settings(max_examples=60)
def test_hard_cases_are_scored_as_pycocotools_does(
    case: tuple[list[dict[str, Any]], dict[str, Any]],
) -> None:
    assert_like_reference(*case)


def masked(record: dict[str, Any], *, crowd: bool = False) -> dict[str, Any]:
    """The same with a mask: half of its box, or all of it in run lengths, as a crowd has them."""
    x, y, width, height = record["bbox"]
    if not crowd:
        return {**record, "segmentation": [[x, y, x + width, y, x, y + height]]}
    pixels = np.zeros((300, 400), int)
    pixels[y : y + height, x : x + width] = 1
    # Down the columns, and the first run is of zeros.
    edges = np.flatnonzero(np.diff(pixels.T.ravel(), prepend=0, append=2))
    counts = np.diff(edges, prepend=0).tolist()
    return {**record, "segmentation": {"size": [300, 400], "counts": counts}}


def found_mask(record: dict[str, Any]) -> dict[str, Any]:
    """A detection with the mask alone, as COCO's results format has it."""
    polygon = masked(record)["segmentation"]
    run_lengths = mask.merge(mask.frPyObjects(polygon, 300, 400))
    rest = {key: value for key, value in record.items() if key != "bbox"}
    return {**rest, "segmentation": {**run_lengths, "counts": run_lengths["counts"].decode()}}


@given(hard_cases())
@settings(max_examples=25)
def test_hard_cases_of_masks_are_scored_as_pycocotools_does(
    case: tuple[list[dict[str, Any]], dict[str, Any]],
) -> None:
    found, truth = case
    objects = [masked(each, crowd=bool(each["iscrowd"])) for each in truth["annotations"]]
    assert_like_reference(
        [found_mask(each) for each in found], {**truth, "annotations": objects}, "segm"
    )


def test_more_than_100_detections_of_an_image_and_category() -> None:
    numbers = np.random.default_rng(0)
    truth = dataset(*(annotation(1, 1, 3 * n, 2 * n, 30, 20) for n in range(90)))
    found = [
        detection(1, 1, 3 * n % 270, 2 * n % 180, 30, 21, score=round(numbers.random(), 2))
        for n in range(400)
    ]
    ours = assert_like_reference(found, truth)
    assert ours.detections == 400


def test_crowd_only() -> None:
    ours = assert_like_reference(
        [detection(1, 1, 0, 0, 50, 50)], dataset(annotation(1, 1, 0, 0, 50, 50, crowd=1))
    )
    assert set(ours.scores.values()) == {-1.0}
    assert ours.warnings == (
        "the annotations hold no object to find, so the scores are -1 (undefined)",
    )


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong() -> None:
    truth = dataset(annotation(1, 1, 0, 0, 50, 50), annotation(1, 1, 100, 0, 99, 99, crowd=1))
    found = [
        detection(1, 1, 0, 0, 50, 50, score=0.3),
        detection(1, 1, 120, 20, 30, 30, score=0.9),
    ]
    assert assert_like_reference(found, truth).scores["AP"] == pytest.approx(1)


def test_no_detections_at_all() -> None:
    ours = assert_like_reference([], dataset(annotation(1, 1, 0, 0, 50, 50)))
    assert (ours.scores["AP"], ours.scores["AR100"], ours.scores["AP_large"]) == (0, 0, -1)
    assert ours.per_category == {"person": 0}
    assert ours.warnings == ("there are no detections at all, so every score is 0",)


def test_no_images_and_no_categories() -> None:
    nothing: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    assert set(score_detections([], nothing).scores.values()) == {-1.0}


def test_images_without_detections_count_as_missed_and_are_pointed_out() -> None:
    truth = dataset(*(annotation(n, 1, 0, 0, 50, 50) for n in (1, 2, 3)), images=3)
    ours = assert_like_reference([detection(1, 1, 0, 0, 50, 50)], truth)
    assert ours.scores["AR100"] == pytest.approx(1 / 3)
    assert ours.warnings == (
        "2 of 3 annotated images have no detection, and count as images in which everything was "
        "missed; leave out the images that were not run",
    )


def test_detections_of_other_images_are_refused() -> None:
    found = [detection(n, 1, 0, 0, 9, 9) for n in (1, 7, 8, 9, 10)]
    with pytest.raises(DataError, match=r"4 images with detections are not in .* \(7, 8, 9, 10\)"):
        score_detections(found, dataset(annotation(1, 1, 0, 0, 50, 50)))


def test_masks_that_are_missing_or_no_masks_are_named() -> None:
    sound = dataset(masked(annotation(1, 1, 0, 0, 50, 50)))
    with pytest.raises(DataError) as caught:
        score_detections([detection(1, 1, 0, 0, 9, 9)], sound, iou_type="segm")
    assert str(caught.value) == (
        'iou_type="segm": the detections have no masks (segmentation). A detector gives them if '
        "its graph has detection_masks"
    )
    found = [found_mask(detection(1, 1, 0, 0, 9, 9))]
    with pytest.raises(DataError, match=r"segmentation of 1 .*COCO's own.* can't be read"):
        score_detections(found, dataset(annotation(1, 1, 0, 0, 50, 50)), iou_type="segm")
    found[0]["segmentation"]["size"] = [200, 600]
    with pytest.raises(DataError) as caught:
        score_detections(found, sound, iou_type="segm")
    assert str(caught.value) == (
        "detections: a segmentation in image 1 can't be read: it is 600 x 200 pixels, the image "
        "400 x 300"
    )
    del sound["images"][0]["width"]
    with pytest.raises(DataError, match="image 1 has no width and height"):
        score_detections(found, sound, iou_type="segm")


def test_nothing_masked_to_find_and_nothing_found() -> None:
    ours = score_detections([], dataset(), iou_type="segm")
    assert set(ours.scores.values()) == {-1.0}


def test_what_is_laid_over_each_other_is_boxes_or_masks() -> None:
    with pytest.raises(RequestError) as caught:
        score_detections([], dataset(), iou_type="keypoints")  # type: ignore[arg-type]
    assert str(caught.value) == "iou_type='keypoints': should be bbox or segm"
    with pytest.raises(RequestError) as caught:
        score_detections([], dataset(), iou_type="segm", legacy=True)
    assert str(caught.value) == (
        'iou_type="segm": the legacy rules are those of the Model Zoo\'s scripts, which scored '
        "boxes only; leave legacy out"
    )


def test_odd_annotations_are_treated_as_coco_does_and_named() -> None:
    truth = dataset(
        annotation(1, 1, 0, 0, 50, 50),
        annotation(9, 1, 0, 0, 50, 50),
        annotation(1, 2, 0, 0, 50, 50),
        annotation(1, 1, 10, 10, 0, 20),
        annotation(2, 3, 60, 60, -20, -20),
    )
    ours = assert_like_reference([detection(1, 1, 0, 0, 50, 50)], truth)
    assert ours.objects == 3
    assert ours.warnings == (
        "1 annotations of images that aren't listed: ignored, as COCO does",
        "1 annotations in categories that aren't listed: ignored, as COCO does",
        "2 annotations without width or height: kept, as COCO does, though no detection can match "
        "them",
    )


def test_annotations_without_a_key_are_refused() -> None:
    truth = dataset(annotation(1, 1, 0, 0, 50, 50))
    del truth["annotations"][0]["category_id"]
    with pytest.raises(DataError, match=r"annotations: entry 0: 'category_id' is missing"):
        score_detections([], truth)


def test_without_area_that_of_the_box_counts_and_it_is_said() -> None:
    truth = dataset(annotation(1, 1, 0, 0, 50, 50))
    del truth["annotations"][0]["area"], truth["annotations"][0]["iscrowd"]
    ours = score_detections([detection(1, 1, 0, 0, 50, 50)], truth)
    assert ours.scores["AP_medium"] == pytest.approx(1)
    assert "without area" in ours.warnings[0]


def test_nan_detections_are_left_out_and_counted() -> None:
    nan, box = float("nan"), np.array([[0.0, 0, 1, 1]])
    truth = dataset(annotation(1, 1, 0, 0, 400, 300), images=1)
    found = Collector()
    add(
        found,
        1,
        np.concatenate([box, box * nan, box]),
        np.array([0.5, 0.5, nan]),
        np.ones(3),
        (300, 400),
    )
    ours = score_detections(found.detections(), truth)
    assert ours.scores["AP"] == pytest.approx(1)
    assert ours.warnings == (
        "2 detections with a NaN or infinite box, score or class were left out",
    )


def test_a_repeated_category_name_keeps_both_scores() -> None:
    truth = dataset(annotation(1, 1, 0, 0, 50, 50), annotation(1, 3, 0, 0, 50, 50))
    truth["categories"] = [{"id": 1, "name": "thing"}, {"id": 3, "name": "thing"}]
    ours = score_detections([detection(1, 1, 0, 0, 50, 50)], truth, labels=AS_IDS)
    assert ours.per_category == {"thing": pytest.approx(1), "thing (3)": 0}


def test_legacy_scores_are_pycocotools_on_shares_without_crowds() -> None:
    numbers = np.random.default_rng(1)

    def box() -> list[float]:
        return [*numbers.integers(0, 200, 2).tolist(), *numbers.integers(20, 100, 2).tolist()]

    sound = [annotation(1 + n % 2, 1, *box(), crowd=int(n % 5 == 0)) for n in range(30)]
    found = [
        detection(
            each["image_id"], 1, *np.add(each["bbox"], numbers.integers(-9, 9, 4)), score=n / 30
        )
        for n, each in enumerate(sound)
    ]
    # The original's converter left these out.
    odd = [
        annotation(1, 1, 380, 10, 21, 5),
        annotation(1, 1, 9, 9, 0, 5),
        annotation(2, 1, -1, 0, 5, 5),
    ]
    ours = score_detections(found, dataset(*sound, *odd), legacy=True)

    def shares(each: dict[str, Any]) -> dict[str, Any]:
        x, y, width, height = each["bbox"]
        bbox = [x / 400, y / 300, width / 400, height / 300]
        return {**each, "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0}

    truth = dataset(*(shares(each) for each in sound))
    expected = reference([shares(each) for each in found], truth)
    np.testing.assert_allclose(list(ours.scores.values()), expected[:12], rtol=0, atol=1e-12)
    assert ours.legacy
    assert (ours.objects, ours.crowds) == (30, 0)
    assert ours.scores["AP_small"] == ours.scores["AP"]
    assert ours.scores["AP_medium"] == ours.scores["AP_large"] == -1


def test_legacy_scores_need_the_size_of_the_images() -> None:
    truth = {**dataset(annotation(1, 1, 0, 0, 50, 50)), "images": [{"id": 1}]}
    with pytest.raises(DataError, match="image 1 has no width and height"):
        score_detections([], truth, legacy=True)


def test_saved_detections_score_the_same(tmp_path: Path, samples: Path) -> None:
    folder = samples / "coco" / "cocoapi_eval"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    found = load_detections(folder / "instances_val2014_fakebbox100_results.json")
    saved = found.save(tmp_path / "found.json")
    assert score_detections(saved, truth) == score_detections(found, truth)


def test_classes_counted_through_are_recognised(samples: Path) -> None:
    folder = samples / "coco" / "cocoapi_eval"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    found = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    ids = sorted(NAMES)
    for each in found:
        each["category_id"] = ids.index(each["category_id"]) + 1
    ours = score_detections(found, truth)
    assert tuple(round(score, 3) for score in ours.scores.values()) == PUBLISHED
    assert "classes are read as COCO's 80 categories counted from 1" in ours.warnings[0]
    assert ours.decisions["label_map"].startswith("COCO's 80 categories counted from 1: 649 of")
