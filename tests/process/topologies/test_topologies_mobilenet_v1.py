from __future__ import annotations

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.errors import RequestError


@pytest.mark.parametrize(
    ("multiplier", "size", "mega_macs", "mega_parameters"),
    # Howard et al. 2017, tables 6 and 7; the parameters from slim's mobilenet_v1.md.
    [(1.0, 224, 569, 4.24), (0.75, 224, 325, 2.59), (0.5, 224, 149, 1.34), (1.0, 160, 290, 4.24)],
)
def test_size_and_work_are_the_published_ones(
    built, parameter_count, multiply_adds, multiplier, size, mega_macs, mega_parameters
):
    graph_def = built("mobilenet_v1", depth_multiplier=multiplier)
    found = multiply_adds(
        built("mobilenet_v1", depth_multiplier=multiplier, image_size=size),
        input=(1, size, size, 3),
    )
    assert found / 1e6 == pytest.approx(mega_macs, abs=0.7)
    assert parameter_count(graph_def) / 1e6 == pytest.approx(mega_parameters, abs=0.01)


def test_parameters_are_keras_ones_plus_one_class(built, parameter_count):
    # Keras Applications: 4,253,864, of which 21,888 are batch-norm statistics; 1000 classes.
    assert parameter_count(built("mobilenet_v1")) == 4_253_864 - 21_888 + 1024 + 1


def test_work_of_each_layer_is_in_slims_table(built, multiply_adds):
    # The docstring of mobilenet_v1.py in tensorflow/models: the base alone.
    head = 1024 * 1001
    found = multiply_adds(built("mobilenet_v1"), input=(1, 224, 224, 3))
    assert found - head == 567_716_352


def test_same_outputs_as_keras(run, transplant):
    import tensorflow as tf

    keras = tf.keras.applications.MobileNet(
        weights=None, input_shape=(64, 64, 3), classes=10, alpha=0.5
    )
    parameters = {"classes": 10, "image_size": 64, "depth_multiplier": 0.5}
    layers = {"MobilenetV1/Conv2d_0": ("conv1", "conv1_bn")}
    for index in range(1, 14):
        for ours, theirs in (("depthwise", "dw"), ("pointwise", "pw")):
            name = f"conv_{theirs}_{index}"
            layers[f"MobilenetV1/Conv2d_{index}_{ours}"] = (name, f"{name}_bn")
    layers["MobilenetV1/Logits/Conv2d_1c_1x1"] = ("conv_preds", None)
    drawn = catalog.build("mobilenet_v1", **parameters)
    ours = catalog.build("mobilenet_v1", weights=transplant(keras, layers, drawn), **parameters)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    (found,) = run(ours, {"input:0": images}, ["MobilenetV1/Predictions/Reshape_1:0"])
    np.testing.assert_allclose(found, keras(images).numpy(), rtol=1e-4, atol=1e-6)


def test_same_scores_as_the_published_graph_with_its_weights(run, arrays, samples):
    import tensorflow as tf

    published = tf.compat.v1.GraphDef.FromString(
        (samples / "graphs" / "mobilenet_v1_1.0_224_frozen.pb").read_bytes()
    )
    ours = catalog.build("mobilenet_v1", weights=arrays(published))
    images = np.stack([_photograph(path) for path in _photographs(samples)])
    scores = "MobilenetV1/Predictions/Reshape_1:0"
    (found,), (expected,) = (
        run(graph_def, {"input:0": images}, [scores]) for graph_def in (ours, published)
    )
    assert expected.max() > 0.5
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def _photographs(samples):
    return sorted((samples / "imagenet" / "images").glob("*.JPEG"))[:2]


def _photograph(path):
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((224, 224)), np.float32)
    return pixels / 127.5 - 1


@pytest.mark.parametrize("multiplier", [0, -0.5])
def test_multiplier_is_positive(multiplier):
    with pytest.raises(RequestError, match="depth_multiplier="):
        catalog.build("mobilenet_v1", depth_multiplier=multiplier)
