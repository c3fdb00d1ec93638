"""Two graphs side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_made import exact_images, exact_weights, graph_of, quantized

from modelzoo_runner.errors import RequestError
from modelzoo_runner.int8.compare import Compared, compare

Tensor = Any

IMAGES = exact_images(np.random.default_rng(0), 3, 16, 16, 8)
ENDS: dict[str, Any] = {"input": "input:0", "outputs": {"scores": "output:0"}}


def build(image: Tensor, *, repeat: int = 1) -> Tensor:
    import tensorflow as tf

    filters = exact_weights(np.random.default_rng(1), 3, 3, 8, 8)
    for _ in range(repeat):
        image = tf.nn.relu(tf.nn.conv2d(image, filters, 1, "SAME"))
    return tf.reduce_mean(image, [1, 2])


def test_speed_and_agreement() -> None:
    fp32 = graph_of(build, IMAGES)
    found = compare(fp32, quantized(fp32, IMAGES), IMAGES, **ENDS, steps=5)
    assert (found.examples, found.steps) == (3, 5)
    assert found.fp32_seconds > 0 and found.int8_seconds > 0
    assert found.speedup == found.fp32_seconds / found.int8_seconds
    assert found.agreement["correlation"] > 0.999


def test_the_slower_graph_is_told_as_slower() -> None:
    slow, quick = (graph_of(lambda image, n=n: build(image, repeat=n), IMAGES) for n in (60, 1))
    assert compare(slow, quick, IMAGES, **ENDS, steps=5).speedup > 2
    assert compare(quick, slow, IMAGES, **ENDS, steps=5).speedup < 0.5


def test_speedup_is_of_the_medians() -> None:
    found = Compared(examples=1, steps=1, fp32_seconds=0.6, int8_seconds=0.2, agreement={})
    assert found.speedup == pytest.approx(3)


def test_a_batch_of_another_kind_is_refused() -> None:
    fp32 = graph_of(build, IMAGES)
    with pytest.raises(RequestError, match="the graph takes an array of float32, not an array of"):
        compare(fp32, fp32, IMAGES.astype(np.float64), **ENDS, steps=1)
