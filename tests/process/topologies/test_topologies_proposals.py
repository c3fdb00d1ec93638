from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.topologies import region_detectors as proposals
from modelzoo_runner.backends.tensorflow.topologies import weights
from modelzoo_runner.backends.tensorflow.topologies.builder import Layers

POST = "FirstStagePostprocessor"


@pytest.fixture(scope="module")
def resized():
    """A function from an image to the preprocessed one, at a tenth of the real size."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        out = proposals.preprocess(60, 102)
    session = tf.compat.v1.Session(graph=graph)
    yield session.make_callable(out, ["image_tensor:0"])
    session.close()


@given(height=st.integers(1, 300), width=st.integers(1, 300))
@settings(max_examples=50)
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


def proposed(run, *, count, rows, columns):
    """What becomes of random features on a grid of that size, and on the way."""
    import tensorflow as tf

    layers = Layers(variables=weights.variables(0))
    x = np.random.default_rng(0).normal(0, 1, (1, rows, columns, 16)).clip(0)
    with tf.Graph().as_default() as graph:
        features = tf.raw_ops.Placeholder(dtype=tf.float32, shape=[1, None, None, 16], name="x")
        image = tf.zeros([1, rows * 16, columns * 16, 3])
        proposals.propose(layers, image, features, count)
    names = {
        "anchors": "GridAnchorGenerator/stack_1",
        "boxes": f"{POST}/stack",
        "objectness": f"{POST}/Softmax",
        "proposals": f"{POST}/proposals",
    }
    fetches = [f"{name}:0" for name in names.values()]
    return dict(zip(names, run(graph.as_graph_def(), {"x:0": x}, fetches), strict=True))


def test_anchors_stand_on_the_grid_and_end_at_the_borders(run):
    anchors = proposed(run, count=20, rows=6, columns=8)["anchors"]
    assert anchors[:, 2:].min() > 0
    pixels = anchors.reshape(6, 8, 12, 4) * [96, 128, 96, 128]
    for row, column in np.ndindex(6, 8):
        center = np.array([row * 16, column * 16])
        low = np.maximum(center - proposals.cell() / 2, 0)
        high = np.minimum(center + proposals.cell() / 2, [96, 128])
        expected = np.concatenate([(low + high) / 2, high - low], axis=1)
        np.testing.assert_allclose(pixels[row, column], expected, rtol=1e-4, atol=1e-3)


def test_proposals_are_what_a_plain_suppression_keeps(run):
    found = proposed(run, count=20, rows=6, columns=8)
    boxes, scores = found["boxes"].astype(np.float64), found["objectness"][:, 1]
    assert boxes.shape == (6 * 8 * 12, 4)
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        if all(_overlap(boxes[index], boxes[other]) <= 0.7 for other in kept):
            kept.append(index)
    best = boxes[kept[:20]].clip(0, 1)
    np.testing.assert_allclose(found["proposals"], best, rtol=1e-5, atol=1e-6)


def _overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = np.prod(np.maximum(sides, 0))
    return both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both)


def test_zeros_fill_up_when_there_are_too_few(run):
    # 2x2 cells with 12 anchors each.
    found = proposed(run, count=60, rows=2, columns=2)["proposals"]
    assert found.shape == (60, 4)
    assert found[0].any()
    assert (found[48:] == 0).all()


def test_what_fills_up_scores_nothing():
    found = np.array([[0.2, 0.2, 0.6, 0.8], [0.3, 0.3, 0.3, 0.9], [0, 0, 0, 0]], np.float32)
    encodings = np.zeros((3, 2, 4), np.float32)
    logits = np.zeros((3, 1 + 2), np.float32)
    boxes, scores = (each.numpy() for each in proposals.second_stage(found, encodings, logits))
    np.testing.assert_allclose(boxes, np.stack([found, found], axis=1)[None], atol=1e-6)
    np.testing.assert_allclose(scores[0], [[1 / 3, 1 / 3], [0, 0], [0, 0]], rtol=1e-6)
