"""Both ends of a classifier: the image that goes in, the scores that come out."""

from __future__ import annotations

from modelzoo_runner.errors import RequestError
from modelzoo_runner.graphs.topologies.builder import Tensor


def image_input(size: int, *, least: int) -> Tensor:
    """The Placeholder `input`: float32 [-1, size, size, 3].

    Raises:
        RequestError: when `size` is below the `least` that the network can halve to its end.
    """
    import tensorflow as tf

    if size < least:
        raise RequestError(f"image_size={size}: this topology needs at least {least} pixels")
    return tf.raw_ops.Placeholder(dtype=tf.float32, shape=[None, size, size, 3], name="input")


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
