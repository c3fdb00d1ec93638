from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.topologies import boxes

fractions = st.floats(0, 1)
sizes = st.floats(0.01, 1)
anchor = st.tuples(fractions, fractions, sizes, sizes)


@given(anchor=anchor, target=anchor)
@settings(max_examples=50)
def test_decoding_undoes_the_published_encoding(anchor, target):
    # Ren et al. 2015, equation 2, with the Object Detection API's scales of 10 and 5.
    (y, x, height, width), (anchor_y, anchor_x, anchor_height, anchor_width) = target, anchor
    encoding = [
        10 * (y - anchor_y) / anchor_height,
        10 * (x - anchor_x) / anchor_width,
        5 * np.log(height / anchor_height),
        5 * np.log(width / anchor_width),
    ]
    decoded = boxes.decode(np.array([encoding], np.float32), np.array([anchor], np.float32))
    found = boxes.as_anchors(decoded).numpy()[0]
    np.testing.assert_allclose(found, target, rtol=1e-3, atol=1e-4)


def test_an_encoding_of_zeros_is_the_anchor():
    anchors = np.array([[0.5, 0.4, 0.2, 0.1]], np.float32)
    found = boxes.decode(np.zeros((3, 1, 4), np.float32), anchors)
    np.testing.assert_allclose(found[2], [[0.4, 0.35, 0.6, 0.45]], rtol=1e-6)


def test_overlaps_go_within_a_class_only(run):
    import tensorflow as tf

    same = [0.1, 0.1, 0.5, 0.5]
    nearly = [0.1, 0.1, 0.5, 0.49]
    apart = [0.6, 0.6, 1.2, 0.9]
    with tf.Graph().as_default() as graph:
        boxes.outputs(
            tf.constant([[[same], [nearly], [apart]]]),
            tf.constant([[[0.9, 0.1], [0.8, 0.7], [0.05, 0.6]]]),
            detections=5,
            score_threshold=0.1,
        )
    names = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
    count, found, scores, classes = run(graph.as_graph_def(), {}, [f"{name}:0" for name in names])
    # Of class 1 the second box goes, of class 2 the first; two scores aren't above 0.1.
    assert count.tolist() == [3]
    np.testing.assert_allclose(scores[0, :3], [0.9, 0.7, 0.6])
    assert classes[0, :3].tolist() == [1, 2, 2]
    clipped = [0.6, 0.6, 1.0, 0.9]
    np.testing.assert_allclose(found[0, :3], [same, nearly, clipped])
    assert all(each.dtype == np.float32 for each in (count, found, scores, classes))
    assert found.shape == (1, 5, 4)
