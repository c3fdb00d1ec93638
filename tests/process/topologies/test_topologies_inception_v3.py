from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.errors import RequestError


def test_parameters_are_the_published_ones_plus_one_class(built, parameter_count):
    # Keras Applications: 23,851,784, of which 34,432 are batch-norm statistics; 1000 classes.
    assert parameter_count(built("inception_v3")) == 23_851_784 - 34_432 + 2048 + 1


def test_base_has_as_many_variables_as_slims(built, arrays):
    # inception_v3_test.py of tensorflow/models: 21,802,784 with statistics, without the head.
    variables = {
        name: array
        for name, array in arrays(built("inception_v3")).items()
        if "/Logits/" not in name and not name.endswith("/Const")
    }
    assert sum(array.size for array in variables.values()) == 21_802_784


def test_multiply_adds(built, multiply_adds):
    # Szegedy et al. 2015, section 6: 5 billion for the network without its last changes; Canziani
    # et al. 2016 and torchvision (Inception_V3_Weights: 5.71 GFLOPS) count 5.7.
    found = multiply_adds(built("inception_v3"), input=(1, 299, 299, 3))
    assert found == pytest.approx(5.71e9, rel=0.005)


def test_shapes_are_those_of_slims_own_test(built, shapes):
    # inception_v3_test.py of tensorflow/models.
    found = shapes(built("inception_v3"), input=(5, 299, 299, 3))
    expected = {
        "Conv2d_1a_3x3/Relu": (149, 149, 32),
        "Conv2d_2a_3x3/Relu": (147, 147, 32),
        "Conv2d_2b_3x3/Relu": (147, 147, 64),
        "MaxPool_3a_3x3/MaxPool": (73, 73, 64),
        "Conv2d_3b_1x1/Relu": (73, 73, 80),
        "Conv2d_4a_3x3/Relu": (71, 71, 192),
        "MaxPool_5a_3x3/MaxPool": (35, 35, 192),
        "Mixed_5b/concat": (35, 35, 256),
        "Mixed_5c/concat": (35, 35, 288),
        "Mixed_5d/concat": (35, 35, 288),
        "Mixed_6a/concat": (17, 17, 768),
        "Mixed_6b/concat": (17, 17, 768),
        "Mixed_6c/concat": (17, 17, 768),
        "Mixed_6d/concat": (17, 17, 768),
        "Mixed_6e/concat": (17, 17, 768),
        "Mixed_7a/concat": (8, 8, 1280),
        "Mixed_7b/concat": (8, 8, 2048),
        "Mixed_7c/concat": (8, 8, 2048),
    }
    scope = "InceptionV3/InceptionV3/"
    assert {name: found[scope + name] for name in expected} == {
        name: (5, *shape) for name, shape in expected.items()
    }
    assert found["predict"] == (5, 1001)
    assert shapes(built("inception_v3"))["input"] == (None, 299, 299, 3)


def test_same_outputs_as_keras(built, run, transplant):
    import tensorflow as tf

    keras = tf.keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=10)
    drawn = built("inception_v3", classes=10, image_size=75)
    layers = _layers_in_order(keras, drawn)
    layers["InceptionV3/Logits/Conv2d_1c_1x1"] = ("predictions", None)
    ours = catalog.build(
        "inception_v3", classes=10, image_size=75, weights=transplant(keras, layers, drawn)
    )
    images = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)
    last = "InceptionV3/InceptionV3/Mixed_7c/concat:0"
    found, features = run(ours, {"input:0": images}, ["predict:0", last])
    theirs = tf.keras.Model(keras.input, [keras.output, keras.get_layer("mixed10").output])
    expected, expected_features = (each.numpy() for each in theirs(images))
    scale = np.abs(expected_features).max()
    assert scale > 0.1
    np.testing.assert_allclose(features / scale, expected_features / scale, atol=1e-4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def _layers_in_order(keras, graph_def):
    """Both write the network down in the same order, and Keras numbers its layers by it."""

    def numbered(kind):
        names = [each.name for each in keras.layers if each.name.rstrip("_0123456789") == kind]
        return sorted(names, key=lambda name: int(name.rpartition("_")[2]) if name != kind else 0)

    scopes = [
        node.name.removesuffix("/weights")
        for node in graph_def.node
        if node.op == "Const" and node.name.endswith("/weights") and "/Logits/" not in node.name
    ]
    pairs = zip(numbered("conv2d"), numbered("batch_normalization"), strict=True)
    return dict(zip(scopes, pairs, strict=True))


def test_image_has_a_least_size():
    with pytest.raises(RequestError, match="image_size="):
        catalog.build("inception_v3", image_size=74)


@pytest.mark.parametrize(
    "topology",
    [
        "inception_v3",
        pytest.param("inception_v4", marks=pytest.mark.slow),
        pytest.param("inception_resnet_v2", marks=pytest.mark.slow),
    ],
)
def test_the_least_size_is_enough(built, shapes, topology):
    graph_def = built(topology, classes=10, image_size=75)
    assert shapes(graph_def)[graph_def.node[-1].name] == (None, 10)
