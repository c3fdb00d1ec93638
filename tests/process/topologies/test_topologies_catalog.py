from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.errors import RequestError

# What a classifier's scores are, and the range of values its input is prepared to.
CLASSIFIERS = {
    "inception_resnet_v2": ("InceptionResnetV2/Logits/Predictions:0", (-1.0, 1.0)),
    "inception_v3": ("predict:0", (-1.0, 1.0)),
    "inception_v4": ("InceptionV4/Logits/Predictions:0", (-1.0, 1.0)),
    "mobilenet_v1": ("MobilenetV1/Predictions/Reshape_1:0", (-1.0, 1.0)),
    "resnet_v1_50": ("predict:0", (0.0, 255.0)),
    "resnet_v1_101": ("resnet_v1_101/predictions/Reshape_1:0", (-123.68, 151.06)),
}


def test_names_are_sorted():
    assert list(catalog.names()) == sorted(catalog.names())


def test_unknown_topology_names_the_near_ones():
    with pytest.raises(RequestError, match=r"topology='inception_v5'.*'inception_v4'"):
        catalog.build("inception_v5")


def test_unknown_parameter_names_the_near_ones():
    with pytest.raises(RequestError, match=r"clases=10.*'classes'"):
        catalog.build("resnet_v1_50", clases=10)


@pytest.mark.parametrize("seed", [-1, 0.5, "0"])
def test_a_seed_is_an_integer_from_0(seed):
    with pytest.raises(RequestError, match="seed="):
        catalog.build("mobilenet_v1", seed=seed)


@pytest.mark.parametrize("topology", CLASSIFIERS)
def test_there_is_a_class(topology):
    with pytest.raises(RequestError, match="classes="):
        catalog.build(topology, classes=0)


@pytest.mark.parametrize("topology", ["mobilenet_v1", "ssd_mobilenet_v1"])
def test_same_seed_same_bytes_another_seed_others(topology):
    first = catalog.build(topology)
    again = catalog.build(topology, seed=0)
    other = catalog.build(topology, seed=1)
    first, again, other = (
        each.SerializeToString(deterministic=True) for each in (first, again, other)
    )
    assert first == again
    assert first != other
    assert len(first) == len(other)


LARGE = {"resnet_v1_101", "inception_v4", "inception_resnet_v2"}
"""Built of the same parts as the others, and three times as many of them."""


@pytest.mark.parametrize(
    "topology",
    [pytest.param(each, marks=[pytest.mark.slow] * (each in LARGE)) for each in CLASSIFIERS],
)
def test_scores_are_finite_and_depend_on_the_image(built, run, topology):
    scores, own_range = CLASSIFIERS[topology]
    graph_def = built(topology)
    others = [each for each in ((0.0, 255.0), (-1.0, 1.0)) if each != own_range]
    images = [_image(graph_def, *own_range, grain=grain) for grain in (1, 32)]
    images += [_image(graph_def, *each, grain=1) for each in others]
    last_relu = [node.name for node in graph_def.node if node.op in ("Relu", "Relu6")][-1]
    found, features = run(graph_def, {"input:0": np.stack(images)}, [scores, f"{last_relu}:0"])
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert np.isfinite(features).all()
    own = slice(2)
    assert found[own].max() < 0.5
    assert np.corrcoef(np.log(found[own]))[0, 1] < 0.95
    assert 0.1 < np.sqrt(np.mean(features[own] ** 2)) < 10


def _image(graph_def, low, high, *, grain):
    """One image of random squares, `grain` pixels wide."""
    size = next(node for node in graph_def.node if node.name == "input")
    size = size.attr["shape"].shape.dim[1].size
    squares = np.random.default_rng(0).uniform(low, high, (-(-size // grain),) * 2 + (3,))
    image = squares.repeat(grain, 0).repeat(grain, 1)[:size, :size]
    return image.astype(np.float32)
