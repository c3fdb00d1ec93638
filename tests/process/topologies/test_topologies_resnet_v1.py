from __future__ import annotations

import functools

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.errors import RequestError

# Keras Applications' table: https://keras.io/api/applications/ (25.6M, 44.7M); exact counts of the
# trainable parameters are `ResNet50(weights=None).count_params()` less statistics and conv biases.
TRAINED_50, TRAINED_101 = 25_557_032, 44_549_160
PER_CLASS = 2048 + 1


def test_parameters_are_the_published_ones_plus_one_class(built, parameter_count):
    # He et al. 2015 and Keras: 25.56 million for 1000 classes; the zoo's graph has a background.
    assert parameter_count(built("resnet_v1_50")) == TRAINED_50 + PER_CLASS
    assert parameter_count(built("resnet_v1_101")) == TRAINED_101


@pytest.mark.parametrize(
    ("stride", "published"),
    [
        # `tf.profiler` on slim's resnet_v1_50: 6.97 GFLOP, two a multiply-add.
        ("slim", 3.49e9),
        # He et al. 2015, table 1: 3.8e9 for 50 layers.
        ("v1", 3.86e9),
        # Torchvision's ResNet50_Weights: 4.09 GFLOPS, there a multiply-add is one.
        ("v1.5", 4.09e9),
    ],
)
def test_multiply_adds_of_50_layers(built, multiply_adds, stride, published):
    found = multiply_adds(built("resnet_v1_50", stride=stride), input=(1, 224, 224, 3))
    assert found == pytest.approx(published, rel=0.005)


def test_multiply_adds_of_101_layers(built, multiply_adds):
    # He et al. 2015, table 1: 7.6e9 with the stride in the first unit.
    found = multiply_adds(built("resnet_v1_101", stride="v1"), input=(1, 224, 224, 3))
    assert found == pytest.approx(7.6e9, rel=0.01)


def test_shapes_are_those_of_the_published_table(built, shapes):
    # He et al. 2015, table 1; slim halves at the end of a block, so `block1` is at 28 already.
    found = shapes(built("resnet_v1_50", stride="v1"), input=(2, 224, 224, 3))
    scope = "resnet_v1_50/"
    assert found[f"{scope}conv1/Relu"] == (2, 112, 112, 64)
    assert found[f"{scope}block1/unit_3/bottleneck_v1/Relu"] == (2, 56, 56, 256)
    assert found[f"{scope}block2/unit_4/bottleneck_v1/Relu"] == (2, 28, 28, 512)
    assert found[f"{scope}block3/unit_6/bottleneck_v1/Relu"] == (2, 14, 14, 1024)
    assert found[f"{scope}block4/unit_3/bottleneck_v1/Relu"] == (2, 7, 7, 2048)
    assert found["predict"] == (2, 1001)
    slim = shapes(built("resnet_v1_50"), input=(2, 224, 224, 3))
    assert slim[f"{scope}block1/unit_3/bottleneck_v1/Relu"] == (2, 28, 28, 256)
    assert slim[f"{scope}block4/unit_3/bottleneck_v1/Relu"] == (2, 7, 7, 2048)


def test_tensors_are_the_zoos(built, shapes):
    found = shapes(built("resnet_v1_50"))
    assert (found["input"], found["predict"]) == ((None, 224, 224, 3), (None, 1001))
    found = shapes(built("resnet_v1_101"), input=(3, 224, 224, 3))
    assert found["resnet_v1_101/SpatialSqueeze"] == (3, 1000)
    assert found["resnet_v1_101/predictions/Reshape_1"] == (3, 1000)


def test_nodes_are_those_of_a_slim_export(built, samples):
    import tensorflow as tf

    export = tf.compat.v1.GraphDef.FromString(
        (samples / "graphs" / "resnet_v1_50_slim_structure_NO_WEIGHTS.pb").read_bytes()
    )
    kinds = {"Conv2D", "Relu", "Add", "MaxPool", "Pad", "BiasAdd", "Squeeze", "Mean"}

    def layers(graph_def):
        return {
            node.name: (node.op, list(node.input), *(
                node.attr[key].SerializeToString(deterministic=True)
                for key in ("strides", "padding", "ksize") if key in node.attr
            ))
            for node in graph_def.node
            if node.op in kinds and node.name.startswith("resnet_v1_50/")
            and "/predictions/" not in node.name and "Initializer" not in node.name
        }  # fmt: skip

    theirs = layers(export)
    theirs = {
        name: (op, [each.replace("FusedBatchNorm", "FusedBatchNormV3") for each in inputs], *rest)
        for name, (op, inputs, *rest) in theirs.items()
    }
    assert layers(built("resnet_v1_50")) == theirs


def test_variables_are_those_of_a_slim_checkpoint(built, arrays, samples):
    import tensorflow as tf

    export = tf.compat.v1.GraphDef.FromString(
        (samples / "graphs" / "resnet_v1_50_slim_structure_NO_WEIGHTS.pb").read_bytes()
    )
    theirs = {
        node.name: tuple(dim.size for dim in node.attr["shape"].shape.dim)
        for node in export.node
        if node.op == "VariableV2" and node.name.startswith("resnet_v1_50/")
        and "logits" not in node.name
    }  # fmt: skip
    ours = {
        name: array.shape
        for name, array in arrays(built("resnet_v1_50")).items()
        if "logits" not in name
    }
    assert ours == theirs


@pytest.mark.parametrize(
    ("topology", "keras_name", "units"),
    [
        ("resnet_v1_50", "ResNet50", (3, 4, 6, 3)),
        pytest.param("resnet_v1_101", "ResNet101", (3, 4, 23, 3), marks=pytest.mark.slow),
    ],
)
def test_same_outputs_as_keras(run, transplant, topology, keras_name, units):
    import tensorflow as tf

    size = 64
    build = functools.partial(
        catalog.build,
        topology,
        classes=10,
        image_size=size,
        stride="v1",
        pool_padding="SYMMETRIC",
    )
    keras = getattr(tf.keras.applications, keras_name)(
        weights=None, input_shape=(size, size, 3), classes=10
    )
    parts = {"shortcut": 0, "conv1": 1, "conv2": 2, "conv3": 3}
    layers = {f"{topology}/conv1": ("conv1_conv", "conv1_bn")} | {
        f"{topology}/block{block}/unit_{unit}/bottleneck_v1/{part}": (
            f"conv{block + 1}_block{unit}_{index}_conv",
            f"conv{block + 1}_block{unit}_{index}_bn",
        )
        for block, count in enumerate(units, 1)
        for unit in range(1, count + 1)
        for part, index in parts.items()
        if unit == 1 or index
    }
    layers[f"{topology}/logits"] = ("predictions", None)
    ours = build(weights=transplant(keras, layers, build()))
    images = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    scores = "predict:0" if topology == "resnet_v1_50" else f"{topology}/predictions/Reshape_1:0"
    last = f"{topology}/block4/unit_3/bottleneck_v1/Relu:0"
    found, features = run(ours, {"input:0": images}, [scores, last])
    theirs = tf.keras.Model(keras.input, [keras.output, keras.get_layer("conv5_block3_out").output])
    expected, expected_features = (each.numpy() for each in theirs(images))
    scale = np.abs(expected_features).max()
    assert scale > 0.1
    np.testing.assert_allclose(features / scale, expected_features / scale, atol=1e-4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_stride_is_one_of_three():
    with pytest.raises(RequestError, match="stride="):
        catalog.build("resnet_v1_50", stride="v2")


def test_image_has_a_least_size():
    with pytest.raises(RequestError, match="image_size="):
        catalog.build("resnet_v1_50", image_size=16)
