from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog

SCOPE = "InceptionResnetV2"


def test_parameters_are_the_published_ones_plus_one_class(built, parameter_count):
    # Keras Applications: 55,873,736, of which 60,544 are batch-norm statistics; 1000 classes.
    assert parameter_count(built("inception_resnet_v2")) == 55_873_736 - 60_544 + 1536 + 1


def test_multiply_adds(built, multiply_adds):
    # timm's results/benchmark-infer tables: 13.18 GMACs at 299x299.
    found = multiply_adds(built("inception_resnet_v2"), input=(1, 299, 299, 3))
    assert found == pytest.approx(13.18e9, rel=0.005)


def test_shapes_are_those_of_slims_own_test(built, shapes):
    # inception_resnet_v2_test.py of tensorflow/models.
    found = shapes(built("inception_resnet_v2"), input=(5, 299, 299, 3))
    expected = {
        "Conv2d_1a_3x3/Relu": (149, 149, 32),
        "Conv2d_2a_3x3/Relu": (147, 147, 32),
        "Conv2d_2b_3x3/Relu": (147, 147, 64),
        "MaxPool_3a_3x3/MaxPool": (73, 73, 64),
        "Conv2d_3b_1x1/Relu": (73, 73, 80),
        "Conv2d_4a_3x3/Relu": (71, 71, 192),
        "MaxPool_5a_3x3/MaxPool": (35, 35, 192),
        "Mixed_5b/concat": (35, 35, 320),
        "Repeat/block35_10/Relu": (35, 35, 320),
        "Mixed_6a/concat": (17, 17, 1088),
        "Repeat_1/block17_20/Relu": (17, 17, 1088),
        "Mixed_7a/concat": (8, 8, 2080),
        "Repeat_2/block8_9/Relu": (8, 8, 2080),
        "Block8/add": (8, 8, 2080),
        "Conv2d_7b_1x1/Relu": (8, 8, 1536),
    }
    assert {name: found[f"{SCOPE}/{SCOPE}/{name}"] for name in expected} == {
        name: (5, *shape) for name, shape in expected.items()
    }
    assert f"{SCOPE}/{SCOPE}/Block8/Relu" not in found
    assert found[f"{SCOPE}/Logits/Predictions"] == (5, 1001)
    assert shapes(built("inception_resnet_v2"))["input"] == (None, 299, 299, 3)


@pytest.mark.slow
def test_same_outputs_as_keras(run, transplant):
    import tensorflow as tf

    keras = tf.keras.applications.InceptionResNetV2(
        weights=None, input_shape=(75, 75, 3), classes=10
    )
    drawn = catalog.build("inception_resnet_v2", classes=10, image_size=75)
    ours = catalog.build(
        "inception_resnet_v2",
        classes=10,
        image_size=75,
        weights=transplant(keras, _layers(keras, drawn), drawn),
    )
    images = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)
    fetches = [f"{SCOPE}/Logits/Predictions:0", f"{SCOPE}/{SCOPE}/Conv2d_7b_1x1/Relu:0"]
    found, features = run(ours, {"input:0": images}, fetches)
    theirs = tf.keras.Model(keras.input, [keras.output, keras.get_layer("conv_7b_ac").output])
    expected, expected_features = (each.numpy() for each in theirs(images))
    scale = np.abs(expected_features).max()
    assert scale > 0.1
    np.testing.assert_allclose(features / scale, expected_features / scale, atol=1e-4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def _layers(keras, graph_def):
    """Keras numbers the layers without a name in the order in which both write them down."""

    def numbered(kind):
        names = [each.name for each in keras.layers if each.name.rstrip("_0123456789") == kind]
        return sorted(names, key=lambda name: int(name.rpartition("_")[2]) if name != kind else 0)

    base = f"{SCOPE}/{SCOPE}/"
    named = {
        f"{SCOPE}/Conv2d_7b_1x1": ("conv_7b", "conv_7b_bn"),
        f"{SCOPE}/Logits/Logits": ("predictions", None),
        f"{SCOPE}/Block8/Conv2d_1x1": ("block8_10_conv", None),
    } | {
        f"{SCOPE}/{repeat}/{block}_{index}/Conv2d_1x1": (f"{block}_{index}_conv", None)
        for repeat, block, count in (
            ("Repeat", "block35", 10),
            ("Repeat_1", "block17", 20),
            ("Repeat_2", "block8", 9),
        )
        for index in range(1, count + 1)
    }
    kernels = {
        node.name.removesuffix("/weights")
        for node in graph_def.node
        if node.op == "Const" and node.name.endswith("/weights")
    }
    scopes = [
        f"{SCOPE}/{node.name.removeprefix(base).removesuffix('/Conv2D')}"
        for node in graph_def.node
        if node.op == "Conv2D"
    ]
    unnamed = [scope for scope in scopes if scope in kernels - named.keys()]
    pairs = zip(numbered("conv2d"), numbered("batch_normalization"), strict=True)
    return dict(zip(unnamed, pairs, strict=True)) | named
