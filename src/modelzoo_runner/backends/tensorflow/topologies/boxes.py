"""Boxes of the detectors: decoding against anchors, suppression of overlaps, outputs.

A box is (ymin, xmin, ymax, xmax), an anchor (ycenter, xcenter, height, width), both as fractions of
the image's sides: decoding and overlap come out the same as in pixels.
"""

from __future__ import annotations

from modelzoo_runner.backends.tensorflow.topologies.builder import Tensor

CENTER_SCALE = 10.0
SIZE_SCALE = 5.0
"""The `faster_rcnn_box_coder` of the Object Detection API's configurations."""
PER_CLASS = 100
"""The most detections that are kept of one class, in all of its configurations for COCO."""


def image_tensor(batch: int | None) -> Tensor:
    """The Placeholder `image_tensor`, uint8 [batch, height, width, 3], turned into float32."""
    import tensorflow as tf

    shape = [batch, None, None, 3]
    image = tf.raw_ops.Placeholder(dtype=tf.uint8, shape=shape, name="image_tensor")
    return tf.raw_ops.Cast(x=image, DstT=tf.float32, name="ToFloat")


def decode(encodings: Tensor, anchors: Tensor) -> Tensor:
    """The boxes that `encodings` [..., 4] say, each relative to its anchor of `anchors` [..., 4].

    Ren et al. 2015 (arXiv:1506.01497), section 3.1.2, with the scales above.
    """
    import tensorflow as tf

    y, x, height, width = tf.unstack(encodings, axis=-1)
    anchor_y, anchor_x, anchor_height, anchor_width = tf.unstack(anchors, axis=-1)
    y = y / CENTER_SCALE * anchor_height + anchor_y
    x = x / CENTER_SCALE * anchor_width + anchor_x
    half_height = tf.exp(height / SIZE_SCALE) * anchor_height / 2.0
    half_width = tf.exp(width / SIZE_SCALE) * anchor_width / 2.0
    corners = [y - half_height, x - half_width, y + half_height, x + half_width]
    return tf.stack(corners, axis=-1)


def as_anchors(boxes: Tensor) -> Tensor:
    """Boxes in the form of anchors."""
    import tensorflow as tf

    top, left, bottom, right = tf.unstack(boxes, axis=-1)
    anchors = [(top + bottom) / 2.0, (left + right) / 2.0, bottom - top, right - left]
    return tf.stack(anchors, axis=-1)


def outputs(
    boxes: Tensor, scores: Tensor, *, detections: int, score_threshold: float, iou: float = 0.6
) -> None:
    """Suppresses what overlaps within a class and adds the four outputs of a detector.

    `num_detections` [n], `detection_boxes` [n, detections, 4], `detection_scores` and
    `detection_classes` [n, detections], all float32. Classes count from 1. Beyond `num_detections`
    there is nothing to be read.

    Args:
        boxes: [n, anchors, classes or 1, 4].
        scores: [n, anchors, classes].
        detections: the most that are kept of an image.
        score_threshold: what a score must exceed.
        iou: the overlap from which the lower score of two goes.
    """
    import tensorflow as tf

    kept = tf.raw_ops.CombinedNonMaxSuppression(
        boxes=boxes,
        scores=scores,
        max_output_size_per_class=tf.constant(min(PER_CLASS, detections)),
        max_total_size=tf.constant(detections),
        iou_threshold=tf.constant(iou),
        score_threshold=tf.constant(score_threshold),
        clip_boxes=True,
        name="Postprocessor/CombinedNonMaxSuppression",
    )
    tf.raw_ops.Identity(input=kept.nmsed_boxes, name="detection_boxes")
    tf.raw_ops.Identity(input=kept.nmsed_scores, name="detection_scores")
    tf.raw_ops.AddV2(
        x=kept.nmsed_classes, y=tf.constant(1.0, name="add/y"), name="detection_classes"
    )
    tf.raw_ops.Cast(x=kept.valid_detections, DstT=tf.float32, name="num_detections")
