from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog, ssd
from modelzoo_runner.errors import RequestError

OUTPUTS = ("num_detections:0", "detection_boxes:0", "detection_scores:0", "detection_classes:0")
GRIDS = ((19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))


def test_there_are_1917_anchors():
    # Three in a cell of the first map, six in the others: 3 * 361 + 6 * (100 + 25 + 9 + 4 + 1).
    anchors = ssd.anchors(GRIDS)
    assert (anchors.shape, anchors.dtype) == ((1917, 4), np.float32)


def test_anchors_are_those_of_a_published_graph(samples):
    # It holds them as corners, cut to a few digits.
    import tensorflow as tf

    path = samples / "graphs" / "ssdlite_mobilenet_v2_coco_frozen_inference_graph.pb"
    published = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    (node,) = (node for node in published.node if node.name == "Postprocessor/ExpandDims")
    corners = tf.make_ndarray(node.attr["value"].tensor)[0]
    anchors = ssd.anchors(GRIDS)
    half = anchors[:, 2:] / 2
    ours = np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], axis=1)
    np.testing.assert_allclose(ours, corners, atol=1e-6)


def test_shapes_and_names_are_the_published_ones(built, shapes):
    found = shapes(built("ssd_mobilenet_v1"))
    base = "FeatureExtractor/MobilenetV1/"
    assert found["Preprocessor/sub"] == (None, 300, 300, 3)
    assert found[f"{base}MobilenetV1/Conv2d_11_pointwise/Relu6"] == (None, 19, 19, 512)
    assert found[f"{base}MobilenetV1/Conv2d_13_pointwise/Relu6"] == (None, 10, 10, 1024)
    for index, (side, channels) in enumerate(((5, 512), (3, 256), (2, 256), (1, 128)), 2):
        narrow = f"{base}Conv2d_13_pointwise_1_Conv2d_{index}_1x1_{channels // 2}/Relu6"
        wide = f"{base}Conv2d_13_pointwise_2_Conv2d_{index}_3x3_s2_{channels}/Relu6"
        assert found[narrow][3] == channels // 2
        assert found[wide] == (None, side, side, channels)
    assert found["Postprocessor/convert_scores"] == (None, 1917, 91)
    assert found["image_tensor"] == (None, None, None, 3)
    assert found["num_detections"] == (None,)
    assert found["detection_boxes"] == (None, 100, 4)
    assert found["detection_scores"] == found["detection_classes"] == (None, 100)


def test_parameters_are_the_published_ones(built, parameter_count):
    # Howard et al. 2017, table 13: 6.8 million for SSD 300 with MobileNet.
    assert parameter_count(built("ssd_mobilenet_v1")) == pytest.approx(6.8e6, rel=0.01)


def test_multiply_adds_are_the_published_ones(built, multiply_adds):
    # Howard et al. 2017, table 13: 1.2 billion for SSD 300 with MobileNet.
    found = multiply_adds(built("ssd_mobilenet_v1"), image_tensor=(1, 300, 300, 3))
    assert found == pytest.approx(1.2e9, rel=0.05)


@pytest.mark.parametrize("size", [(300, 300), (97, 210)])
def test_every_image_has_all_its_detections(built, run, size):
    image = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    count, boxes, scores, classes = run(
        built("ssd_mobilenet_v1"), {"image_tensor:0": image}, OUTPUTS
    )
    assert (count == 100).all()
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[..., 2:] >= boxes[..., :2]).all()
    assert ((scores > 0) & (scores < 1)).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert ((classes >= 1) & (classes <= 90)).all()
    assert len(np.unique(classes)) > 10
    assert (boxes[0] != boxes[1]).any()


def test_detections_are_a_parameter(run):
    graph_def = catalog.build(
        "ssd_mobilenet_v1", depth_multiplier=0.25, classes=2, detections=7, score_threshold=0.999
    )
    image = np.zeros((1, 60, 60, 3), np.uint8)
    count, boxes, *_ = run(graph_def, {"image_tensor:0": image}, OUTPUTS)
    assert count < 7
    assert boxes.shape == (1, 7, 4)


def test_same_detections_as_a_published_graph_with_its_weights(run, arrays, samples):
    import tensorflow as tf
    from PIL import Image

    published = tf.compat.v1.GraphDef.FromString(
        (samples / "graphs" / "ssd_mobilenet_v1_0.75_coco_frozen_inference_graph.pb").read_bytes()
    )
    drawn = catalog.build("ssd_mobilenet_v1", depth_multiplier=0.75)
    weights = _unfolded(arrays(published), arrays(drawn))
    ours = catalog.build("ssd_mobilenet_v1", depth_multiplier=0.75, weights=weights)
    path = min((samples / "coco" / "val2017_mini" / "images").glob("*.jpg"))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))[None]
    raw = ("concat_1:0", "concat:0")
    logits, encodings, *found = run(ours, {"image_tensor:0": pixels}, raw + OUTPUTS)
    raw = ("concat_1:0", "Squeeze:0")
    theirs, encoded, *expected = run(published, {"image_tensor:0": pixels}, raw + OUTPUTS)
    np.testing.assert_allclose(logits, theirs, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(encodings, encoded, rtol=1e-3, atol=2e-3)
    # That graph's anchors went through eight bits, so boxes are a hair off and a faint detection
    # may be suppressed in one and not in the other.
    sure = expected[2][0] > 0.3
    assert sure.any()
    np.testing.assert_allclose(found[1][0][sure], expected[1][0][sure], atol=0.02)
    np.testing.assert_allclose(found[2][0][sure], expected[2][0][sure], atol=1e-3)
    np.testing.assert_array_equal(found[3][0][sure], expected[3][0][sure])


def _unfolded(folded, drawn):
    """Weights of a graph whose batch norms became biases, as one with neutral batch norms."""
    double = "FeatureExtractor/MobilenetV1/MobilenetV1/"
    weights = {}
    for name, array in folded.items():
        name = name.replace(double, "FeatureExtractor/MobilenetV1/")
        if name in drawn:
            weights[name] = array
            continue
        norm = name.replace("/biases", "/BatchNorm")
        if f"{norm}/beta" in drawn:
            ones = np.ones_like(array)
            weights |= {
                f"{norm}/gamma": ones * np.sqrt(np.float32(1.001)),
                f"{norm}/beta": array,
                f"{norm}/moving_mean": 0 * ones,
                f"{norm}/moving_variance": ones,
            }
    return weights


@pytest.mark.parametrize("parameter", ["classes", "image_size", "detections"])
def test_numbers_are_positive(parameter):
    with pytest.raises(RequestError, match=f"{parameter}=0.*at least 1"):
        catalog.build("ssd_mobilenet_v1", **{parameter: 0})
