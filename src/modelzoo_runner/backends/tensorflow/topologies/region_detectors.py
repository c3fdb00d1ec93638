"""Faster R-CNN on ResNet-50 and R-FCN on ResNet-101, with the Object Detection API's numbers.

Ren et al. 2015 (arXiv:1506.01497) and Dai et al. 2016 (arXiv:1605.06409); numbers and names are
those of `faster_rcnn_resnet50_coco` and `rfcn_resnet101_coco`. The first stage turns an image into
features and proposed boxes; the second scores each proposal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies import boxes, resnet_v1
from modelzoo_runner.backends.tensorflow.topologies.builder import (
    GraphDef,
    Layers,
    Tensor,
    positive,
)

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
"""The overlap from which the lower-scored of two proposals is dropped."""
LOGITS_GAIN = {50: 3.0, 101: 6.0}
"""Spreads the random class scores, of 91 classes, as a trained detector's are: up to nearly 1."""
CROP = 14
"""Cells of a crop's side in Faster R-CNN, which a max pool then halves."""
REDUCED_CHANNELS = 1024
BINS = 3
"""R-FCN cuts a proposal's height and width into this many bins each, with maps of their own."""
BIN_CROP = 6
"""Samples along each side of a bin: crops of 18x18 in all."""


def region_detector(
    depth: int,
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
    """`image_tensor` uint8 [1, -1, -1, 3] to the four `detection_...`, one image at a time.

    Everything is in the graph: resizing to 600 pixels on the shorter side or 1024 on the longer,
    the region proposals, the second stage, and the suppression of overlaps for each of the 90
    classes of COCO. Faster R-CNN crops 14x14 cells for each proposal and runs the last block of the
    ResNet over each crop. R-FCN runs that block over the whole image, and each proposal's scores
    and boxes are averages over 3x3 bins, each bin with maps of its own.

    An image has exactly `max_proposals` proposals and `detections` detections with the thresholds
    of that configuration, whatever the weights, unless it gives fewer boxes that don't overlap: an
    image of 600x600 has 17,328 anchors.

    Args:
        depth: of the ResNet: 50 for Faster R-CNN, 101 for R-FCN.
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: of objects, without the background.
        shorter_side: in pixels, to which the graph resizes ...
        longer_side: ... unless the longer one would exceed this.
        max_proposals: how many proposals go through the second stage.
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
        image = preprocess(shorter_side, longer_side)
        name = f"resnet_v1_{depth}"
        first = layers.within(f"FirstStageFeatureExtractor/{name}").again(name)
        # Up to the third block: [1, height / 16, width / 16, 1024].
        x = resnet_v1.features(first, image, resnet_v1.UNITS[depth][:3], halvings=2)
        found = propose(layers, image, x, max_proposals)
        last = layers.within(f"SecondStageFeatureExtractor/{name}")
        predictor = layers.within("SecondStageBoxPredictor")
        predict = {50: _predict_by_crops, 101: _predict_by_maps}[depth]
        encodings, logits = predict(last, predictor, x, found, classes)
        detected, scores = second_stage(found, encodings, logits)
        boxes.outputs(detected, scores, detections=detections, score_threshold=score_threshold)
    return graph.as_graph_def()


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


def propose(layers: Layers, image: Tensor, x: Tensor, count: int) -> Tensor:
    """Boxes [count, 4] proposed by the first stage, best first, padded with zeros to `count`.

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
        found = tf.clip_by_value(tf.gather(found, kept), 0.0, 1.0)
        found = tf.pad(found, [[0, count - tf.shape(kept)[0]], [0, 0]])
        return tf.ensure_shape(found, [count, 4], name="proposals")


def second_stage(proposals: Tensor, encodings: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes [1, count, classes, 4] and scores [1, count, classes] of each class.

    A proposal without an area, as the padding has none, scores 0.

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

    half = tf.constant(cell() / 2, name="half")
    y, x = tf.meshgrid(tf.range(grid[0]), tf.range(grid[1]), indexing="ij")
    centers = tf.cast(tf.reshape(tf.stack([y, x], axis=-1) * STRIDE, [-1, 1, 2]), tf.float32)
    corners = tf.concat([centers - half, centers + half], axis=-1)
    sides = tf.tile(tf.cast(image, tf.float32), [2])
    return boxes.as_anchors(tf.clip_by_value(tf.reshape(corners / sides, [-1, 4]), 0.0, 1.0))


def _predict_by_crops(
    last: Layers, predictor: Layers, x: Tensor, found: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """The encoded boxes [boxes, classes, 4] and the logits [boxes, 1 + classes] of Faster R-CNN."""
    import tensorflow as tf

    x = resnet_v1.block(last, _crops(x, found), 4, 3)
    x = tf.reduce_mean(x, axis=[1, 2], name="SecondStageBoxPredictor/AvgPool")
    encodings = predictor.dense(x, "BoxEncodingPredictor", classes * 4)
    logits = predictor.dense(x, "ClassPredictor", classes + 1, gain=LOGITS_GAIN[50])
    return tf.reshape(encodings, [-1, classes, 4]), logits


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


def _predict_by_maps(
    last: Layers, predictor: Layers, x: Tensor, found: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """The same of R-FCN."""
    import tensorflow as tf

    x = predictor.conv(
        resnet_v1.block(last, x, 4, 3), "reduce_depth", REDUCED_CHANNELS, norm="bias"
    )
    pooled = []
    for name, depth, gain in (
        ("refined_locations", classes * 4, 1.0),
        ("class_predictions", classes + 1, LOGITS_GAIN[101]),
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
