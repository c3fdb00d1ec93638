from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from modelzoo_runner.errors import RequestError
from modelzoo_runner.metrics.coco_detections import from_records
from modelzoo_runner.results.draw import color, draw_detections
from modelzoo_runner.values.coco_categories import NAMES

SIZE = (320, 240)
GREY = (128, 128, 128)


def picture() -> Image.Image:
    return Image.new("RGB", SIZE, GREY)


def dog(*bbox: float, score: float = 0.9, category: int = 18, **other: Any) -> dict[str, Any]:
    return {"category_id": category, "bbox": list(bbox), "score": score, **other}


def painted(image: Image.Image) -> set[tuple[int, int]]:
    """The pixels that differ from the background, as (x, y)."""
    rows, columns = (np.asarray(image) != GREY).any(axis=2).nonzero()
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def test_a_box_is_drawn_in_its_color_around_the_thing_and_not_in_it() -> None:
    original = picture()
    drawn = draw_detections(original, [dog(60, 90, 200, 100)])
    assert drawn.size == SIZE
    for x, y in ((60, 140), (260, 140), (160, 190)):
        assert drawn.getpixel((x, y)) == color(18)
    for x, y in ((160, 140), (50, 140), (160, 200)):
        assert drawn.getpixel((x, y)) == GREY
    assert painted(original) == set()


def test_the_label_stands_above_the_box() -> None:
    above = {
        (x, y) for x, y in painted(draw_detections(picture(), [dog(60, 90, 200, 100)])) if y < 88
    }
    assert above
    assert min(x for x, _ in above) == 60
    longer = {
        (x, y)
        for x, y in painted(draw_detections(picture(), [dog(60, 90, 200, 100, category=42)]))
        if y < 88
    }
    # "surfboard" is longer than "dog".
    assert max(x for x, _ in longer) > max(x for x, _ in above)


def test_the_surest_are_drawn_and_not_more_than_asked_for() -> None:
    found = [dog(20, 40, 50, 50, score=0.6), dog(120, 40, 50, 50, score=0.9), dog(220, 40, 50, 50)]
    only = painted(draw_detections(picture(), found, most=2))
    assert not any(x < 100 for x, _ in only)
    assert any(x > 200 for x, _ in only)
    unsure = [dog(20, 40, 50, 50, score=0.49), dog(20, 40, 50, 50, score=float("nan"))]
    assert painted(draw_detections(picture(), unsure)) == set()
    assert painted(draw_detections(picture(), unsure, min_score=0.4))
    assert painted(draw_detections(picture(), [])) == set()


def test_boxes_over_the_border_or_without_size_or_sense_do_no_harm() -> None:
    found = [
        dog(-50, -50, 1000, 1000),
        dog(400, 300, 20, 20),
        dog(10, 10, 0, 0),
        dog(100, 100, -30, -30),
        dog(float("nan"), 0, 10, 10),
    ]
    drawn = draw_detections(picture(), found)
    assert drawn.getpixel((0, 120)) == color(18)
    assert draw_detections(Image.new("RGB", (1, 1)), found).size == (1, 1)


def mask(left: int, right: int, *, width: int = SIZE[0]) -> dict[str, Any]:
    """A mask of whole columns, in run lengths down the columns."""
    height = SIZE[1]
    counts = [left * height, (right - left) * height, (width - right) * height]
    return {"size": [height, width], "counts": counts}


def test_a_mask_tints_its_pixels_and_no_others() -> None:
    found = [dog(60, 90, 200, 100, segmentation=mask(100, 150))]
    drawn = draw_detections(picture(), found)
    tinted: Any = drawn.getpixel((120, 20))
    assert tinted not in (GREY, color(18))
    for side, share, own in zip(tinted, GREY, color(18), strict=True):
        assert abs(side - (share + 0.45 * (own - share))) <= 1
    assert drawn.getpixel((99, 20)) == drawn.getpixel((150, 230)) == GREY
    assert drawn.getpixel((60, 140)) == color(18)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (
            mask(0, 9, width=99),
            "detections: a mask is of 99 x 240 pixels, and the image has 320 x 240",
        ),
        (
            {"size": [1, 1], "counts": [9]},
            "detections: {'size': [1, 1], 'counts': [9]} is no run-length encoded mask: invalid "
            "RLE: total counts 9 exceed h*w=1",
        ),
        ([[0, 0, 9, 9, 0, 9]], "detections: [[0, 0, 9, 9, 0, 9]] is no run-length encoded mask: "),
    ],
)
def test_a_mask_that_cannot_be_of_the_image_is_named(segmentation: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        draw_detections(picture(), [dog(60, 90, 200, 100, segmentation=segmentation)])
    assert str(caught.value).startswith(message)


def test_a_category_without_a_name_is_shown_by_its_number_and_names_may_be_given() -> None:
    unnamed = draw_detections(picture(), [dog(60, 90, 99, 99, category=12)])
    named = draw_detections(picture(), [dog(60, 90, 99, 99, category=12)], names={12: "gate"})
    assert painted(unnamed) > painted(named)


@pytest.mark.parametrize("form", ["array", "path", "text", "grey"])
def test_an_image_in_any_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "dog.png"
    picture().save(path)
    image = {
        "array": np.asarray(picture()),
        "path": path,
        "text": str(path),
        "grey": picture().convert("L"),
    }[form]
    expected = draw_detections(picture(), [dog(60, 90, 99, 99)])
    assert draw_detections(image, [dog(60, 90, 99, 99)]) == expected
    expected.save(tmp_path / "found.png")
    with Image.open(tmp_path / "found.png") as saved:
        assert saved.size == SIZE


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.png': can't be opened: .*No such file"):
        draw_detections(tmp_path / "none.png", [])
    with pytest.raises(RequestError) as caught:
        draw_detections(np.zeros((1, 4, 4, 3), np.float32), [])
    assert str(caught.value) == (
        "image: an array of float32 with shape [1, 4, 4, 3]; should be of uint8, [height, width, 3]"
    )


def test_detections_of_several_images_are_refused() -> None:
    found = [dog(60, 90, 99, 99, image_id=5), dog(60, 90, 99, 99, image_id=7)]
    with pytest.raises(RequestError, match=r"of 2 images \(5, 7, \.\.\.\)"):
        draw_detections(picture(), from_records(found))
    assert painted(draw_detections(picture(), from_records(found[:1])))


def test_a_label_stays_in_the_image() -> None:
    """In a box at the top edge it stands inside, at the right edge it is moved to the left."""
    drawn = painted(draw_detections(picture(), [dog(310, 0, 9, 200, category=42)]))
    assert min(x for x, _ in drawn) < 280
    assert max(x for x, _ in drawn) == 319


def test_neighboring_categories_look_different() -> None:
    colors = [np.array(color(category)) for category in NAMES]
    assert len({tuple(each) for each in colors}) == 80
    for one, next_one in pairwise(colors):
        assert np.abs(one - next_one).max() > 60
    assert all(each.max() > 200 for each in colors)


def test_it_is_shown_on_an_axis_that_is_given() -> None:
    axis = Figure().subplots()
    drawn = draw_detections(picture(), [dog(20, 30, 60, 40)], axis=axis)
    (shown,) = axis.get_images()
    assert shown.get_array().shape == (*drawn.size[::-1], 3) and not axis.axison
