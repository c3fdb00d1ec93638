"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497) on ResNet-50, its second stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies import boxes, proposals, resnet_v1
from modelzoo_runner.backends.tensorflow.topologies.builder import (
    GraphDef,
    Layers,
    Tensor,
    positive,
)

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array

CROP = 14
"""Cells of a crop's side, which a max pool then halves."""
LOGITS_GAIN = 3.0
"""Spreads the random class scores, of 91 classes, as a trained detector's are: up to nearly 1."""


def faster_rcnn_resnet50(
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 90,
    shorter_side: int = 600,
    longer_side: int = 1024,
    max_proposals: int = 300,
    detections: int = 300,
    score_threshold: float = 0.0,
) -> GraphDef:
    """Faster R-CNN with ResNet-50: `image_tensor` uint8 [1, -1, -1, 3] to the four `detection_...`.

    Everything is in the graph: resizing to 600 pixels on the shorter side or 1024 on the longer,
    the region proposals, a crop of 14x14 cells for each, the last block of the ResNet over it, and
    the suppression of overlaps for each of the 90 classes of COCO. Numbers and names are those of
    `faster_rcnn_resnet50_coco`.

    An image has exactly `max_proposals` proposals and `detections` detections with the thresholds
    of that configuration, whatever the weights, unless it gives fewer boxes that don't overlap: an
    image of 600x600 has 17,328 anchors. One image at a time, as in the published graph.

    Args:
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: of objects, without the background.
        shorter_side: in pixels, to which the graph resizes ...
        longer_side: ... unless the longer one would exceed this.
        max_proposals: how many crops go through the second stage.
        detections: the most per image; 100 of a class at most.
        score_threshold: what a score must exceed; raise it for fewer detections.

    Raises:
        RequestError: for a number that isn't positive, or weights that don't fit.
    """
    import tensorflow as tf

    positive(
        classes=classes,
        shorter_side=shorter_side,
        longer_side=longer_side,
        max_proposals=max_proposals,
        detections=detections,
    )
    with tf.Graph().as_default() as graph:
        layers = resnet_v1.conventions(seed, weights)
        image = proposals.preprocess(shorter_side, longer_side)
        x = proposals.features(layers, image, 50)
        found = proposals.propose(layers, image, x, max_proposals)
        encodings, logits = _look_at(layers, _crops(x, found), classes)
        detected, scores = proposals.second_stage(found, encodings, logits)
        boxes.outputs(detected, scores, detections=detections, score_threshold=score_threshold)
    return graph.as_graph_def()


def _crops(x: Tensor, found: Tensor) -> Tensor:
    """Each box's part of the features `x`, [boxes, 7, 7, channels]."""
    import tensorflow as tf

    crops = tf.raw_ops.CropAndResize(
        image=x,
        boxes=found,
        box_ind=tf.zeros(found.shape[0], tf.int32),
        crop_size=tf.constant([CROP, CROP]),
        name="CropAndResize",
    )
    return tf.raw_ops.MaxPool(
        input=crops,
        ksize=[1, 2, 2, 1],
        strides=[1, 2, 2, 1],
        padding="SAME",
        name="MaxPool2D/MaxPool",
    )


def _look_at(layers: Layers, crops: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The encoded boxes [boxes, classes, 4] and the logits [boxes, 1 + classes]."""
    import tensorflow as tf

    x = resnet_v1.block(layers.within("SecondStageFeatureExtractor/resnet_v1_50"), crops, 4, 3)
    predictor = layers.within("SecondStageBoxPredictor")
    x = tf.reduce_mean(x, axis=[1, 2], name="SecondStageBoxPredictor/AvgPool")
    encodings = predictor.dense(x, "BoxEncodingPredictor", classes * 4)
    logits = predictor.dense(x, "ClassPredictor", classes + 1, gain=LOGITS_GAIN)
    return tf.reshape(encodings, [-1, classes, 4]), logits
