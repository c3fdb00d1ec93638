"""Models and inputs as people have them, through the verbs and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from modelzoo_runner import GraphError, RequestError, accuracy, benchmark, load

# The same thread pools for all: every run is in this process.
HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
QUICK: dict[str, Any] = {**HERE, "steps": 10, "warmup_steps": 1}

pytestmark = pytest.mark.usefixtures("same_pools")

# Made in a child, as TensorFlow's pools of this process would be decided by it.
MAKE = """
import sys, tensorflow as tf
module = tf.Module()
module.factor = tf.Variable(2.0)
spec = tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")
mean = tf.function(lambda image: {"scores": tf.reduce_mean(image * module.factor, [1, 2])})
tf.saved_model.save(module, sys.argv[1], signatures=mean.get_concrete_function(spec))
"""


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "saved"
    subprocess.run([sys.executable, "-c", MAKE, path], check=True, capture_output=True)
    return path


def test_a_saved_model_runs_like_a_frozen_graph(saved_model: Path, tmp_path: Path) -> None:
    result = benchmark(saved_model, **QUICK)
    assert result.plan.graph.origin is not None and "SavedModel" in result.plan.graph.origin
    assert str(saved_model) in result.plan.graph.origin
    frozen = benchmark(result.plan.graph.path, **QUICK)
    assert frozen.plan.graph.sha256 == result.plan.graph.sha256
    assert frozen.plan.graph.outputs == result.plan.graph.outputs
    result.save(tmp_path / "result.json")
    assert load(tmp_path / "result.json") == result


def test_freezing_decides_no_thread_pool_of_the_process(saved_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from modelzoo_runner import benchmark\n"
        "how = dict(num_inter_threads=1, allocator='system', isolation='none', steps=2)\n"
        "benchmark(sys.argv[1], num_intra_threads=2, **how)\n"
    )
    # Another cache, so that it is frozen again.
    environment = {**os.environ, "MODELZOO_RUNNER_CACHE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, saved_model], check=True, env=environment)
    assert list(tmp_path.rglob("*.pb"))


def test_signatures_are_refused_where_there_are_none(saved_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"signature='servin_default'.*Did you mean"):
        benchmark(saved_model, signature="servin_default", **QUICK)
    graph = tiny.classifier(tmp_path / "graph.pb")
    with pytest.raises(RequestError, match="only a SavedModel has signatures"):
        benchmark(graph, signature="serving_default", **QUICK)


def test_tflite_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    with pytest.raises(GraphError, match=r"TensorFlow Lite model.*SavedModel"):
        benchmark(tmp_path / "model.tflite", **QUICK)


def graph_of(path: Path, build: Any) -> Path:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf, tf.compat.v1)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_other_inputs_are_given_as_feeds(tmp_path: Path) -> None:
    def build(tf: Any, v1: Any) -> None:
        image = v1.placeholder(tf.float32, [None, 4], name="image")
        keep = v1.placeholder(tf.float32, [], name="keep_prob")
        info = v1.placeholder(tf.float32, [None, 3], name="info")
        tf.identity(image * keep + tf.reduce_sum(info), name="scores")

    graph = graph_of(tmp_path / "graph.pb", build)
    with pytest.raises(GraphError, match="'keep_prob'"):
        benchmark(graph, **QUICK)
    feeds = {"keep_prob:0": 1.0, "info:0": np.ones((1, 3), "f4")}
    result = benchmark(graph, feeds=feeds, **QUICK)
    assert result.plan.graph.input == "image:0"
    assert result.plan.feeds == {"keep_prob:0": 1.0, "info:0": [[1.0, 1.0, 1.0]]}
    with pytest.raises(RequestError, match=r"feeds\['keep_prob:0'\]"):
        benchmark(graph, feeds={"keep_prob:0": object()}, **QUICK)
    with pytest.raises(RequestError, match="'keep_prob:0'"):
        benchmark(graph, feeds={"keep_prob": 1.0}, **QUICK)


def test_feeds_on_the_command_line(tmp_path: Path) -> None:
    def build(tf: Any, v1: Any) -> None:
        image = v1.placeholder(tf.float32, [None, 4], name="image")
        training = v1.placeholder(tf.bool, [], name="is_training")
        tf.where(training, image, image * 2, name="scores")

    graph = graph_of(tmp_path / "graph.pb", build)
    command = [sys.executable, "-m", "modelzoo_runner", "benchmark", str(graph), "--steps", "2"]
    out = tmp_path / "result.json"
    command += ["--feeds", "is_training:0=false", "--json", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert json.loads(out.read_text())["plan"]["feeds"] == {"is_training:0": False}


def test_a_shape_that_is_unknown_is_asked_for(tmp_path: Path) -> None:
    def build(tf: Any, v1: Any) -> None:
        image = v1.placeholder(tf.float32, name="image")
        tf.reduce_mean(image, [1, 2], name="scores")

    graph = graph_of(tmp_path / "graph.pb", build)
    with pytest.raises(RequestError, match="input_shape"):
        benchmark(graph, **QUICK)
    assert benchmark(graph, input_shape=(8, 8, 3), batch_size=2, **QUICK).examples == 20


def test_the_input_behind_a_queue_is_used_and_said(tmp_path: Path) -> None:
    def build(tf: Any, v1: Any) -> None:
        queue = v1.FIFOQueue(9, [tf.float32], shapes=[[8, 8, 3]])
        queue.enqueue([tf.zeros([8, 8, 3])])
        tf.reduce_mean(queue.dequeue_many(4, name="batch"), [1, 2], name="scores")

    result = benchmark(graph_of(tmp_path / "graph.pb", build), batch_size=2, **QUICK)
    assert result.plan.graph.input == "batch:0"
    assert any("pipeline of its own (QueueDequeueManyV2)" in each for each in result.warnings)


def decoder(path: Path, *shape: int | None, classes: int = 1000) -> Path:
    """Scores of encoded images: a random matrix times the mean colour."""

    def build(tf: Any, v1: Any) -> None:
        weights = np.random.default_rng(0).standard_normal((3, classes)).astype("f4")

        def mean(encoded: Any) -> Any:
            pixels = tf.image.decode_jpeg(encoded, channels=3)
            return tf.reduce_mean(tf.cast(pixels, tf.float32), [0, 1])

        encoded = v1.placeholder(tf.string, shape, name="DecodeJpeg/contents")
        means = tf.map_fn(mean, encoded, tf.float32) if shape else mean(encoded)[None]
        tf.nn.softmax(means @ weights, name="scores")

    return graph_of(path, build)


def test_encoded_images_are_benchmarked(tmp_path: Path) -> None:
    vector, scalar = decoder(tmp_path / "v.pb", None), decoder(tmp_path / "s.pb")
    outputs = {"scores": "scores:0"}
    result = benchmark(vector, outputs=outputs, batch_size=3, input_shape=(40, 30), **QUICK)
    assert result.plan.encoded_input and result.examples == 30
    assert benchmark(scalar, input_shape=(40, 30, 3), **QUICK).examples == 10
    with pytest.raises(RequestError, match="batch size of 1"):
        benchmark(scalar, batch_size=2, **QUICK)


def test_encoded_images_are_scored_without_preprocessing(tmp_path: Path) -> None:
    """The right answer by hand: each image decoded, its mean times the matrix, and the best."""
    import tensorflow as tf

    folder = tiny.shards(tmp_path / "shards")
    weights = np.random.default_rng(0).standard_normal((3, 1000)).astype("f4")
    right = total = 0
    for file in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(file)):
            features = tf.train.Example.FromString(record.numpy()).features.feature
            pixels = tf.io.decode_jpeg(features["image/encoded"].bytes_list.value[0]).numpy()
            label = features["image/class/label"].int64_list.value[0] - 1
            right += int((pixels.mean((0, 1)) @ weights).argsort()[::-1].tolist().index(label) < 5)
            total += 1
    for graph, size in ((decoder(tmp_path / "v.pb", None), 4), (decoder(tmp_path / "s.pb"), 1)):
        outputs = {"scores": "scores:0"}
        found = accuracy(graph, data_location=folder, batch_size=size, outputs=outputs, **HERE)
        assert found.examples == total and found.counts["top5"] == right


def test_a_detector_of_encoded_images(tmp_path: Path) -> None:
    images, annotations = tiny.coco(tmp_path)

    def build(tf: Any, v1: Any) -> None:
        encoded = v1.placeholder(tf.string, [None], name="encoded_image_string_tensor")
        count = tf.size(encoded)
        nothing = tf.cast(tf.reduce_sum(tf.strings.length(encoded)), tf.float32) * 0
        tf.add(tf.ones(count[None]), nothing, name="num_detections")
        box = tf.tile([[[0.1, 0.1, 0.5, 0.5]]], [count, 1, 1])
        tf.add(box, nothing, name="detection_boxes")
        tf.add(tf.fill([count, 1], 0.9), nothing, name="detection_scores")
        tf.add(tf.ones([count, 1]), nothing, name="detection_classes")

    graph = graph_of(tmp_path / "graph.pb", build)
    result = accuracy(graph, data_location=images, annotations=annotations, batch_size=3, **HERE)
    assert result.scores["AP"] == pytest.approx(1) and result.examples == 4
