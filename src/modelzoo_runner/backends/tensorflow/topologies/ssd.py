"""SSD (Liu et al. 2015, arXiv:1512.02325) on MobileNet v1, in the Object Detection API's terms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.topologies import boxes, mobilenet_v1
from modelzoo_runner.backends.tensorflow.topologies.builder import (
    GraphDef,
    Layers,
    Tensor,
    positive,
)
from modelzoo_runner.backends.tensorflow.topologies.weights import variables

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array

EXTRA_CHANNELS = (512, 256, 256, 128)
"""Of the four feature maps that follow MobileNet's two."""
SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
"""Of the anchors on each of the six maps, as fractions of the image, and one beyond."""
ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)


def ssd_mobilenet_v1(
    *,
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    classes: int = 90,
    image_size: int = 300,
    depth_multiplier: float = 1.0,
    detections: int = 100,
    score_threshold: float = 1e-8,
) -> GraphDef:
    """SSD with MobileNet v1: `image_tensor` uint8 [-1, -1, -1, 3] to the four `detection_...`.

    The graph resizes to 300x300, brings pixels to -1..1, looks at 1917 anchors, decodes their boxes
    and suppresses overlaps for each of the 90 classes of COCO. Resizing, anchors, thresholds and
    names are those of `ssd_mobilenet_v1_coco`; overlaps go by CombinedNonMaxSuppression, as in the
    model zoo's later graphs. 6.8 million parameters, 1.2e9 multiply-adds per image.

    Every anchor passes the score threshold for every class, as in the published graph: an image
    has exactly `detections` detections, whatever the weights.

    Args:
        seed: of the random weights.
        weights: arrays by variable name to take instead.
        classes: of objects, without the background.
        image_size: to which the graph resizes.
        depth_multiplier: of MobileNet and the layers after it; 16 channels is the least.
        detections: the most per image; 100 of a class at most.
        score_threshold: what a score must exceed; raise it for fewer detections.

    Raises:
        RequestError: for a number that isn't positive, or weights that don't fit.
    """
    import tensorflow as tf

    positive(classes=classes, image_size=image_size, detections=detections)
    with tf.Graph().as_default() as graph:
        layers = Layers(variables=variables(seed, weights), activation="Relu6")
        x = _preprocess(boxes.image_tensor(None), image_size)
        maps = list(
            _feature_maps(layers.within("FeatureExtractor/MobilenetV1"), x, depth_multiplier)
        )
        encodings, logits = _predict(layers, maps, classes)
        with tf.name_scope("Postprocessor"):
            grids = [(each.shape[1], each.shape[2]) for each in maps]
            found = boxes.decode(encodings, tf.constant(anchors(grids), name="anchors"))
            scores = tf.sigmoid(logits, name="convert_scores")[:, :, 1:]
            found = tf.expand_dims(found, 2)
        boxes.outputs(found, scores, detections=detections, score_threshold=score_threshold)
    return graph.as_graph_def()


def anchors(grids: Sequence[tuple[int, int]]) -> Array:
    """The anchors on feature maps of these heights and widths, float32 [anchors, 4].

    Map by map, row by row, cell by cell; three in each cell of the first map, six on the others:
    the `ssd_anchor_generator` with `reduce_boxes_in_lowest_layer`.

    >>> len(anchors([(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]))
    1917
    """
    import numpy as np

    found = []
    for index, (rows, columns) in enumerate(grids):
        shapes = np.array(
            [(scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale, ratio in _cell(index)]
        )
        y, x = np.mgrid[:rows, :columns]
        centers = np.stack([(y + 0.5) / rows, (x + 0.5) / columns], axis=-1).reshape(-1, 1, 2)
        each = np.broadcast_arrays(centers, shapes)
        found.append(np.concatenate(each, axis=-1).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)


def _cell(index: int) -> list[tuple[float, float]]:
    """Scale and aspect ratio of each anchor in a cell of the map `index`."""
    scale, following = SCALES[index : index + 2]
    if index == 0:
        return [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
    return [*((scale, ratio) for ratio in ASPECT_RATIOS), (math.sqrt(scale * following), 1.0)]


def _preprocess(image: Tensor, size: int) -> Tensor:
    import tensorflow as tf

    with tf.name_scope("Preprocessor"):
        x = tf.raw_ops.ResizeBilinear(
            images=image, size=tf.constant([size, size]), name="ResizeImage/ResizeBilinear"
        )
        return tf.subtract(x * (2.0 / 255.0), 1.0, name="sub")


def _feature_maps(layers: Layers, x: Tensor, multiplier: float) -> Iterator[Tensor]:
    """Six maps, each of half the resolution: 19, 10, 5, 3, 2 and 1 pixels for an image of 300."""
    base = layers.again("MobilenetV1")
    maps = list(mobilenet_v1.features(base, x, multiplier, least_channels=16))
    yield maps[11]
    x = maps[13]
    yield x
    for index, channels in enumerate(EXTRA_CHANNELS, 2):
        depth = max(int(channels * multiplier), 16)
        name = f"Conv2d_13_pointwise_1_Conv2d_{index}_1x1_{depth // 2}"
        x = layers.conv(x, name, depth // 2)
        x = layers.conv(x, f"Conv2d_13_pointwise_2_Conv2d_{index}_3x3_s2_{depth}", depth, 3, 2)
        yield x


def _predict(layers: Layers, maps: Sequence[Tensor], classes: int) -> tuple[Tensor, Tensor]:
    """The encoded boxes [n, anchors, 4] and the logits [n, anchors, 1 + classes]."""
    import tensorflow as tf

    encodings, logits = [], []
    for index, x in enumerate(maps):
        predictor = layers.within(f"BoxPredictor_{index}")
        each = len(_cell(index))
        encoded = predictor.conv(x, "BoxEncodingPredictor", each * 4, norm="bias", activate=False)
        scored = predictor.conv(
            x, "ClassPredictor", each * (classes + 1), norm="bias", activate=False
        )
        count = each * x.shape[1] * x.shape[2]
        with tf.name_scope(f"BoxPredictor_{index}/"):
            encodings.append(tf.reshape(encoded, [-1, count, 4]))
            logits.append(tf.reshape(scored, [-1, count, classes + 1]))
    return tf.concat(encodings, axis=1), tf.concat(logits, axis=1)
