"""R-FCN (Dai et al. 2016, arXiv:1605.06409) on ResNet-101, its second stage."""

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

REDUCED_CHANNELS = 1024
BINS = 3
"""A proposal's height and width are cut into this many bins each, with score maps of their own."""
BIN_CROP = 6
"""Samples along each side of a bin: crops of 18x18 in all."""
LOGITS_GAIN = 6.0
"""Spreads the random class scores, of 91 classes, as a trained detector's are: up to nearly 1."""


def rfcn_resnet101(
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
    """R-FCN with ResNet-101: `image_tensor` uint8 [1, -1, -1, 3] to the four `detection_...`.

    As `faster_rcnn_resnet50` up to the proposals and from the scores on, with its arguments, its
    errors and its numbers of proposals and detections. In between, the last block of the ResNet
    runs over the whole image, and each proposal's scores and boxes are averages over 3x3 bins, each
    bin with maps of its own. Numbers and names are those of `rfcn_resnet101_coco`.
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
        x = proposals.features(layers, image, 101)
        found = proposals.propose(layers, image, x, max_proposals)
        encodings, logits = _look_at(layers, x, found, classes)
        detected, scores = proposals.second_stage(found, encodings, logits)
        boxes.outputs(detected, scores, detections=detections, score_threshold=score_threshold)
    return graph.as_graph_def()


def _look_at(layers: Layers, x: Tensor, found: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The encoded boxes [boxes, classes, 4] and the logits [boxes, 1 + classes]."""
    import tensorflow as tf

    x = resnet_v1.block(layers.within("SecondStageFeatureExtractor/resnet_v1_101"), x, 4, 3)
    predictor = layers.within("SecondStageBoxPredictor")
    x = predictor.conv(x, "reduce_depth", REDUCED_CHANNELS, norm="bias")
    pooled = []
    for name, depth, gain in (
        ("refined_locations", classes * 4, 1.0),
        ("class_predictions", classes + 1, LOGITS_GAIN),
    ):
        maps = predictor.conv(x, name, BINS * BINS * depth, norm="bias", activate=False, gain=gain)
        with tf.name_scope(f"SecondStageBoxPredictor/{name}_pooling"):
            pooled.append(position_sensitive_pool(maps, found))
    return tf.reshape(pooled[0], [-1, classes, 4]), pooled[1]


def position_sensitive_pool(maps: Tensor, found: Tensor) -> Tensor:
    """The mean over a box's bins of each bin's mean over its own maps: [boxes, channels / bins].

    Args:
        maps: [1, height, width, channels]; the first part of the channels is the top left bin's,
            then row by row.
        found: boxes [boxes, 4].
    """
    import tensorflow as tf

    top, left, bottom, right = tf.unstack(found, axis=-1)
    height, width = (bottom - top) / BINS, (right - left) / BINS
    bins = []
    for index, own in enumerate(tf.split(maps, BINS * BINS, axis=3)):
        row, column = divmod(index, BINS)
        corners = [
            top + row * height,
            left + column * width,
            top + (row + 1) * height,
            left + (column + 1) * width,
        ]
        crops = tf.raw_ops.CropAndResize(
            image=own,
            boxes=tf.stack(corners, axis=-1),
            box_ind=tf.zeros(found.shape[0], tf.int32),
            crop_size=tf.constant([BIN_CROP, BIN_CROP]),
        )
        bins.append(tf.reduce_mean(crops, axis=[1, 2]))
    return tf.add_n(bins) / float(BINS * BINS)
