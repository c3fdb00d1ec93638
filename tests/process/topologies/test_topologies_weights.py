from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.topologies import weights
from modelzoo_runner.errors import RequestError

KINDS = (
    "weights",
    "depthwise_weights",
    "biases",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
)


@given(
    seed=st.integers(0, 2**64),
    kind=st.sampled_from(KINDS),
    shape=st.sampled_from([(1, 1, 8, 4), (3, 3, 2, 5), (7, 1, 4, 4)]),
)
@settings(max_examples=50)
def test_values_are_float32_finite_and_normal(seed, kind, shape):
    drawn = weights.draw(seed, f"layer/{kind}", shape)
    assert (drawn.dtype, drawn.shape) == (np.float32, shape)
    assert np.isfinite(drawn).all()
    assert not ((drawn != 0) & (np.abs(drawn) < np.finfo(np.float32).tiny)).any()
    if kind == "moving_variance":
        assert drawn.min() > 0


def test_values_depend_on_seed_and_name_alone():
    drawn = weights.draw(3, "a/weights", (1, 1, 4, 4))
    weights.draw(3, "b/weights", (1, 1, 4, 4))
    assert (weights.draw(3, "a/weights", (1, 1, 4, 4)) == drawn).all()
    assert (weights.draw(3, "b/weights", (1, 1, 4, 4)) != drawn).all()
    assert (weights.draw(4, "a/weights", (1, 1, 4, 4)) != drawn).all()


def test_values_stay_the_same_from_release_to_release():
    # A seed in a saved result is worth something only as long as this holds.
    drawn = weights.draw(0, "conv1/weights", (1, 1, 4, 1)).ravel()
    np.testing.assert_allclose(drawn, [0.583006, -0.836643, -0.152941, 0.406578], rtol=1e-5)


def test_second_moment_passes_through_fifty_layers():
    # A fully connected network stands for any network of 1x1 convolutions, batch norms and ReLUs.
    width = 512
    x = np.maximum(np.random.default_rng(0).standard_normal((64, width)), 0)
    moments = []
    for layer in range(50):
        kernel = weights.draw(0, f"{layer}/weights", (1, 1, width, width))[0, 0]
        gamma, beta, mean, variance = (
            weights.draw(0, f"{layer}/{each}", (width,))
            for each in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = np.maximum((x @ kernel - mean) / np.sqrt(variance) * gamma + beta, 0)
        moments.append(np.mean(x**2))
    assert 0.25 < min(moments) < max(moments) < 1
    # Two images are still two images.
    assert np.corrcoef(x[:2])[0, 1] < 0.9


def test_second_moment_passes_through_a_depthwise_kernel():
    width = 4096
    x = np.maximum(np.random.default_rng(0).standard_normal((9, 16, width)), 0)
    taps = weights.draw(0, "depthwise_weights", (3, 3, width, 1)).reshape(9, width)
    x = np.maximum(np.einsum("tnc,tc->nc", x, taps), 0)
    assert np.mean(x**2) == pytest.approx(0.5, rel=0.1)


def test_given_arrays_are_taken_by_name():
    array = np.arange(4, dtype=np.float64)
    read = weights.variables(0, {"a/biases": array})
    assert read("a/biases", (4,), 1.0).dtype == np.float32
    assert (read("a/biases", (4,), 1.0) == array).all()


def test_an_array_that_is_missing_is_named():
    read = weights.variables(0, {"a/biases": np.zeros(4)})
    with pytest.raises(RequestError, match=r"weights.*'a/bias'.*'a/biases'"):
        read("a/bias", (4,), 1.0)


def test_an_array_of_another_shape_is_named():
    read = weights.variables(0, {"a/biases": np.zeros(4)})
    with pytest.raises(RequestError, match=r"a/biases.*\(4,\).*\(5,\)"):
        read("a/biases", (5,), 1.0)
