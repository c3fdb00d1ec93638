"""The input and the output layers of the classifiers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from modelzoo_runner.backends.tensorflow.topologies.builder import Graph, Layers, Tensor, positive
from modelzoo_runner.errors import RequestError


@contextlib.contextmanager
def classifier(*, classes: int, image_size: int, least: int) -> Iterator[tuple[Graph, Tensor]]:
    """A graph, as the default one, and its Placeholder `input`: float32 [-1, size, size, 3].

    Raises:
        RequestError: there is no class, or `image_size` is below the `least` that the network can
            halve to its end.
    """
    import tensorflow as tf

    positive(classes=classes)
    if image_size < least:
        raise RequestError(f"image_size={image_size}: this topology needs at least {least} pixels")
    shape = [None, image_size, image_size, 3]
    with tf.Graph().as_default() as graph:
        yield graph, tf.raw_ops.Placeholder(dtype=tf.float32, shape=shape, name="input")


def softmax(logits: Tensor, name: str) -> Tensor:
    """Scores that add up to one, float32 [-1, classes]."""
    import tensorflow as tf

    return tf.raw_ops.Softmax(logits=logits, name=name)


def slim_predictions(logits: Tensor, name: str) -> Tensor:
    """The same by way of two Reshapes, as slim writes it; the result is `name`/Reshape_1."""
    import tensorflow as tf

    flat = tf.constant([-1, logits.shape[-1]], name=f"{name}/Reshape/shape")
    scores = tf.raw_ops.Softmax(
        logits=tf.raw_ops.Reshape(tensor=logits, shape=flat, name=f"{name}/Reshape"),
        name=f"{name}/Softmax",
    )
    shape = tf.raw_ops.Shape(input=logits, name=f"{name}/Shape")
    return tf.raw_ops.Reshape(tensor=scores, shape=shape, name=f"{name}/Reshape_1")


def conv_logits(layers: Layers, x: Tensor, classes: int, *, pool: str) -> Tensor:
    """Average over the image, a 1x1 convolution, the two sides of length 1 squeezed out."""
    import tensorflow as tf

    layers = layers.within("Logits")
    x = _average(layers, x, pool)
    x = layers.conv(x, "Conv2d_1c_1x1", classes, norm="bias", activate=False)
    return tf.raw_ops.Squeeze(input=x, axis=[1, 2], name=f"{layers.node_scope}SpatialSqueeze")


def dense_logits(layers: Layers, x: Tensor, classes: int, *, pool: str) -> Tensor:
    """Average over the image, flattened, a matrix product."""
    import tensorflow as tf

    layers = layers.within("Logits")
    x = _average(layers, x, pool)
    name = f"{layers.node_scope}PreLogitsFlatten"
    shape = tf.constant([-1, x.shape[-1]], name=f"{name}/shape")
    x = tf.raw_ops.Reshape(tensor=x, shape=shape, name=f"{name}/Reshape")
    return layers.dense(x, "Logits", classes)


def _average(layers: Layers, x: Tensor, name: str) -> Tensor:
    height, width = x.shape[1:3]
    return layers.pool(x, name, "AvgPool", (height, width), 1, "VALID")
