"""How boxes and classes of detections are read: the right numbers, or a refusal in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_made import add, reference

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.metrics.coco import CocoScores, resolved, score_detections
from modelzoo_runner.metrics.coco_candidates import LabelOptions
from modelzoo_runner.metrics.coco_collector import Collector
from modelzoo_runner.metrics.coco_truth import read_truth
from modelzoo_runner.values.coco_categories import IDS, NAMES, ORDERED

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def mini(samples: Path) -> dict[str, Any]:
    """164 images of val2017 with their ground truth."""
    path = samples / "coco" / "val2017_mini" / "instances_val2017_mini.json"
    return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def fake(samples: Path) -> tuple[Records, dict[str, Any]]:
    """cocoapi's made-up detections in 100 images, and their ground truth."""
    folder = samples / "coco" / "cocoapi_eval"
    found = (folder / "instances_val2014_fakebbox100_results.json").read_text()
    truth = (folder / "instances_val2014_100.json").read_text()
    return json.loads(found), json.loads(truth)


@pytest.fixture(scope="module")
def expected(fake: tuple[Records, dict[str, Any]]) -> np.ndarray:
    """pycocotools' numbers of `fake`."""
    return reference(*fake)


def part(truth: dict[str, Any], keep: Callable[[list[int]], bool]) -> dict[str, Any]:
    """The images whose categories `keep` accepts, and their annotations."""
    categories: dict[int, list[int]] = {image["id"]: [] for image in truth["images"]}
    for each in truth["annotations"]:
        categories[each["image_id"]].append(each["category_id"])
    kept = {image for image, there in categories.items() if there and keep(there)}
    return {
        **truth,
        "images": [image for image in truth["images"] if image["id"] in kept],
        "annotations": [each for each in truth["annotations"] if each["image_id"] in kept],
    }


def perfect(truth: dict[str, Any]) -> Records:
    """The ground truth as detections."""
    return [
        {"image_id": each["image_id"], "category_id": each["category_id"],
         "bbox": each["bbox"], "score": 0.9}
        for each in truth["annotations"]
        if not each["iscrowd"]
    ]  # fmt: skip


def like(ours: CocoScores, expected: np.ndarray) -> None:
    np.testing.assert_allclose(list(ours.scores.values()), expected[:12], rtol=0, atol=1e-12)


# Class numbers.


def test_rows_padded_with_class_and_score_0_say_nothing(mini: dict[str, Any]) -> None:
    for keep in (lambda there: max(there) <= 79, lambda there: max(there) > 79):
        truth = part(mini, keep)
        padding = {"category_id": 0, "bbox": [0.0, 0.0, 0.0, 0.0], "score": 0.0}
        rows = [{"image_id": image["id"], **padding} for image in truth["images"] * 3]
        found = perfect(truth)
        ours = score_detections(found + rows, truth)
        assert ours.scores == score_detections(found, truth).scores
        assert ours.scores["AP"] == pytest.approx(1)
        assert ours.decisions["label_map"].startswith("the annotations' category ids: ")


@pytest.fixture(scope="module")
def without_persons(mini: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray]:
    """The images without category 1, and pycocotools' numbers of perfect detections in them."""
    truth = part(mini, lambda there: 1 not in there)
    assert len(truth["images"]) == 72
    return truth, reference(perfect(truth), truth)


@pytest.mark.parametrize("change", ["", "background", "tvmonitor"])
def test_classes_from_0_are_told_also_without_class_0(without_persons: Any, change: str) -> None:
    truth, expected = without_persons
    categories = [dict(each) for each in truth["categories"]]
    if change == "background":
        categories.insert(0, {"id": 0, "name": "background"})
    elif change:
        categories[[each["id"] for each in categories].index(IDS["tv"])]["name"] = change
    truth = {**truth, "categories": categories}
    found = perfect(truth)
    counted = [{**each, "category_id": ORDERED.index(each["category_id"])} for each in found]
    ours = score_detections(counted, truth)
    like(ours, expected)
    assert ours.scores["AP"] == pytest.approx(1)
    assert "counted from 0" in ours.decisions["label_map"]


@pytest.fixture(scope="module")
def own(fake: tuple[Records, dict[str, Any]]) -> tuple[Records, dict[str, Any], Records, Any]:
    """Persons, cars and dogs numbered 1, 2, 3: detections in COCO's ids, the ground truth, what the
    detections mean, and pycocotools' numbers of that.
    """
    found, truth = fake
    new = {IDS["person"]: 1, IDS["car"]: 2, IDS["dog"]: 3}
    truth = {
        **truth,
        "annotations": [
            {**each, "category_id": new[each["category_id"]]}
            for each in truth["annotations"]
            if each["category_id"] in new
        ],
        "categories": [{"id": number, "name": NAMES[old]} for old, number in new.items()],
    }
    meant = [
        {**each, "category_id": new[each["category_id"]]}
        for each in found
        if each["category_id"] in new
    ]
    return found, truth, meant, reference(meant, truth)


def test_cocos_ids_are_told_by_name_under_own_numbers(own: Any) -> None:
    found, truth, _, expected = own
    ours = score_detections(found, truth)
    like(ours, expected)
    np.testing.assert_allclose(
        [ours.per_category[name] for name in ("person", "car", "dog")], expected[12:], atol=1e-12
    )
    assert ours.decisions["label_map"].startswith("COCO's ids, by name: ")


def test_a_label_map_decides(own: Any) -> None:
    found, truth, _, expected = own
    for label_map, shift in (
        ({str(each): name for each, name in NAMES.items()}, 0),
        ({str(place): NAMES[each] for place, each in enumerate(ORDERED)}, None),
    ):
        given = found
        if shift is None:
            given = [{**each, "category_id": ORDERED.index(each["category_id"])} for each in found]
        ours = score_detections(given, truth, labels=LabelOptions(label_map=label_map))
        like(ours, expected)
        assert ours.decisions["label_map"].startswith("label_map=: as asked; ")


def test_a_label_map_of_other_names_is_refused_and_names_can_be_given(own: Any) -> None:
    _, truth, meant, expected = own
    label_map = {"1": "human", "2": "auto", "3": "hound"}
    with pytest.raises(RequestError, match=r"label_map: none of its 3 names is a category"):
        score_detections(meant, truth, labels=LabelOptions(label_map=label_map))
    names = {"person": "human", "2": "auto", "dog": "hound"}
    options = LabelOptions(label_map=label_map, category_names=names)
    like(score_detections(meant, truth, labels=options), expected)
    with pytest.raises(RequestError, match=r"category_names=.*'cow' is no category"):
        score_detections(meant, truth, labels=LabelOptions(category_names={"cow": "bull"}))


def test_an_offset_decides_and_a_wrong_one_is_warned_about(fake: Any, expected: np.ndarray) -> None:
    found, truth = fake
    less = [{**each, "category_id": each["category_id"] - 1} for each in found]
    like(score_detections(less, truth, labels=LabelOptions(label_offset=-1)), expected)
    ours = score_detections(less, truth, labels=LabelOptions(label_offset=0))
    assert ours.scores["AP"] < 0.2
    assert any("agree" in said and "less 1" in said for said in ours.warnings)


def test_mixed_up_classes_are_refused_with_what_they_lie_on(fake: Any) -> None:
    found, truth = fake
    mixed = dict(zip(ORDERED, np.random.default_rng(1).permutation(ORDERED).tolist(), strict=True))
    given = [{**each, "category_id": mixed[each["category_id"]]} for each in found]
    with pytest.raises(DataError) as caught:
        score_detections(given, truth)
    assert f"class {mixed[1]} lies on 'person'" in str(caught.value)
    assert "label_map=" in str(caught.value)


def test_numberings_that_could_all_be_meant_are_shown_with_their_scores() -> None:
    truth = {
        "images": [{"id": 1, "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "wheel"}, {"id": 2, "name": "bolt"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500},
            {"image_id": 1, "category_id": 2, "bbox": [100, 100, 50, 50], "area": 2500},
        ],
    }
    found = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [100, 100, 50, 50], "score": 0.9},
    ]
    with pytest.raises(DataError) as caught:
        score_detections(found, truth)
    said = str(caught.value)
    assert "category ids: AP 0.500 (1 of 2" in said and "counted from 0: AP 0.25" in said
    assert "label_offset=0" in said
    ours = score_detections(found, truth, labels=LabelOptions(label_offset=0))
    assert ours.scores["AP"] == pytest.approx(0.5)


def test_names_as_classes(fake: Any, expected: np.ndarray) -> None:
    found, truth = fake
    named = [{**each, "category_id": NAMES[each["category_id"]]} for each in found]
    like(score_detections(named, truth), expected)


# Ids.


@pytest.mark.parametrize("kind", ["text", "padded", "float", "large", "categories too"])
def test_ids_of_any_kind_give_the_same_numbers(
    fake: Any, expected: np.ndarray, kind: str, tmp_path: Path
) -> None:
    found, truth = fake
    change = {
        "text": str, "padded": "{:012}".format, "float": float, "large": lambda n: n + 2**64,
        "categories too": str,
    }[kind]  # fmt: skip
    keys = ("image_id", "category_id") if kind == "categories too" else ("image_id",)
    given = [{**each, **{key: change(each[key]) for key in keys}} for each in found]
    described = {
        "images": [{**each, "id": change(each["id"])} for each in truth["images"]],
        "annotations": [
            {**each, **{key: change(each[key]) for key in keys}} for each in truth["annotations"]
        ],
        "categories": [
            {**each, "id": change(each["id"])} if len(keys) > 1 else each
            for each in truth["categories"]
        ],
    }
    (path := tmp_path / "found.json").write_text(json.dumps(given))
    for detections in (given, path):
        like(score_detections(detections, described), expected)


def test_what_can_be_no_id_or_box_is_named() -> None:
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25}
    for change, words in (
        ({"category_id": None}, "'category_id' is 'None'"),
        ({"bbox": []}, "'bbox' is"),
        ({"iscrowd": "perhaps"}, "'iscrowd' is 'perhaps'"),
    ):
        truth = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": [good | change]}
        with pytest.raises(DataError, match=f"annotations: entry 0: {words}"):
            score_detections([], truth)
    truth["annotations"] = [good | {"iscrowd": None}]
    assert score_detections([], truth).objects == 1


# Boxes.

FORMS: dict[str, Callable[..., list[float]]] = {
    "pixel_xyxy": lambda x, y, w, h, *_: [x, y, x + w, y + h],
    "pixel_yxyx": lambda x, y, w, h, *_: [y, x, y + h, x + w],
    "pixel_cxcywh": lambda x, y, w, h, *_: [x + w / 2, y + h / 2, w, h],
    "normalized_xywh": lambda x, y, w, h, a, d: [x / a, y / d, w / a, h / d],
    "normalized_xyxy": lambda x, y, w, h, a, d: [x / a, y / d, (x + w) / a, (y + h) / d],
    "normalized_yxyx": lambda x, y, w, h, a, d: [y / d, x / a, (y + h) / d, (x + w) / a],
    "normalized_cxcywh": lambda x, y, w, h, a, d: [(x + w / 2) / a, (y + h / 2) / d, w / a, h / d],
}


def formed(found: Records, truth: dict[str, Any], form: str) -> Records:
    sizes = {each["id"]: (each["width"], each["height"]) for each in truth["images"]}
    return [
        {**each, "bbox": FORMS[form](*each["bbox"], *sizes[each["image_id"]])} for each in found
    ]


@pytest.mark.parametrize("form", FORMS)
def test_boxes_in_another_form_are_recognized_and_it_is_said(
    fake: Any, expected: np.ndarray, form: str
) -> None:
    found, truth = fake
    given = formed(found, truth, form)
    ours = score_detections(given, truth)
    # An overlap at a threshold may be rounded to its other side.
    np.testing.assert_allclose(list(ours.scores.values()), expected[:12], atol=1e-3)
    assert ours.decisions["box_format"].startswith(f"{form}: 733 of the 734 best detections")
    assert ours.warnings[0].startswith(f"boxes are read as {form}, not pixel_xywh: ")
    asked = score_detections(given, truth, box_format=form)  # type: ignore[arg-type]
    assert asked.scores == ours.scores and not asked.warnings


@pytest.mark.parametrize("form", ["normalized_yxyx", "normalized_xyxy", "pixel_yxyx", "pixel_xyxy"])
def test_a_graphs_boxes_are_recognized(fake: Any, expected: np.ndarray, form: str) -> None:
    found, truth = fake
    sizes = {each["id"]: (each["height"], each["width"]) for each in truth["images"]}
    collected = Collector()
    for each in formed(found, truth, form):
        add(
            collected,
            each["image_id"],
            np.array([each["bbox"]]),
            np.array([each["score"]]),
            np.array([each["category_id"]]),
            sizes[each["image_id"]],
        )
    ours = score_detections(collected.detections(), truth)
    np.testing.assert_allclose(list(ours.scores.values()), expected[:12], atol=1e-9)
    assert bool(ours.warnings) == (form != "normalized_yxyx")


def test_boxes_that_reach_over_the_border_are_no_reason_to_doubt(fake: Any) -> None:
    found, truth = fake
    beyond = [{**each, "bbox": [*np.add(each["bbox"], [-9, -9, 18, 18])]} for each in found]
    given = formed(beyond, truth, "normalized_yxyx")
    ours = score_detections(given, truth)
    np.testing.assert_allclose(list(ours.scores.values()), reference(beyond, truth)[:12], atol=1e-9)


def test_a_wrong_form_that_is_asked_for_is_warned_about(fake: Any) -> None:
    found, truth = fake
    ours = score_detections(found, truth, box_format="pixel_xyxy")
    assert ours.scores["AP"] < 0.1
    assert any("pixel_xywh 733 would" in said for said in ours.warnings)


def test_shares_of_images_without_a_size_are_refused(fake: Any, expected: np.ndarray) -> None:
    found, truth = fake
    unsized = {**truth, "images": [{"id": each["id"]} for each in truth["images"]]}
    with pytest.raises(RequestError, match="shares need the images' width and height"):
        score_detections(found, unsized, box_format="normalized_xywh")
    like(score_detections(found, unsized), expected)


def test_boxes_of_another_image_size_are_on_no_object_and_that_is_said(fake: Any) -> None:
    found, truth = fake
    given = [{**each, "bbox": [side * 9 + 3000 for side in each["bbox"]]} for each in found]
    ours = score_detections(given, truth)
    assert any("none of the best detections lies on an object" in said for said in ours.warnings)


def test_what_was_resolved_is_in_cocos_form(fake: Any) -> None:
    found, truth = fake
    expected = read_truth(truth)
    collected = Collector()
    sizes = {each["id"]: (each["height"], each["width"]) for each in truth["images"]}
    for each in formed(found, truth, "normalized_yxyx"):
        add(collected,
            each["image_id"], np.array([each["bbox"]]), np.array([each["score"]]),
            np.array([ORDERED.index(each["category_id"])]), sizes[each["image_id"]],
        )  # fmt: skip
    records = list(resolved(collected.detections(), expected))
    assert [each["category_id"] for each in records] == [each["category_id"] for each in found]
    np.testing.assert_allclose(
        [each["bbox"] for each in records], [each["bbox"] for each in found], atol=1e-9
    )
