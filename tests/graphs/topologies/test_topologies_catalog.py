from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.errors import RequestError
from modelzoo_runner.graphs.topologies import catalog

# What a classifier's scores are, and the range of values its input is prepared to.
CLASSIFIERS = {
    "resnet_v1_50": ("predict:0", (0.0, 255.0)),
    "resnet_v1_101": ("resnet_v1_101/predictions/Reshape_1:0", (-123.68, 151.06)),
}


def test_names_are_sorted():
    assert list(catalog.names()) == sorted(catalog.names())


def test_unknown_topology_names_the_near_ones():
    with pytest.raises(RequestError) as caught:
        catalog.build("resnet50_v1")
    assert str(caught.value) == (
        "topology='resnet50_v1': no such topology. Did you mean 'resnet_v1_50' or 'resnet_v1_101'?"
    )


def test_unknown_parameter_names_the_near_ones():
    with pytest.raises(RequestError) as caught:
        catalog.build("resnet_v1_50", clases=10)
    assert str(caught.value) == (
        "clases=10: resnet_v1_50 has no such parameter. Did you mean 'classes'?"
    )


def test_negative_seed_is_refused():
    with pytest.raises(RequestError) as caught:
        catalog.build("resnet_v1_50", seed=-1)
    assert str(caught.value) == "seed=-1: a seed is an integer from 0"


def test_same_seed_same_bytes_another_seed_others(built):
    first = built("resnet_v1_50")
    again = catalog.build("resnet_v1_50", seed=0)
    other = catalog.build("resnet_v1_50", seed=1)
    first, again, other = (
        each.SerializeToString(deterministic=True) for each in (first, again, other)
    )
    assert first == again
    assert first != other
    assert len(first) == len(other)


@pytest.mark.parametrize("topology", CLASSIFIERS)
def test_scores_are_scores_and_depend_on_the_image(built, run, topology):
    scores, (low, high) = CLASSIFIERS[topology]
    images = _images(built(topology), low, high)
    found, features = run(
        built(topology), {"input:0": images}, [scores, _features(built(topology))]
    )
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert found.max() < 0.5
    assert np.corrcoef(np.log(found))[0, 1] < 0.95
    assert 0.1 < np.sqrt(np.mean(features**2)) < 10


@pytest.mark.parametrize("topology", CLASSIFIERS)
@pytest.mark.parametrize("values", [(0.0, 255.0), (-1.0, 1.0)])
def test_scores_are_finite_whatever_the_range_of_the_input(built, run, topology, values):
    if values == CLASSIFIERS[topology][1]:
        return  # the test above
    images = _images(built(topology), *values)[:1]
    (found,) = run(built(topology), {"input:0": images}, [CLASSIFIERS[topology][0]])
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def _images(graph_def, low, high):
    size = next(node for node in graph_def.node if node.name == "input")
    size = size.attr["shape"].shape.dim[1].size
    return np.random.default_rng(0).uniform(low, high, (2, size, size, 3)).astype(np.float32)


def _features(graph_def):
    return [f"{node.name}:0" for node in graph_def.node if node.op in ("Relu", "Relu6")][-1]
