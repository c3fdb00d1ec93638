"""Whether a run fits in memory, by arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import graphs_made
import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.backend import Model
from modelzoo_runner.errors import BindingError
from modelzoo_runner.execution import memory
from modelzoo_runner.machine import facts
from modelzoo_runner.values.plan import GraphFile, Placement, Plan
from modelzoo_runner.values.preset import Preprocess

MIB = 2**20
PREPROCESS = Preprocess(size=(256, 256), resize="shorter_side", resize_to=256)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "graph.pb"
    with path.open("wb") as file:
        file.truncate(100 * MIB)
    return Plan(
        kind="benchmark",
        model="m",
        task="classification",
        precision="fp32",
        goal="throughput",
        graph=GraphFile(source="path", path=str(path), input="input:0"),
        preprocess=PREPROCESS,
        batch_size=128,
        placement=Placement(inter_threads=1, intra_threads=1),
    )


def test_a_run_has_a_process_weights_and_batches(plan: Plan) -> None:
    need = memory.of(plan)
    assert need.fixed == memory.BARE + 3 * 100 * MIB
    assert need.example == 4 * 256 * 256 * 3 * 4
    assert memory.of(replace(plan, data_location="/data")).example == 0
    assert need.of(0) == need.fixed and need.largest(need.of(7)) == 7
    assert need.largest(need.fixed - 1) == 0


def two_layers() -> Model:
    """`input` [?, ?, ?, 3] -> 64 channels of the same size -> a pool."""
    import tensorflow as tf

    def build() -> None:
        image = graphs_made.placeholder(None, None, None, 3)
        image = tf.nn.conv2d(image, graphs_made.constant(np.ones((3, 3, 3, 64))), 1, "SAME")
        tf.nn.max_pool2d(image, 2, 2, "SAME", name="output")

    return Model(graphs_made.made(build))


def test_the_largest_tensors_of_the_graph_count(plan: Plan) -> None:
    largest = 256 * 256 * 64 * 4 + 128 * 128 * 64 * 4  # of the pool: before it and after
    assert two_layers().least_bytes("input:0", (1, 256, 256, 3)) == largest
    assert two_layers().least_bytes("input:0", (2, 256, 256, 3)) == 2 * largest
    assert two_layers().least_bytes("input:0", (2, 256)) == 0


def test_a_batch_that_does_not_fit_is_refused_with_the_largest_that_does(plan: Plan) -> None:
    of_each = 4 * 256 * 256 * 3 * 4 + 256 * 256 * 64 * 4 + 128 * 128 * 64 * 4
    fits = 200 * MIB + 9 * of_each
    memory.require(replace(plan, batch_size=9), two_layers(), fits)
    with pytest.raises(BindingError, match="at most batch_size=9 fits") as caught:
        memory.require(replace(plan, batch_size=10), two_layers(), fits)
    assert str(caught.value).startswith("batch_size=10: the run needs at least 4")
    with pytest.raises(BindingError, match="not even one example fits"):
        memory.require(plan, two_layers(), 200 * MIB)


def test_a_run_that_might_take_most_of_the_memory_had_better_be_a_child(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "memory_for_this_process", lambda: 2**34)
    assert not memory.is_tight(plan)
    assert memory.is_tight(replace(plan, batch_size=1024))
    monkeypatch.setattr(facts, "memory_for_this_process", lambda: None)
    assert not memory.is_tight(replace(plan, batch_size=1024))


def test_what_took_too_much_is_to_be_tried_with_less(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "memory_for_this_process", lambda: 2**34)
    assert memory.advice(plan) == "batch_size=128: try 64"
    monkeypatch.setattr(facts, "memory_for_this_process", lambda: memory.of(plan).of(5))
    assert memory.advice(plan) == "batch_size=128: try 5"
    assert "batch_size=128: try 5" in str(memory.exhausted(plan))
