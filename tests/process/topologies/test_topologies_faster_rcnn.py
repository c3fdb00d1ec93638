from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.errors import RequestError

OUTPUTS = ("num_detections:0", "detection_boxes:0", "detection_scores:0", "detection_classes:0")
SMALL = {"shorter_side": 96, "longer_side": 160, "classes": 4}
RESNET_50 = 23_508_032
"""Parameters without the last layer: Keras's 25,557,032 less 2049 for each of 1000 classes."""


def test_parameters_are_those_of_its_layers(built, parameter_count):
    rpn = 9 * 1024 * 512 + 512 + (512 + 1) * 12 * (4 + 2)
    heads = (2048 + 1) * (4 * 90 + 91)
    graph_def = built("faster_rcnn_resnet50")
    assert parameter_count(graph_def) == RESNET_50 + rpn + heads


def test_shapes_are_the_published_ones(built, shapes):
    # As the configuration's numbers have it: 300 proposals, crops of 14x14 halved, 300 detections.
    found = shapes(built("faster_rcnn_resnet50"))
    assert found["image_tensor"] == (1, None, None, 3)
    assert found["FirstStagePostprocessor/proposals"] == (300, 4)
    assert found["CropAndResize"] == (300, 14, 14, 1024)
    block = "SecondStageFeatureExtractor/resnet_v1_50/block4/unit_3/bottleneck_v1/Relu"
    assert found[block] == (300, 7, 7, 2048)
    assert found["SecondStagePostprocessor/convert_scores"] == (300, 91)
    assert found["num_detections"] == (1,)
    assert found["detection_boxes"] == (1, 300, 4)
    assert found["detection_scores"] == found["detection_classes"] == (1, 300)


@pytest.mark.parametrize("size", [(60, 80), (200, 110)])
def test_every_image_has_all_its_detections(built, run, size):
    graph_def = built("faster_rcnn_resnet50", max_proposals=20, detections=10, **SMALL)
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    block3 = "resnet_v1_50/resnet_v1_50/block3/unit_6/bottleneck_v1/Relu:0"
    count, boxes, scores, classes, features = run(
        graph_def, {"image_tensor:0": image}, (*OUTPUTS, f"FirstStageFeatureExtractor/{block3}")
    )
    # At a sixteenth of 96x128 or of 160x88.
    assert features.shape == ((1, 6, 8, 1024) if size == (60, 80) else (1, 10, 6, 1024))
    assert count.tolist() == [10]
    assert boxes.shape == (1, 10, 4)
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert ((scores > 0) & (scores <= 1)).all()
    assert (np.diff(scores) <= 0).all()
    assert set(classes[0]) <= {1, 2, 3, 4}


@pytest.mark.slow
def test_a_real_image_has_300_of_both(built, run):
    image = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3), dtype=np.uint8)
    fetches = (*OUTPUTS, "FirstStagePostprocessor/proposals:0")
    count, boxes, scores, classes, proposed = run(
        built("faster_rcnn_resnet50"), {"image_tensor:0": image}, fetches
    )
    assert count.tolist() == [300]
    assert (proposed[:, 2:] > proposed[:, :2]).all()
    assert np.isfinite(boxes).all()
    assert 0.5 < scores.max() <= 1
    assert len(np.unique(classes)) > 10


def test_a_batch_is_one_image(built, run):
    graph_def = built("faster_rcnn_resnet50", max_proposals=20, detections=10, **SMALL)
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        run(graph_def, {"image_tensor:0": np.zeros((2, 60, 80, 3), np.uint8)}, OUTPUTS)


@pytest.mark.parametrize("topology", ["faster_rcnn_resnet50", "rfcn_resnet101"])
@pytest.mark.parametrize(
    "parameter", ["classes", "shorter_side", "longer_side", "max_proposals", "detections"]
)
def test_numbers_are_positive(topology, parameter):
    with pytest.raises(RequestError, match=f"{parameter}=0.*at least 1"):
        catalog.build(topology, **{parameter: 0})
