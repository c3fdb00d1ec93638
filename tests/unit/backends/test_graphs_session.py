from __future__ import annotations

import gc

import numpy as np
import pytest
from graphs_made import (
    batch_of,
    classifier,
    constant,
    graph_of,
    made,
    node,
    placeholder,
    while_loop,
)

from modelzoo_runner.backends.base import TensorSpec, show_shape
from modelzoo_runner.backends.tensorflow.session import Step, input_spec, open_step
from modelzoo_runner.errors import GraphError, RequestError


def opened(graph_def: object = None, output: str = "scores:0", **options: object) -> Step:
    return open_step(graph_def or classifier(), input="input:0", outputs=[output], **options)


def test_a_step_gives_the_outputs_in_the_order_asked_for() -> None:
    outputs = ["scores:0", "conv:0", "scores:0"]
    with open_step(classifier(), input="input:0", outputs=outputs) as step:
        assert step.input_dtype == "float32"
        assert step.input_shape == (None, 8, 8, 3)
        scores, inner, again = step(batch_of(3, 8, 8, 3))
    assert (scores.shape, inner.shape) == ((3, 5), (3, 4, 4, 5))
    assert scores.sum(axis=1) == pytest.approx(1.0)
    np.testing.assert_array_equal(scores, again)


def test_it_computes_what_tensorflow_computes() -> None:
    import tensorflow as tf

    batch = batch_of(2, 8, 8, 3)
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(classifier(), name="")
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run("scores:0", {"input:0": batch})
    with opened() as step:
        np.testing.assert_array_equal(step(batch)[0], expected)


def test_without_rewriting_the_results_are_the_same() -> None:
    batch = batch_of(2, 8, 8, 3)
    with opened() as step, opened(rewrite=False) as plain:
        np.testing.assert_allclose(step(batch)[0], plain(batch)[0], atol=1e-6)


@pytest.mark.parametrize(
    "graph_def, output", [(classifier(), "scores:0"), (while_loop(), "output:0")]
)
def test_one_inter_op_thread_gives_the_same_with_and_without_loops(
    graph_def: object, output: str
) -> None:
    with opened(graph_def, output, inter_threads=2) as by_queue:
        shape = [size or 2 for size in by_queue.input_shape or ()]
        batch = batch_of(*shape)
        expected = by_queue(batch)[0]
    with opened(graph_def, output, inter_threads=1) as in_order:
        np.testing.assert_array_equal(in_order(batch)[0], expected)
        np.testing.assert_array_equal(in_order(batch)[0], expected)


def test_a_kernel_that_fails_is_named_where_operations_run_in_order() -> None:
    def build() -> None:
        import tensorflow as tf

        tf.gather(constant([1.0, 2.0]), placeholder(None, dtype="int32"), name="picked")

    with (
        opened(made(build), "picked:0", inter_threads=1) as step,
        pytest.raises(GraphError, match="'picked'"),
    ):
        step(np.array([7], np.int32))


def test_a_graph_that_tensorflow_holds_already_is_run_as_it_is() -> None:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(classifier(), name="")
    batch = batch_of(2, 8, 8, 3)
    with opened() as step, opened(graph) as held:
        np.testing.assert_array_equal(step(batch)[0], held(batch)[0])


def test_what_is_fed_is_known_without_a_session() -> None:
    with opened() as step:
        assert input_spec(classifier(), "input:0") == TensorSpec(
            input_dtype=step.input_dtype, input_shape=step.input_shape
        )
    assert input_spec(classifier(), "conv:0") == TensorSpec(
        input_dtype="float32", input_shape=(None, 4, 4, 5)
    )


def test_every_batch_size_and_layout_in_memory_is_taken() -> None:
    batch = batch_of(4, 8, 8, 3)
    with opened() as step:
        whole = step(batch)[0]
        for size in (1, 2, 3):
            assert step(batch[:size])[0] == pytest.approx(whole[:size], abs=1e-6)
        turned = np.asfortranarray(batch)
        np.testing.assert_array_equal(step(turned)[0], whole)
        assert step(batch[::-1])[0] == pytest.approx(whole[::-1], abs=1e-6)


def test_outputs_of_earlier_steps_stay_as_they_are() -> None:
    with opened() as step:
        first = step(batch_of(2, 8, 8, 3, seed=1))[0]
        kept = first.copy()
        step(batch_of(2, 8, 8, 3, seed=2))
        np.testing.assert_array_equal(first, kept)
    gc.collect()
    np.testing.assert_array_equal(first, kept)


def test_a_graph_with_a_loop_runs() -> None:
    with opened(while_loop(), "output:0") as step:
        np.testing.assert_array_equal(step(np.ones((2, 4), "f4"))[0], np.full((2, 4), 8.0))


def test_the_graph_stays_the_same_over_steps() -> None:
    with opened() as step:
        graph = step._session.graph
        before = len(graph.get_operations())
        for _ in range(5):
            step(batch_of(1, 8, 8, 3))
        assert len(graph.get_operations()) == before
        assert graph.finalized


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (np.zeros((2, 8, 8, 3)), "the graph takes an array of float32, not an array of float64"),
        ([1.0], "the graph takes an array of float32, not list"),
        (
            np.zeros((8, 8, 3), "f4"),
            "the graph takes the shape [?, 8, 8, 3], not [8, 8, 3]. The first dimension is the "
            "batch: a single example is batch[None]",
        ),
        (
            np.zeros((2, 8, 9, 3), "f4"),
            "the graph takes the shape [?, 8, 8, 3], not [2, 8, 9, 3]",
        ),
    ],
)
def test_another_batch_than_the_graph_takes_is_refused(batch: object, said: str) -> None:
    with opened() as step, pytest.raises(RequestError) as error:
        step(batch)
    assert str(error.value) == f"batch: {said}"


def test_another_batch_size_than_a_fixed_one_is_refused() -> None:
    import tensorflow as tf

    graph_def = made(lambda: tf.nn.relu(placeholder(4, 3), name="output"))
    with (
        opened(graph_def, "output:0") as step,
        pytest.raises(RequestError, match=r"batch: .*\[4, 3\], not \[8, 3\].*batch size of 4"),
    ):
        step(np.zeros((8, 3), "f4"))


def test_a_graph_may_leave_the_rank_open() -> None:
    import tensorflow as tf

    graph_def = made(
        lambda: tf.nn.relu(tf.compat.v1.placeholder("float32", name="input"), "output")
    )
    with opened(graph_def, "output:0") as step:
        assert step.input_shape is None
        assert step(np.ones((2, 3), "f4"))[0].shape == (2, 3)
        assert step(np.ones(2, "f4"))[0].shape == (2,)


def test_a_closed_step_says_so() -> None:
    step = opened()
    step.close()
    step.close()
    with pytest.raises(RequestError, match="this step is closed: open another one with open_step"):
        step(batch_of(1, 8, 8, 3))


def test_what_fails_while_running_is_one_sentence() -> None:
    import tensorflow as tf

    graph_def = made(lambda: tf.reshape(placeholder(None, None), [3, 3], name="output"))
    with opened(graph_def, "output:0") as step:
        with pytest.raises(GraphError) as error:
            step(np.zeros((2, 4), "f4"))
        # And the step can go on.
        assert step(np.zeros((3, 3), "f4"))[0].shape == (3, 3)
    assert "8 values, but the requested shape has 9" in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_graph_that_tensorflow_refuses_is_one_sentence() -> None:
    with pytest.raises(GraphError) as error:
        opened(graph_of(node("input", "Placeholder"), node("scores", "Relu", "input")))
    assert str(error.value).startswith("TensorFlow doesn't take the graph: ")
    assert "\n" not in str(error.value)


def test_a_tensor_that_is_not_there_is_an_error_about_the_graph() -> None:
    with pytest.raises(GraphError, match=r"TensorFlow doesn't take the graph: .*'gone:0'"):
        opened(output="gone:0")


def test_a_kernel_that_is_not_there_is_an_error_about_the_graph() -> None:
    graph_def = made(lambda: placeholder(None, 4))
    for_gpus = graph_def.node.add(name="output", op="NcclAllReduce", input=["input"])
    for_gpus.attr["T"].type = 1
    for_gpus.attr["num_devices"].i = 1
    for key, value in {"reduction": b"sum", "shared_name": b""}.items():
        for_gpus.attr[key].s = value
    with pytest.raises(GraphError, match="has no CPU kernel for the graph: No OpKernel") as error:
        opened(graph_def, "output:0")
    assert "\n" not in str(error.value)


def test_keyboard_interrupt_passes() -> None:
    def interrupted(batch: object) -> list[object]:
        raise KeyboardInterrupt

    with opened() as step:
        step._run = interrupted
        with pytest.raises(KeyboardInterrupt):
            step(batch_of(1, 8, 8, 3))


def test_threads_reach_the_session() -> None:
    with opened(inter_threads=2, intra_threads=1) as step:
        config = step._session._config
        assert config.inter_op_parallelism_threads == 2
        assert config.intra_op_parallelism_threads == 1
        assert step(batch_of(1, 8, 8, 3))[0].sum() == pytest.approx(1.0, abs=0.02)


def test_an_image_of_bytes_is_taken() -> None:
    import tensorflow as tf

    graph_def = made(
        lambda: tf.add(
            tf.cast(placeholder(None, 2, dtype="uint8"), "float32"), constant(1), "output"
        )
    )
    with opened(graph_def, "output:0") as step:
        assert step.input_dtype == "uint8"
        np.testing.assert_array_equal(step(np.array([[0, 255]], "u1"))[0], [[1.0, 256.0]])


def test_shapes_are_shown_as_people_write_them() -> None:
    assert show_shape(()) == "[]"
    assert show_shape((None, 3)) == "[?, 3]"
