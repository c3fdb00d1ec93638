"""The first stage of Faster R-CNN and R-FCN: an image becomes features and proposed boxes.

Ren et al. 2015 (arXiv:1506.01497), with the numbers and names that the Object Detection API's
configurations for COCO have (`faster_rcnn_resnet50_coco`, `rfcn_resnet101_coco`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies import boxes, resnet_v1
from modelzoo_runner.backends.tensorflow.topologies.builder import Layers, Tensor, constant

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array

CHANNEL_MEANS = (123.68, 116.779, 103.939)
STRIDE = 16
"""Pixels of the resized image for one cell of the features, and between anchors."""
BASE_SIZE = 256.0
"""Pixels of an anchor of scale 1."""
SCALES = (0.25, 0.5, 1.0, 2.0)
ASPECT_RATIOS = (0.5, 1.0, 2.0)
RPN_CHANNELS = 512
BOX_GAIN = 0.3
"""Brings the random boxes' encodings to order one, as a trained network's are: anchors that have
moved a little, none of them out of the image."""
IOU = 0.7
"""The overlap from which the less promising of two proposals goes."""


def preprocess(shorter_side: int, longer_side: int) -> Tensor:
    """From `image_tensor` uint8 [1, -1, -1, 3]: resized, the mean of each channel subtracted.

    The shorter side becomes `shorter_side`, unless the longer one would exceed `longer_side`.
    """
    import tensorflow as tf

    image = boxes.image_tensor(1)
    with tf.name_scope("Preprocessor"):
        sides = tf.cast(tf.shape(image)[1:3], tf.float32)
        scale = tf.minimum(shorter_side / tf.reduce_min(sides), longer_side / tf.reduce_max(sides))
        size = tf.cast(tf.maximum(tf.round(sides * scale), 1.0), tf.int32)
        x = tf.raw_ops.ResizeBilinear(images=image, size=size, name="ResizeToRange/ResizeBilinear")
        return tf.subtract(x, tf.constant(CHANNEL_MEANS), name="sub")


def features(layers: Layers, image: Tensor, depth: int) -> Tensor:
    """A ResNet of `depth` layers up to its third block: [1, height / 16, width / 16, 1024]."""
    name = f"resnet_v1_{depth}"
    layers = layers.within(f"FirstStageFeatureExtractor/{name}").again(name)
    return resnet_v1.features(layers, image, resnet_v1.UNITS[depth][:3], halvings=2)


def propose(layers: Layers, image: Tensor, x: Tensor, count: int) -> Tensor:
    """Boxes [count, 4] worth a look, best first; where there are fewer, zeros fill up.

    A 3x3 convolution over the features `x` of the preprocessed `image`, then a box and an
    objectness for each of 12 anchors a cell. All of them go into the suppression of overlaps: of
    the thousands of a real image, or of random weights, more than `count` are left after it.
    """
    import tensorflow as tf

    each = len(SCALES) * len(ASPECT_RATIOS)
    x = dataclasses.replace(layers, activation="Relu6").conv(
        x, "Conv", RPN_CHANNELS, 3, norm="bias"
    )
    predictor = layers.within("FirstStageBoxPredictor")
    encodings = predictor.conv(
        x, "BoxEncodingPredictor", each * 4, norm="bias", activate=False, gain=BOX_GAIN
    )
    logits = predictor.conv(x, "ClassPredictor", each * 2, norm="bias", activate=False)
    with tf.name_scope("GridAnchorGenerator"):
        anchors = _anchors(tf.shape(x)[1:3], tf.shape(image)[1:3])
    with tf.name_scope("FirstStagePostprocessor"):
        found = boxes.decode(tf.reshape(encodings, [-1, 4]), anchors)
        objectness = tf.nn.softmax(tf.reshape(logits, [-1, 2]))[:, 1]
        kept = tf.raw_ops.NonMaxSuppressionV3(
            boxes=found,
            scores=objectness,
            max_output_size=count,
            iou_threshold=IOU,
            score_threshold=0.0,
            name="NonMaxSuppression",
        )
        found = boxes.clip(tf.gather(found, kept))
        found = tf.pad(found, [[0, count - tf.shape(kept)[0]], [0, 0]])
        return tf.ensure_shape(found, [count, 4], name="proposals")


def second_stage(proposals: Tensor, encodings: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes [1, count, classes, 4] and scores [1, count, classes] of each class.

    A proposal without an area, as those that fill up are, scores nothing.

    Args:
        proposals: boxes [count, 4].
        encodings: of each class's box relative to its proposal, [count, classes, 4].
        logits: of background and classes, [count, 1 + classes].
    """
    import tensorflow as tf

    with tf.name_scope("SecondStagePostprocessor"):
        anchors = boxes.as_anchors(proposals)
        found = boxes.decode(encodings, anchors[:, None])
        real = tf.cast(tf.reduce_min(anchors[:, 2:], axis=1) > 0.0, tf.float32)
        scores = tf.nn.softmax(logits, name="convert_scores")[:, 1:] * real[:, None]
        return found[None], scores[None]


def cell() -> Array:
    """Height and width in pixels of the anchors in a cell: [12, 2], ratio by ratio."""
    import numpy as np

    shapes = [
        (BASE_SIZE * scale / ratio**0.5, BASE_SIZE * scale * ratio**0.5)
        for ratio in ASPECT_RATIOS
        for scale in SCALES
    ]
    return np.array(shapes, np.float32)


def _anchors(grid: Tensor, image: Tensor) -> Tensor:
    """The anchors on a `grid` of (height, width) cells, cut at the borders of `image`: [-1, 4]."""
    import tensorflow as tf

    half = constant(cell() / 2, "half")
    y, x = tf.meshgrid(tf.range(grid[0]), tf.range(grid[1]), indexing="ij")
    centers = tf.cast(tf.reshape(tf.stack([y, x], axis=-1) * STRIDE, [-1, 1, 2]), tf.float32)
    corners = tf.concat([centers - half, centers + half], axis=-1)
    sides = tf.tile(tf.cast(image, tf.float32), [2])
    return boxes.as_anchors(boxes.clip(tf.reshape(corners / sides, [-1, 4])))
