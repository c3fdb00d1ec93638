from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog, inception, weights
from modelzoo_runner.backends.tensorflow.topologies.builder import Layers
from modelzoo_runner.errors import RequestError

SCOPE = "InceptionResnetV2"
NETWORKS = {
    "inception_v3": "InceptionV3",
    "inception_v4": "InceptionV4",
    "inception_resnet_v2": SCOPE,
}
MULTIPLY_ADDS = {
    # Szegedy et al. 2015, section 6: 5 billion for the network without its last changes; Canziani
    # et al. 2016 and torchvision (Inception_V3_Weights: 5.71 GFLOPS) count 5.7.
    "inception_v3": 5.71e9,
    # timm's results/benchmark-infer tables, GMACs at 299x299.
    "inception_v4": 12.28e9,
    "inception_resnet_v2": 13.18e9,
}
V3_STEM = {
    "Conv2d_1a_3x3/Relu": (149, 149, 32),
    "Conv2d_2a_3x3/Relu": (147, 147, 32),
    "Conv2d_2b_3x3/Relu": (147, 147, 64),
    "MaxPool_3a_3x3/MaxPool": (73, 73, 64),
    "Conv2d_3b_1x1/Relu": (73, 73, 80),
    "Conv2d_4a_3x3/Relu": (71, 71, 192),
    "MaxPool_5a_3x3/MaxPool": (35, 35, 192),
}
# inception_v3_test.py, inception_v4_test.py, inception_resnet_v2_test.py of tensorflow/models.
SHAPES = {
    "inception_v3": {
        **V3_STEM,
        "Mixed_5b/concat": (35, 35, 256),
        **{f"Mixed_5{letter}/concat": (35, 35, 288) for letter in "cd"},
        **{f"Mixed_6{letter}/concat": (17, 17, 768) for letter in "abcde"},
        "Mixed_7a/concat": (8, 8, 1280),
        **{f"Mixed_7{letter}/concat": (8, 8, 2048) for letter in "bc"},
    },
    "inception_v4": {
        "Conv2d_1a_3x3/Relu": (149, 149, 32),
        "Conv2d_2a_3x3/Relu": (147, 147, 32),
        "Conv2d_2b_3x3/Relu": (147, 147, 64),
        "Mixed_3a/concat": (73, 73, 160),
        "Mixed_4a/concat": (71, 71, 192),
        "Mixed_5a/concat": (35, 35, 384),
        **{f"Mixed_5{letter}/concat": (35, 35, 384) for letter in "bcde"},
        **{f"Mixed_6{letter}/concat": (17, 17, 1024) for letter in "abcdefgh"},
        **{f"Mixed_7{letter}/concat": (8, 8, 1536) for letter in "abcd"},
    },
    "inception_resnet_v2": {
        **V3_STEM,
        "Mixed_5b/concat": (35, 35, 320),
        "Repeat/block35_10/Relu": (35, 35, 320),
        "Mixed_6a/concat": (17, 17, 1088),
        "Repeat_1/block17_20/Relu": (17, 17, 1088),
        "Mixed_7a/concat": (8, 8, 2080),
        "Repeat_2/block8_9/Relu": (8, 8, 2080),
        "Block8/add": (8, 8, 2080),
        "Conv2d_7b_1x1/Relu": (8, 8, 1536),
    },
}


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


def test_parameters_are_the_published_ones_plus_one_class(built, arrays, parameter_count):
    # Keras Applications, less batch-norm statistics; 1000 classes.
    assert parameter_count(built("inception_v3")) == 23_851_784 - 34_432 + 2048 + 1
    assert parameter_count(built("inception_resnet_v2")) == 55_873_736 - 60_544 + 1536 + 1
    # PyTorch's port (timm's inception_v4: 42.68 million) also gives its batch norms a scale.
    v4 = built("inception_v4")
    scales = sum(array.size for name, array in arrays(v4).items() if name.endswith("/moving_mean"))
    assert parameter_count(v4) + scales == 42_679_816 + 1536 + 1


def test_base_has_as_many_variables_as_slims(built, arrays):
    # inception_v3_test.py of tensorflow/models: 21,802,784 with statistics, without the head.
    variables = {
        name: array
        for name, array in arrays(built("inception_v3")).items()
        if "/Logits/" not in name and not name.endswith("/Const")
    }
    assert sum(array.size for array in variables.values()) == 21_802_784


@pytest.mark.parametrize("topology", NETWORKS)
def test_multiply_adds(built, multiply_adds, topology):
    found = multiply_adds(built(topology), input=(1, 299, 299, 3))
    assert found == pytest.approx(MULTIPLY_ADDS[topology], rel=0.005)


@pytest.mark.parametrize("topology", NETWORKS)
def test_shapes_are_those_of_slims_own_test(built, shapes, topology):
    scope = NETWORKS[topology]
    found = shapes(built(topology), input=(5, 299, 299, 3))
    assert {name: found[f"{scope}/{scope}/{name}"] for name in SHAPES[topology]} == {
        name: (5, *shape) for name, shape in SHAPES[topology].items()
    }
    scores = "predict" if topology == "inception_v3" else f"{scope}/Logits/Predictions"
    assert found[scores] == (5, 1001)
    if topology == "inception_v4":
        assert found[f"{scope}/Logits/AvgPool_1a/AvgPool"] == (5, 1, 1, 1536)
        assert found[f"{scope}/Logits/PreLogitsFlatten/Reshape"] == (5, 1536)
    assert f"{scope}/{scope}/Block8/Relu" not in found
    assert shapes(built(topology))["input"] == (None, 299, 299, 3)


def test_same_outputs_as_keras(built, run, transplant):
    import tensorflow as tf

    keras = tf.keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=10)
    drawn = built("inception_v3", classes=10, image_size=75)
    layers = _v3_layers(keras, drawn)
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


def _numbered(keras, kind):
    """Keras numbers the layers without a name in the order in which both write them down."""
    names = [each.name for each in keras.layers if each.name.rstrip("_0123456789") == kind]
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]) if name != kind else 0)


def _v3_layers(keras, graph_def):
    scopes = [
        node.name.removesuffix("/weights")
        for node in graph_def.node
        if node.op == "Const" and node.name.endswith("/weights") and "/Logits/" not in node.name
    ]
    pairs = zip(_numbered(keras, "conv2d"), _numbered(keras, "batch_normalization"), strict=True)
    head = {"InceptionV3/Logits/Conv2d_1c_1x1": ("predictions", None)}
    return dict(zip(scopes, pairs, strict=True)) | head


@pytest.mark.slow
def test_the_residual_network_has_the_same_outputs_as_keras(run, transplant):
    import tensorflow as tf

    keras = tf.keras.applications.InceptionResNetV2(
        weights=None, input_shape=(75, 75, 3), classes=10
    )
    drawn = catalog.build("inception_resnet_v2", classes=10, image_size=75)
    ours = catalog.build(
        "inception_resnet_v2",
        classes=10,
        image_size=75,
        weights=transplant(keras, _residual_layers(keras, drawn), drawn),
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


def _residual_layers(keras, graph_def):
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
    pairs = zip(_numbered(keras, "conv2d"), _numbered(keras, "batch_normalization"), strict=True)
    return dict(zip(unnamed, pairs, strict=True)) | named


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
