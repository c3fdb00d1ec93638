"""Ranges and means over batches, beside numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from int8_made import graph_of

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.int8.analysis import analyze
from modelzoo_runner.int8.calibrate import Statistics, observe
from modelzoo_runner.int8.clipping import BINS
from modelzoo_runner.int8.find import find

Tensor = Any

FILTERS = np.ones((3, 3, 4, 5), np.float32)


def watched(build: Any, batches: list[Any], **how: Any) -> Statistics:
    graph_def = graph_of(build, batches[0])
    analysis = analyze(graph_def, input="input:0", outputs=["output:0"])
    layers = list(find(analysis).layers.values())
    return observe(analysis.graph_def, ["input"], layers, batches, input="input:0", **how)


def convolution(image: Tensor, **how: Any) -> Tensor:
    import tensorflow as tf

    return tf.nn.conv2d(image, FILTERS, **{"strides": 2, "padding": "SAME", "name": "conv", **how})


def some_batches(*sizes: int) -> list[Any]:
    rng = np.random.default_rng(3)
    return [rng.normal(1, 2, (size, 8, 6, 4)).astype("f4") for size in sizes]


def test_a_range_is_that_of_all_batches() -> None:
    batches = some_batches(3, 1, 4)
    found = watched(convolution, batches).ranges["input"]
    assert found.low == min(batch.min() for batch in batches)
    assert found.high == max(batch.max() for batch in batches)


def test_a_percentile_range_is_numpys_to_a_bin() -> None:
    batches = some_batches(1000, 1000)
    values = np.concatenate(batches).ravel()
    found = watched(convolution, batches, method="percentile").ranges["input"]
    width = float(values.max() - values.min()) / BINS
    assert found.low == pytest.approx(np.percentile(values, 0.005), abs=2 * width)
    assert found.high == pytest.approx(np.percentile(values, 99.995), abs=2 * width)


def test_entropy_cuts_an_outlier_off() -> None:
    batches = some_batches(40, 40)
    batches[1][0, 0, 0, 0] = 100.0
    assert watched(convolution, batches).ranges["input"].high == 100.0
    assert watched(convolution, batches, method="entropy").ranges["input"].high < 20.0


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_tensor_that_is_constant_has_a_range(method: str) -> None:
    found = watched(convolution, [np.full((2, 8, 6, 4), 3.0, "f4")], method=method).ranges["input"]
    assert found.low <= 3.0 <= found.high + 1e-5


@pytest.mark.parametrize(
    ("how", "pads"),
    [
        ({"padding": "SAME"}, ((0, 1), (0, 1))),
        ({"padding": "VALID"}, ((0, 0), (0, 0))),
        ({"padding": [[0, 0], [2, 1], [1, 0], [0, 0]]}, ((2, 1), (1, 0))),
    ],
)
def test_the_means_of_what_weights_are_multiplied_with(how: dict[str, Any], pads: Any) -> None:
    """Over every place of the window, one after the other, with the zeros around the image."""
    batches = some_batches(2, 3)
    found = watched(lambda image: convolution(image, **how), batches).means["conv"]
    expected = []
    for batch in batches:
        image = np.pad(batch, ((0, 0), *pads, (0, 0)))
        rows = range(0, image.shape[1] - 2, 2)
        columns = range(0, image.shape[2] - 2, 2)
        windows = [image[:, y : y + 3, x : x + 3] for y in rows for x in columns]
        expected.append(np.mean(windows, axis=(0, 1)))
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-5)


def test_the_means_at_a_matrix_product() -> None:
    import tensorflow as tf

    batches = [batch.reshape(len(batch), -1) for batch in some_batches(2, 2)]
    weights = np.ones((8 * 6 * 4, 3), np.float32)
    found = watched(lambda values: tf.matmul(values, weights, name="product"), batches)
    np.testing.assert_allclose(found.means["product"], np.concatenate(batches).mean(0), atol=1e-5)


def test_a_batch_in_which_there_was_nothing_counts_for_nothing() -> None:
    """As in a detector whose second stage got no boxes from one image."""
    some, none = some_batches(2)[0], some_batches(0)[0]
    expected = watched(convolution, [some])
    for batches in ([some, none], [none, some]):
        found = watched(convolution, batches)
        assert found.ranges == expected.ranges
        np.testing.assert_array_equal(found.means["conv"], expected.means["conv"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    batches = some_batches(2)
    batches[0][1, 2, 3, 0] = value
    with pytest.raises(DataError, match=r"1 tensors aren't finite.*'input'"):
        watched(convolution, batches)


def test_a_batch_of_another_shape_is_refused() -> None:
    batches = [*some_batches(2), np.zeros((2, 9, 6, 4), "f4")]
    with pytest.raises(RequestError, match=r"batch: the graph takes the shape \[\?, 8, 6, 4\]"):
        watched(convolution, batches)


@pytest.mark.parametrize(("method", "total"), [("minmax", 3), ("entropy", 6)])
def test_progress_counts_the_batches(method: str, total: int) -> None:
    told: list[Any] = []
    watched(
        convolution, some_batches(1, 1, 1), method=method, progress=lambda *said: told.append(said)
    )
    assert told == [("calibration batches", done + 1, total) for done in range(total)]
