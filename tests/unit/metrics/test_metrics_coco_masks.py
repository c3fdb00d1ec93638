from __future__ import annotations

import warnings
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from pycocotools import mask as reference

from modelzoo_runner.metrics.coco_masks import INSIDE, box, encoded, read

sides = st.integers(1, 40)
edges = st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2))


def moved(mask: np.ndarray, around: list[float], size: tuple[int, int]) -> np.ndarray:
    """The shares of a mask in the image, by the operation the Object Detection API uses for it."""
    import tensorflow as tf

    ymin, xmin, ymax, xmax = around
    height, width = ymax - ymin, xmax - xmin
    image = [-ymin / height, -xmin / width, (1 - ymin) / height, (1 - xmin) / width]
    crop = tf.image.crop_and_resize(mask[None, :, :, None], [image], [0], size)
    return np.asarray(crop[0, :, :, 0])


def pixels(mask: Any) -> np.ndarray:
    """The pixels of a mask as pycocotools has them."""
    text = mask["counts"]
    with warnings.catch_warnings():
        # It hands its memory to numpy as numpy 1 wanted it.
        warnings.simplefilter("ignore", DeprecationWarning)
        counts = text.encode() if isinstance(text, str) else text
        return np.asarray(reference.decode({**mask, "counts": counts}))


@given(st.integers(1, 20), st.integers(1, 20), edges, edges, sides, sides, st.integers(0, 9))
@settings(max_examples=150)
def test_masks_are_moved_as_the_object_detection_api_does(
    rows: int,
    columns: int,
    down: tuple[float, float],
    across: tuple[float, float],
    height: int,
    width: int,
    seed: int,
) -> None:
    (ymin, ymax), (xmin, xmax) = sorted(down), sorted(across)
    if ymax - ymin < 0.01 or xmax - xmin < 0.01:
        return
    mask = np.random.default_rng(seed).random((rows, columns), np.float32)
    around = [ymin, xmin, ymax, xmax]

    (found,) = encoded(mask[None], np.array([around]), (height, width))

    expected = moved(mask, around, (height, width))
    # At the border of a mask and at the threshold single precision decides otherwise.
    clear = np.abs(expected - INSIDE) > 1e-3
    for length, low, high, axis in ((height, ymin, ymax, 0), (width, xmin, xmax, 1)):
        place = np.linspace(0, 1, length) if length > 1 else np.array([0.5])
        near = np.minimum(np.abs(place - low), np.abs(place - high)) < 1e-4
        clear &= ~near[:, None] if axis == 0 else ~near[None, :]
    np.testing.assert_array_equal(pixels(found)[clear], (expected > INSIDE)[clear])


@pytest.mark.parametrize("around", [[0.5, 0.2, 0.5, 0.8], [0.6, 0.2, 0.4, 0.8]])
def test_a_box_without_height_has_an_empty_mask(around: list[float]) -> None:
    (found,) = encoded(np.ones((1, 5, 5)), np.array([around]), (6, 7))
    assert not pixels(found).any()


def test_no_masks() -> None:
    assert encoded(np.ones((0, 5, 5)), np.ones((0, 4)), (6, 7)) == ()


POLYGON = [[1.0, 1.0, 5.0, 1.0, 5.0, 4.0, 1.0, 4.0], [6.0, 0.0, 7.0, 0.0, 7.0, 2.0, 6.0, 2.0]]
FORMS: list[Any] = [
    POLYGON,
    {"size": [6, 8], "counts": [7, 3, 38]},
    {"size": [6, 8], "counts": "73V1"},
    {"size": [6, 8], "counts": b"73V1"},
]


@pytest.mark.parametrize("form", FORMS, ids=["polygons", "counts", "text", "bytes"])
def test_a_mask_can_be_read_in_any_form(form: Any) -> None:
    found = read(form, (6, 8))
    expected = reference.frPyObjects(form, 6, 8) if isinstance(form, list) else form
    if isinstance(form, list):
        expected = reference.merge(expected)
    elif isinstance(form["counts"], list):
        expected = reference.frPyObjects(form, 6, 8)
    np.testing.assert_array_equal(pixels(found), pixels(expected))
    assert box(found) == reference.toBbox(found).tolist()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (None, "there is none"),
        ([], "there is none"),
        ({"size": [4, 8], "counts": [32]}, "it is 8 x 4 pixels, the image 8 x 6"),
        ({"size": [6, 8], "counts": [49]}, "{'size': [6, 8], 'counts': [49]}: invalid RLE: total "),
        ({"counts": [48]}, "{'counts': [48]}: RLE dict missing 'size'"),
        ([[1, 2, 3]], "[[1, 2, 3]]: "),
        ("a mask", "a mask: "),
    ],
)
def test_what_is_no_mask_is_refused_in_words(form: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(form, (6, 8))
    assert str(caught.value).startswith(message)
