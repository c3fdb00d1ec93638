"""Constants for inputs beside the batch, pipelines that are cut, and encoded images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from graphs_made import GraphDef, made, placeholder, run

from modelzoo_runner.backends.tensorflow import feeding, tensors
from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.backends.tensorflow.session import input_spec, open_step
from modelzoo_runner.data.batches import encoded_images
from modelzoo_runner.errors import GraphError, RequestError

BATCH = np.arange(12, dtype="f4").reshape(3, 4)


def dropout() -> GraphDef:
    """`input` [?, 4] as it was trained: kept with `keep_prob`, or doubled where `is_training`."""
    import tensorflow as tf

    v1 = tf.compat.v1

    def build() -> None:
        image = placeholder(None, 4)
        keep = v1.placeholder(tf.float32, [], name="keep_prob")
        training = v1.placeholder(tf.bool, [], name="is_training")
        tf.identity(tf.where(training, image * 2, image * keep), name="scores")

    return made(build)


FEEDS: dict[str, Any] = {"keep_prob:0": 0.5, "is_training:0": False}


@pytest.mark.parametrize(
    ("feeds", "factor"), [(FEEDS, 0.5), ({**FEEDS, "is_training:0": True}, 2.0)]
)
def test_constants_take_the_place_of_inputs(feeds: dict[str, Any], factor: float) -> None:
    graph_def = dropout()
    before = graph_def.SerializeToString()
    fed = feeding.with_constants(graph_def, feeds)
    assert graph_def.SerializeToString() == before
    assert tensors.guess_tensors(fed) == ("input:0", {"scores": "scores:0"})
    np.testing.assert_array_equal(run(fed, BATCH, "scores:0")[0], BATCH * factor)
    smaller = prepare(fed, input="input:0", outputs=["scores:0"]).graph_def
    np.testing.assert_array_equal(run(smaller, BATCH, "scores:0")[0], BATCH * factor)


def test_an_input_that_nobody_feeds_is_named_with_the_argument() -> None:
    with pytest.raises(GraphError, match=r"3 of them.*'keep_prob'"):
        tensors.guess_tensors(dropout())
    with pytest.raises(GraphError, match=r'feeds=\{"is_training:0": ..., "keep_prob:0": ...\}'):
        tensors.check_tensors(dropout(), "input:0", {"scores": "scores:0"})


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ({"keep_prop:0": 1.0}, "Did you mean 'keep_prob:0'?"),
        ({"keep_prob:0": "high"}, "the graph takes float32"),
        ({"keep_prob:0": [1.0, 2.0]}, r"the shape [], not [2]"),
        ({"keep_prob:1": 1.0}, "numbered from 0"),
    ],
)
def test_a_constant_that_can_not_be_is_refused(feeds: dict[str, Any], said: str) -> None:
    with pytest.raises(GraphError) as raised:
        feeding.with_constants(dropout(), feeds)
    assert said in str(raised.value)


def test_a_part_is_no_whole_number() -> None:
    graph_def = made(lambda: placeholder(2, dtype="int32"))
    with pytest.raises(GraphError, match="whole number"):
        feeding.with_constants(graph_def, {"input:0": [1, 1.5]})
    fed = feeding.with_constants(graph_def, {"input:0": [1, 2.0]})
    assert fed.node[0].op == "Const"


def queued(*, shapes: bool = True, many: bool = True) -> GraphDef:
    """A graph that takes images and labels from a queue, which a reader fills."""
    import tensorflow as tf

    v1 = tf.compat.v1

    def build() -> None:
        with v1.variable_scope("in"):
            names = v1.FIFOQueue(9, [tf.string], name="names")
            pixels = tf.cast(
                tf.io.decode_raw(tf.io.read_file(names.dequeue()), tf.uint8), "float32"
            )
        queue = v1.FIFOQueue(
            9, [tf.float32, tf.int64], shapes=[[4], []] if shapes else None, name="queue"
        )
        queue.enqueue([tf.reshape(pixels, [4]), tf.constant(1, tf.int64)])
        queue.close()
        images, labels = queue.dequeue_many(8, name="batch") if many else queue.dequeue("batch")
        scores = tf.identity(images * 2, name="scores")
        tf.equal(tf.cast(labels, tf.float32), tf.reduce_max(scores), name="right")

    return made(build)


def test_a_graph_is_fed_behind_its_queue() -> None:
    graph_def = feeding.without_pipeline(queued())
    operations = Counter(node.op for node in graph_def.node)
    assert not [op for op in operations if "Queue" in op or op == "ReadFile"]
    assert "QueueDequeueManyV2" in next(iter(feeding.notes(graph_def)))
    assert input_spec(graph_def, "batch:0").input_shape == (None, 4)
    tensors.check_tensors(graph_def, "batch:0", {"scores": "scores:0"})
    with open_step(graph_def, input="batch:0", outputs=["scores:0"]) as step:
        np.testing.assert_array_equal(step(BATCH)[0], BATCH * 2)


def test_what_is_read_without_a_shape_takes_any() -> None:
    for many in (True, False):
        graph_def = feeding.without_pipeline(queued(shapes=many, many=many))
        with open_step(graph_def, input="batch:0", outputs=["scores:0"]) as step:
            np.testing.assert_array_equal(step(BATCH)[0], BATCH * 2)
    assert input_spec(graph_def, "batch:0").input_shape is None


def test_an_iterator_is_cut_too() -> None:
    import tensorflow as tf

    def build() -> None:
        data = tf.data.Dataset.from_tensors(tf.zeros([4])).repeat().batch(2)
        images = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        tf.nn.relu(images, name="scores")

    graph_def = feeding.without_pipeline(made(build))
    assert sorted(node.op for node in graph_def.node) == ["Placeholder", "Relu"]
    input, outputs = tensors.guess_tensors(graph_def)
    assert outputs == {"scores": "scores:0"} and input == "IteratorGetNext:0"
    with open_step(graph_def, input=input, outputs=["scores:0"]) as step:
        np.testing.assert_array_equal(step(BATCH)[0], BATCH)


def test_other_graphs_stay_as_they_are() -> None:
    graph_def = dropout()
    assert feeding.without_pipeline(graph_def) is graph_def
    assert not list(feeding.notes(graph_def))


def decoding(*shape: int | None) -> GraphDef:
    import tensorflow as tf

    def mean(encoded: Any) -> Any:
        pixels = tf.image.decode_jpeg(encoded, channels=3)
        return tf.reduce_mean(tf.cast(pixels, tf.float32), [0, 1])

    def build() -> None:
        encoded = tf.compat.v1.placeholder(tf.string, shape, name="input")
        found = tf.map_fn(mean, encoded, tf.float32) if shape else mean(encoded)[None]
        tf.identity(found, name="scores")

    return made(build)


def test_encoded_images_are_taken_in_a_batch_or_one_by_one() -> None:
    import tensorflow as tf

    images = encoded_images((2,), 20, 30, np.random.default_rng(0))
    expected = [tf.io.decode_jpeg(each).numpy().mean((0, 1)) for each in images]
    with open_step(decoding(None), input="input:0", outputs=["scores:0"]) as step:
        assert (step.input_dtype, step.input_shape) == ("object", (None,))
        np.testing.assert_allclose(step(images)[0], expected, rtol=1e-4)
    with open_step(decoding(), input="input:0", outputs=["scores:0"]) as step:
        assert step.input_shape == (1,)
        np.testing.assert_allclose(step(images[:1])[0], expected[:1], rtol=1e-4)
        with pytest.raises(RequestError, match=r"made for a batch size of 1"):
            step(images)
        with pytest.raises(RequestError, match=r"bytes.*not an array of float32"):
            step(BATCH)
