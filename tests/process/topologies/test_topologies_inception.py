from __future__ import annotations

import pytest

from modelzoo_runner.backends.tensorflow.topologies import inception


@pytest.mark.parametrize(
    ("label", "kernel", "name"),
    [("0a", 1, "Conv2d_0a_1x1"), ("0b", (1, 7), "Conv2d_0b_1x7"), ("", 1, "Conv2d_1x1")],
)
def test_a_name_says_the_kernel(label, kernel, name):
    assert inception.conv(label, 8, kernel).name == name


def test_a_step_that_halves_does_not_pad():
    assert inception.half("1a", 8) == inception.Conv("Conv2d_1a_3x3", 8, 3, 2, "VALID")
    assert inception.half_max("1a") == inception.Pool("MaxPool_1a_3x3", "MaxPool", 2, "VALID")


def test_branches_lie_side_by_side_in_their_scopes():
    import tensorflow as tf

    branches = (
        [inception.conv("0a", 4)],
        [inception.average(), inception.Fork((inception.conv("0b", 2), inception.conv("0c", 3)))],
    )
    with tf.Graph().as_default() as graph:
        _, base = inception.start("Net", 0, None)
        x = tf.raw_ops.Placeholder(dtype=tf.float32, shape=[1, 8, 8, 3])
        out = inception.mixed(base, x, "Mixed", branches)
    assert out.name == "Net/Net/Mixed/concat:0"
    assert out.shape == (1, 8, 8, 9)
    names = {operation.name for operation in graph.get_operations()}
    assert "Net/Net/Mixed/Branch_0/Conv2d_0a_1x1/Conv2D" in names
    assert "Net/Mixed/Branch_0/Conv2d_0a_1x1/weights" in names
    assert "Net/Net/Mixed/Branch_1/AvgPool_0a_3x3/AvgPool" in names
    assert "Net/Mixed/Branch_1/Conv2d_0c_1x1/BatchNorm/gamma" not in names
