from __future__ import annotations

import numpy as np
import pytest
from graphs_made import batch_of, graph_of, made, node, ops, placeholder, run, while_loop

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.prepare import (
    clear_devices,
    prune,
    remove_pass_through,
)
from modelzoo_runner.backends.tensorflow.structure import CONTROL_FLOW


def draft(*nodes: tuple[str, ...], fixed: tuple[str, ...] = ("in", "out")) -> Draft:
    return Draft(graph_of(*(node(*each) for each in nodes)), fixed)


def edges(made: Draft) -> dict[str, list[str]]:
    return {name: list(each.input) for name, each in made.nodes.items()}


@pytest.mark.parametrize(
    "op",
    [
        *("Identity", "Snapshot", "StopGradient"),
        *("PreventGradient", "CheckNumerics", "PlaceholderWithDefault"),
    ],
)
def test_nodes_that_hand_on_their_input_are_taken_out(op: str) -> None:
    made = draft(("in", "P"), ("a", op, "in:1"), ("b", op, "a:0"), ("out", "Relu", "b"))
    assert remove_pass_through(made) == 2
    assert edges(made) == {"in": [], "out": ["in:1"]}


def test_what_waited_for_one_waits_for_what_it_waited_for() -> None:
    made = draft(
        ("in", "P"), ("a", "Identity", "in:1"), ("out", "Relu", "in", "^in", "^a"), ("x", "R", "^a")
    )
    assert remove_pass_through(made) == 1
    assert edges(made) == {"in": [], "out": ["in", "^in"], "x": ["^in"]}


def test_one_that_waits_stays() -> None:
    made = draft(("in", "P"), ("c", "Assert"), ("a", "Identity", "in", "^c"), ("out", "Relu", "a"))
    assert remove_pass_through(made) == 0


def test_one_that_is_fed_or_fetched_stays() -> None:
    made = draft(("in", "Identity", "p"), ("p", "P"), ("out", "Identity", "in"))
    assert remove_pass_through(made) == 0


@pytest.mark.parametrize("op", sorted(CONTROL_FLOW))
def test_one_beside_control_flow_stays(op: str) -> None:
    behind = draft(("s", op), ("a", "Identity", "s:1"), ("out", "Relu", "a"))
    before = draft(("in", "P"), ("a", "Identity", "in"), ("out", op, "a"), fixed=("in",))
    waits = draft(("in", "P"), ("a", "Identity", "in"), ("m", op, "^a"), fixed=("in",))
    assert [remove_pass_through(each) for each in (behind, before, waits)] == [0, 0, 0]


def test_nodes_that_no_output_needs_are_dropped() -> None:
    made = draft(
        ("in", "P"), ("wait", "Assert"), ("out", "Relu", "in", "^wait"), ("loss", "Mean", "out")
    )
    assert prune(made) == 1
    assert sorted(made.nodes) == ["in", "out", "wait"]


def test_places_are_forgotten() -> None:
    made = draft(("in", "P"))
    made.nodes["in"].device = "/job:worker/task:3/gpu:0"
    made.nodes["in"].attr["_class"].list.s.append(b"loc:@gone")
    clear_devices(made)
    assert made.nodes["in"].device == ""
    assert not made.nodes["in"].attr


def test_loops_and_branches_of_tensorflow_1_compute_the_same() -> None:
    import tensorflow as tf

    def branches() -> None:
        tf.compat.v1.disable_control_flow_v2()
        try:
            image = tf.identity(placeholder(None, 4))
            chosen = tf.compat.v1.cond(
                tf.reduce_sum(image) > 0,
                lambda: tf.stop_gradient(tf.identity(image)) + 1.0,
                lambda: tf.identity(image * 3.0),
            )
        finally:
            tf.compat.v1.enable_control_flow_v2()
        tf.identity(tf.identity(chosen) * 2.0, name="output")

    for graph_def in (made(branches), while_loop()):
        copy = Draft(graph_def, ["input", "output"])
        prune(copy)
        remove_pass_through(copy)
        for batch in (batch_of(2, 4) + 2, batch_of(2, 4) - 2):
            before, after = (run(each, batch, "output:0") for each in (graph_def, copy.graph_def()))
            np.testing.assert_array_equal(before, after)


def test_what_has_to_happen_first_still_does() -> None:
    import tensorflow as tf

    def build() -> None:
        tf.compat.v1.disable_control_flow_v2()
        image = placeholder(None, 4)
        positive = tf.compat.v1.Assert(tf.reduce_sum(image) > 0, ["not positive"])
        with tf.control_dependencies([positive]):
            tf.identity(tf.identity(tf.stop_gradient(image)) * 2.0, name="output")
        tf.compat.v1.enable_control_flow_v2()

    from modelzoo_runner.errors import GraphError

    copy = Draft(made(build), ["input", "output"])
    prune(copy)
    remove_pass_through(copy)
    assert "StopGradient" not in ops(copy.graph_def()) or "Assert" in ops(copy.graph_def())
    assert run(copy.graph_def(), np.ones((1, 4), "f4"), "output:0")[0].sum() == 8
    with pytest.raises(GraphError, match="assertion failed"):
        run(copy.graph_def(), -np.ones((1, 4), "f4"), "output:0")
