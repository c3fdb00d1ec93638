from __future__ import annotations

import pytest

from modelzoo_runner.backends.tensorflow.topologies import inception, weights
from modelzoo_runner.backends.tensorflow.topologies.builder import Layers


@pytest.mark.parametrize(
    ("text", "name", "kernel", "stride", "padding"),
    [
        ("0a:8", "Conv2d_0a_1x1", (1, 1), 1, "SAME"),
        ("0b:8:1x7", "Conv2d_0b_1x7", (1, 7), 1, "SAME"),
        (":8", "Conv2d_1x1", (1, 1), 1, "SAME"),
        ("2a:8:3v", "Conv2d_2a_3x3", (3, 3), 1, "VALID"),
        ("1a:8:3/", "Conv2d_1a_3x3", (3, 3), 2, "VALID"),
        ("Conv_1_0c_5x5=8:5", "Conv_1_0c_5x5", (5, 5), 1, "SAME"),
    ],
)
def test_notation_of_a_convolution(text, name, kernel, stride, padding):
    assert inception.convolution(text) == {
        "name": name,
        "channels": 8,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
    }


def test_what_is_not_in_the_notation_is_refused():
    with pytest.raises(ValueError, match="not a convolution"):
        inception.convolution("0a:8:3x")


def test_branches_lie_side_by_side_in_their_scopes():
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        layers = Layers(variables=weights.variables(0), gamma=False).within("Net").again("Net")
        x = tf.raw_ops.Placeholder(dtype=tf.float32, shape=[1, 8, 8, 3])
        out = inception.mixed(layers.within("Mixed"), x, "0a:4 | avg 0b:2+0c:3")
    assert out.name == "Net/Net/Mixed/concat:0"
    assert out.shape == (1, 8, 8, 9)
    names = {operation.name for operation in graph.get_operations()}
    assert "Net/Net/Mixed/Branch_0/Conv2d_0a_1x1/Conv2D" in names
    assert "Net/Mixed/Branch_0/Conv2d_0a_1x1/weights" in names
    assert "Net/Net/Mixed/Branch_1/AvgPool_0a_3x3/AvgPool" in names
    assert "Net/Mixed/Branch_1/Conv2d_0c_1x1/BatchNorm/gamma" not in names
