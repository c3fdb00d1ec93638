from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import region_detectors

OUTPUTS = ("num_detections:0", "detection_boxes:0", "detection_scores:0", "detection_classes:0")
SMALL = {"shorter_side": 96, "longer_side": 160, "max_proposals": 20, "detections": 10}
RESNET_101 = 42_500_160
"""Parameters without the last layer: Keras's 44,549,160 less 2049 for each of 1000 classes."""


@pytest.fixture(scope="module")
def small(built):
    return built("rfcn_resnet101", **SMALL)


def test_parameters_are_those_of_its_layers(small, parameter_count):
    rpn = 9 * 1024 * 512 + 512 + (512 + 1) * 12 * (4 + 2)
    maps = (2048 + 1) * 1024 + (1024 + 1) * 9 * (4 * 90 + 91)
    assert parameter_count(small) == RESNET_101 + rpn + maps


def test_shapes_are_the_published_ones(small, shapes):
    found = shapes(small)
    predictor = "SecondStageBoxPredictor"
    assert found["image_tensor"] == (1, None, None, 3)
    assert found[f"{predictor}/reduce_depth/Relu"][3] == 1024
    assert found[f"{predictor}/refined_locations/BiasAdd"][3] == 3 * 3 * 90 * 4
    assert found[f"{predictor}/class_predictions/BiasAdd"][3] == 3 * 3 * 91
    assert found[f"{predictor}/class_predictions_pooling/CropAndResize"] == (20, 6, 6, 91)
    assert found["detection_boxes"] == (1, 10, 4)


@pytest.mark.parametrize("size", [(60, 80), (200, 110)])
def test_every_image_has_all_its_detections(small, run, size):
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    block = "SecondStageFeatureExtractor/resnet_v1_101/block4/unit_3/bottleneck_v1/Relu:0"
    count, boxes, scores, classes, features = run(
        small, {"image_tensor:0": image}, (*OUTPUTS, block)
    )
    # The last block runs over the whole image, at a sixteenth of 96x128 or of 160x88.
    assert features.shape == ((1, 6, 8, 2048) if size == (60, 80) else (1, 10, 6, 2048))
    assert count.tolist() == [10]
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert ((scores > 0) & (scores <= 1)).all()
    assert (np.diff(scores) <= 0).all()
    assert ((classes >= 1) & (classes <= 90)).all()


@pytest.mark.slow
def test_a_real_image_has_300_of_both(built, run):
    image = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3), dtype=np.uint8)
    fetches = (*OUTPUTS, "FirstStagePostprocessor/proposals:0")
    count, boxes, scores, classes, proposed = run(
        built("rfcn_resnet101"), {"image_tensor:0": image}, fetches
    )
    assert count.tolist() == [300]
    assert (proposed[:, 2:] > proposed[:, :2]).all()
    assert np.isfinite(boxes).all()
    assert 0.5 < scores.max() <= 1
    assert len(np.unique(classes)) > 10


def test_each_bin_is_pooled_from_its_own_maps():
    # A map that grows by 1 a row and by 100 a column has its mean over a region in the middle.
    height, width, channels = 12, 15, 2
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    slope = rows + 100 * columns
    start = 1e4 * np.arange(9 * channels)
    maps = (slope[..., None] + start).astype(np.float32)[None]
    found = np.array([[0.0, 0.0, 1.0, 1.0], [0.25, 0.1, 0.5, 0.9]], np.float32)
    pooled = region_detectors.position_sensitive_pool(maps, found).numpy()
    expected = np.zeros((2, channels))
    for box, (top, left, bottom, right) in enumerate(found):
        for row in range(3):
            for column in range(3):
                y = (top + (row + 0.5) / 3 * (bottom - top)) * (height - 1)
                x = (left + (column + 0.5) / 3 * (right - left)) * (width - 1)
                own = start.reshape(9, channels)[3 * row + column]
                expected[box] += (y + 100 * x + own) / 9
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)


def test_bins_are_taken_row_by_row():
    # Only the maps of the top right bin, the third, hold something, and only at the top right.
    maps = np.zeros((1, 9, 9, 9), np.float32)
    maps[0, :2, 7:, 2] = 9.0
    whole = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
    left = np.array([[0.0, 0.0, 1.0, 0.5]], np.float32)
    assert region_detectors.position_sensitive_pool(maps, whole).numpy() > 0.1
    assert region_detectors.position_sensitive_pool(maps, left).numpy() == 0
