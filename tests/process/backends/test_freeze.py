"""SavedModels, Keras models and checkpoints become frozen graphs that compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow import operations, tensors
from modelzoo_runner.backends.tensorflow.freeze import Frozen, freeze
from modelzoo_runner.backends.tensorflow.model_files import recognize
from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.errors import GraphError, RequestError, RunnerError

# Of Keras and h5py, with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Tensor = Any
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 8, 8, 3)).astype("f4")


def frozen(path: Path, **how: Any) -> Frozen:
    model = recognize(path)
    assert model is not None
    return freeze(model, **how)


def refused(path: Path, error: type[RunnerError] = GraphError, **how: Any) -> str:
    with pytest.raises(error) as raised:
        frozen(path, **how)
    return str(raised.value)


def run(found: Frozen, batch: Any, outputs: list[str] | None = None) -> list[Any]:
    operations.check(found.graph_def)
    input, roles = tensors.guess_tensors(found.graph_def) if outputs is None else ("", {})
    if outputs is not None:
        input = f"{next(n.name for n in found.graph_def.node if n.op == 'Placeholder')}:0"
    fetched = outputs or list(roles.values())
    with open_step(found.graph_def, input=input, outputs=fetched) as step:
        return step(batch)


@pytest.fixture(scope="module")
def keras_model() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    layer = keras.layers.BatchNormalization()(layer)
    layer = keras.layers.ReLU()(layer)
    layer = keras.layers.Dropout(0.5)(layer)
    scores = keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(layer))
    return keras.Model(image, scores)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "folder"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_keras_model_in_each_form(keras_model: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    keras_model.export(str(path)) if name == "folder" else keras_model.save(path)
    found = frozen(path)
    assert found.difference < 1e-6
    assert not found.graph_def.library.function, "functions are inlined"
    (scores,) = run(found, IMAGES)
    np.testing.assert_allclose(scores, keras_model(IMAGES, training=False), atol=1e-6)


def test_weights_alone_and_broken_files_are_refused(keras_model: Any, tmp_path: Path) -> None:
    keras_model.save_weights(tmp_path / "a.weights.h5")
    assert "has weights and no model" in refused(tmp_path / "a.weights.h5")
    keras_model.save(tmp_path / "whole.keras")
    data = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(data[: len(data) // 2])
    with pytest.raises(GraphError, match="not a Keras model"):
        recognize(tmp_path / "half.keras")
    (tmp_path / "page.h5").write_bytes(b"<html>")
    with pytest.raises(GraphError, match="should be an HDF5 file"):
        recognize(tmp_path / "page.h5")


def test_python_code_in_a_keras_file_is_refused(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    for name in ("lambda.keras", "lambda.h5"):
        model.save(tmp_path / name)
        assert "Python code in the file (Lambda)" in refused(tmp_path / name)


class Module:
    """Functions of images by signature, with one variable."""

    def __init__(self, path: Path, **signatures: Callable[[Tensor, Tensor], Any]) -> None:
        import tensorflow as tf

        module = tf.Module()
        module.factor = tf.Variable(2.0)

        def signature(function: Callable[[Tensor, Tensor], Any]) -> Any:
            spec = tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")
            call = tf.function(lambda image: function(image, module.factor))
            return call.get_concrete_function(spec)

        found = {name: signature(function) for name, function in signatures.items()}
        tf.saved_model.save(module, str(path), signatures=found)


def doubled(image: Tensor, factor: Tensor) -> Any:
    import tensorflow as tf

    return {"scores": tf.reduce_mean(image * factor, [1, 2])}


def test_the_default_signature_the_only_one_or_the_named_one(tmp_path: Path) -> None:
    def halved(image: Tensor, factor: Tensor) -> Any:
        return {"scores": doubled(image, factor)["scores"] / 4}

    expected = 2 * IMAGES.mean((1, 2))
    Module(tmp_path / "default", serving_default=doubled, other=halved)
    Module(tmp_path / "only", other=doubled)
    Module(tmp_path / "several", first=doubled, second=halved)
    for path in ("default", "only", "only/saved_model.pb"):
        np.testing.assert_allclose(run(frozen(tmp_path / path), IMAGES)[0], expected, rtol=1e-5)
    found = frozen(tmp_path / "several", signature="second")
    assert found.signature == "second"
    np.testing.assert_allclose(run(found, IMAGES)[0], expected / 4, rtol=1e-5)
    said = refused(tmp_path / "several", RequestError)
    assert "signature=" in said and "'first' (image -> scores)" in said
    assert "Did you mean 'first'?" in refused(tmp_path / "several", RequestError, signature="frist")


def test_outputs_have_the_names_of_the_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    def detector(image: Tensor, factor: Tensor) -> Any:
        boxes = tf.zeros([tf.shape(image)[0], 10, 4]) * factor
        return {
            "detection_boxes": boxes,
            "detection_scores": boxes[..., 0] + factor,
            "detection_classes": boxes[..., 1],
            "num_detections": boxes[:, 0, 0],
            "raw": boxes,
        }

    Module(tmp_path / "detector", serving_default=detector)
    _, roles = tensors.guess_tensors(frozen(tmp_path / "detector").graph_def)
    assert roles["detection_boxes"] == "detection_boxes:0"
    assert set(roles) == {
        "detection_boxes",
        "detection_scores",
        "detection_classes",
        "num_detections",
    }


def test_control_flow_of_tensorflow_2(tmp_path: Path) -> None:
    import tensorflow as tf

    def looped(image: Tensor, factor: Tensor) -> Any:
        _, total = tf.while_loop(
            lambda turn, _: turn < 3,
            lambda turn, total: (turn + 1, total * factor),
            (0, tf.reduce_sum(image, [1, 2])),
        )
        return {"scores": tf.cond(tf.reduce_sum(total) > 0, lambda: total, lambda: -total)}

    Module(tmp_path / "loop", serving_default=looped)
    (found,) = run(frozen(tmp_path / "loop"), IMAGES)
    np.testing.assert_allclose(found, 8 * IMAGES.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("reads a file", "ReadFile"),
        ("writes a file", "WriteFile"),
        ("calls Python", "PyFunc"),
        ("counts", "variables change while it runs"),
        ("looks up", "looks values up in tables"),
        ("is random", "known to be harmless: StatelessRandom"),
    ],
)
def test_what_can_not_be_frozen_is_refused_with_the_reason(
    tmp_path: Path, what: str, said: str
) -> None:
    import tensorflow as tf

    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2.0]), 0.0)

    def build(image: Tensor, factor: Tensor) -> Any:
        image = tf.reduce_mean(image, [1, 2])
        if what == "reads a file":
            image += tf.strings.to_number(tf.io.read_file("number"))
        elif what == "writes a file":
            with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "x")]):
                image = tf.identity(image)
        elif what == "calls Python":
            image += tf.numpy_function(lambda: np.float32(1), [], tf.float32)
        elif what == "counts":
            image += factor.assign_add(1.0)
        elif what == "looks up":
            image += table.lookup(tf.constant(1))
        else:
            image += tf.random.stateless_uniform(tf.shape(image), tf.constant([1, 2]))
        return {"scores": image}

    module = tf.Module()
    module.factor, module.table = tf.Variable(2.0), table
    spec = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    call = tf.function(lambda image: build(image, module.factor)).get_concrete_function(spec)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=call)
    assert said in refused(tmp_path / "model")
    assert not (tmp_path / "written").exists(), "it was run"


def test_encoded_images_are_tried_with_an_image(tmp_path: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decode(encoded: Tensor) -> Any:
        def one(image: Tensor) -> Tensor:
            pixels = tf.image.decode_jpeg(image, channels=3)
            return tf.reduce_mean(tf.cast(pixels, tf.float32), [0, 1])

        return {"scores": tf.map_fn(one, encoded, tf.float32)}

    tf.saved_model.save(tf.Module(), str(tmp_path / "jpeg"), signatures=decode)
    assert frozen(tmp_path / "jpeg").difference == 0


def test_a_saved_model_of_tensorflow_1_and_its_checkpoint(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, 8, 8, 3], name="image")
        kernel = v1.get_variable("kernel", [3, 3, 3, 5], use_resource=False)
        scale = v1.get_variable("scale", [5], use_resource=True)
        convolved = tf.nn.conv2d(image, kernel, 1, "SAME")
        scores = tf.nn.softmax(tf.reduce_mean(convolved, [1, 2]) * scale, name="probabilities")
        session.run(v1.global_variables_initializer())
        expected = session.run(scores, {image: IMAGES})
        builder = v1.saved_model.Builder(str(tmp_path / "v1"))
        signature = v1.saved_model.predict_signature_def({"image": image}, {"scores": scores})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
        prefix = Path(v1.train.Saver().save(session, str(tmp_path / "ck" / "model.ckpt"), 7))
    np.testing.assert_allclose(run(frozen(tmp_path / "v1"), IMAGES)[0], expected, rtol=1e-5)

    outputs = {"scores": "probabilities:0"}
    for path in (prefix, prefix.with_name(f"{prefix.name}.meta"), prefix.parent):
        found = frozen(path, outputs=outputs)
        np.testing.assert_allclose(run(found, IMAGES)[0], expected, rtol=1e-5)
    assert "give outputs=" in refused(prefix) and "probabilities:0" in refused(prefix)
    said = refused(prefix, outputs={"scores": "probabilitis:0"})
    assert "Did you mean 'probabilities:0'?" in said
    prefix.with_name(f"{prefix.name}.index").unlink()
    with pytest.raises(GraphError, match=r"files are missing: model.ckpt-7.index"):
        recognize(prefix)


def test_a_graph_saved_for_training_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, 8, 8, 3], name="image")
        scale = v1.get_variable("scale", [3])
        normed, _, _ = v1.nn.fused_batch_norm(image, scale, scale, is_training=True)
        tf.reduce_mean(normed, [1, 2], name="scores")
        session.run(v1.global_variables_initializer())
        prefix = Path(v1.train.Saver().save(session, str(tmp_path / "model")))
    assert "saved for training: 1 batch norms" in refused(prefix, outputs={"scores": "scores:0"})


def test_weights_of_tensorflow_2_have_no_graph(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(factor=tf.Variable(1.0)).write(str(tmp_path / "weights"))
    with pytest.raises(GraphError, match="without its graph"):
        recognize(tmp_path / "weights")


def test_a_saved_model_that_is_damaged(tmp_path: Path) -> None:
    Module(tmp_path / "model", serving_default=doubled)
    file = tmp_path / "model" / "saved_model.pb"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert "can't be read" in refused(tmp_path / "model")
    file.write_bytes(data)
    for each in (tmp_path / "model" / "variables").iterdir():
        each.unlink()
    assert "can't be frozen" in refused(tmp_path / "model")


def test_a_hash_changes_with_the_variables(tmp_path: Path) -> None:
    Module(tmp_path / "model", serving_default=doubled)
    before = recognize(tmp_path / "model")
    assert before is not None
    digest = before.digest()
    data = next((tmp_path / "model" / "variables").glob("*.data*"))
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    assert before.digest() != digest


def test_a_folder_of_models_and_one_of_neither(tmp_path: Path) -> None:
    Module(tmp_path / "models" / "1", serving_default=doubled)
    with pytest.raises(GraphError, match=r"give one of .*models/1"):
        recognize(tmp_path / "models")
    (tmp_path / "empty").mkdir()
    assert recognize(tmp_path / "empty") is None
    (tmp_path / "graph.pb").write_bytes(b"x")
    assert recognize(tmp_path / "graph.pb") is None
