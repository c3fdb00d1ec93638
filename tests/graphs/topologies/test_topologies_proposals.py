from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.graphs.topologies import proposals

POST = "FirstStagePostprocessor"


@pytest.fixture(scope="module")
def resized():
    """A function from an image to the preprocessed one, at a tenth of the real size."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        out = proposals.preprocess(60, 102)
    with tf.compat.v1.Session(graph=graph) as session:
        yield session.make_callable(out, ["image_tensor:0"])


@given(height=st.integers(1, 300), width=st.integers(1, 300))
@settings(deadline=None, max_examples=50)
def test_one_side_has_the_length_asked_for(resized, height, width):
    found = resized(np.zeros((1, height, width, 3), np.uint8))
    shorter, longer = sorted(found.shape[1:3])
    exact = 60 * max(height, width) / min(height, width)
    if exact <= 102:
        assert (shorter, longer) == (60, pytest.approx(exact, abs=0.51))
    else:
        assert longer == 102
        assert shorter == pytest.approx(
            max(102 * min(height, width) / max(height, width), 1), abs=0.51
        )
    assert (found.shape[1] >= found.shape[2]) == (height >= width) or shorter == longer


def test_the_means_are_subtracted(resized):
    found = resized(np.full((1, 60, 80, 3), 200, np.uint8))
    assert found.shape == (1, 60, 80, 3)
    np.testing.assert_allclose(found[0, 0, 0], [76.32, 83.221, 96.061], rtol=1e-5)


def test_a_cell_has_twelve_anchors():
    # The `grid_anchor_generator` of the configurations: an area of (256 * scale)² each.
    cell = proposals.cell()
    sides = [64, 128, 256, 512] * 3
    np.testing.assert_allclose(cell[:, 0] * cell[:, 1], np.square(sides), rtol=1e-6)
    np.testing.assert_allclose(cell[:, 1] / cell[:, 0], [0.5] * 4 + [1] * 4 + [2] * 4, rtol=1e-6)


SMALL = {"shorter_side": 96, "longer_side": 160, "classes": 4}


@pytest.fixture(scope="module")
def first_stage(built, run):
    image = np.random.default_rng(0).integers(0, 256, (1, 60, 80, 3), dtype=np.uint8)
    names = {
        "features": "FirstStageFeatureExtractor/resnet_v1_50/resnet_v1_50/"
        "block3/unit_6/bottleneck_v1/Relu",
        "anchors": "GridAnchorGenerator/stack_1",
        "boxes": f"{POST}/stack",
        "objectness": f"{POST}/Softmax",
        "proposals": f"{POST}/proposals",
    }
    graph_def = built("faster_rcnn_resnet50", max_proposals=20, detections=10, **SMALL)
    fetches = [f"{name}:0" for name in names.values()]
    return dict(zip(names, run(graph_def, {"image_tensor:0": image}, fetches), strict=True))


def test_features_are_at_a_sixteenth(first_stage):
    # 60x80 becomes 96x128.
    assert first_stage["features"].shape == (1, 6, 8, 1024)


def test_anchors_stand_on_the_grid_and_end_at_the_borders(first_stage):
    anchors = first_stage["anchors"].reshape(6, 8, 12, 4) * [96, 128, 96, 128]
    for row, column in np.ndindex(6, 8):
        center = np.array([row * 16, column * 16])
        low = np.maximum(center - proposals.cell() / 2, 0)
        high = np.minimum(center + proposals.cell() / 2, [96, 128])
        expected = np.concatenate([(low + high) / 2, high - low], axis=1)
        np.testing.assert_allclose(anchors[row, column], expected, rtol=1e-4, atol=1e-3)
    assert first_stage["anchors"][:, 2:].min() > 0


def test_proposals_are_what_a_plain_suppression_keeps(first_stage):
    boxes, scores = first_stage["boxes"].astype(np.float64), first_stage["objectness"][:, 1]
    assert boxes.shape == (6 * 8 * 12, 4)
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        if all(_overlap(boxes[index], boxes[other]) <= 0.7 for other in kept):
            kept.append(index)
    best = boxes[kept[:20]].clip(0, 1)
    np.testing.assert_allclose(first_stage["proposals"], best, rtol=1e-5)


def _overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = np.prod(np.maximum(sides, 0))
    return both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both)


def test_too_few_boxes_are_filled_up_and_never_detected(built, run):
    # 32x32 pixels are 2x2 cells with 12 anchors each.
    graph_def = built(
        "faster_rcnn_resnet50",
        shorter_side=32,
        longer_side=32,
        classes=4,
        max_proposals=60,
        detections=240,
    )
    image = np.random.default_rng(0).integers(0, 256, (1, 50, 50, 3), dtype=np.uint8)
    fetches = [f"{POST}/proposals:0", "num_detections:0", "detection_boxes:0"]
    found, count, boxes = run(graph_def, {"image_tensor:0": image}, fetches)
    real = (found[:, 2:] > found[:, :2]).all(1)
    assert 4 <= real.sum() <= 48
    assert (found[48:] == 0).all()
    assert 1 <= count[0] <= 4 * real.sum()
    detected = boxes[0, : int(count[0])]
    assert (detected[:, 2:] >= detected[:, :2]).all()
