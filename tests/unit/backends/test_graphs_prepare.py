from __future__ import annotations

import json

import numpy as np
from graphs_made import (
    batch_of,
    graph_of,
    int8_residual,
    node,
    run,
    while_loop,
)

from modelzoo_runner.backends.tensorflow.prepare import prepare


def test_nothing_to_do_leaves_the_graph_as_it_is() -> None:
    graph_def = graph_of(node("input", "Placeholder"), node("output", "Relu", "input"))
    result = prepare(graph_def, input="input:0", outputs=["output:0"])
    assert result.graph_def == graph_def
    assert set(result.changes.values()) == {0}


def test_an_int8_graph_passes_through_unharmed() -> None:
    graph_def = int8_residual()
    result = prepare(graph_def, input="input:0", outputs=["output:0"])
    assert result.graph_def == graph_def
    batch = 6 * np.abs(batch_of(2, 8, 8, 4))
    np.testing.assert_array_equal(
        run(graph_def, batch, "output:0"), run(result.graph_def, batch, "output:0")
    )


def test_a_loop_of_tensorflow_1_computes_the_same() -> None:
    graph_def = while_loop()
    result = prepare(graph_def, input="input:0", outputs=["output:0"])
    batch = batch_of(3, 4)
    np.testing.assert_array_equal(
        run(graph_def, batch, "output:0"), run(result.graph_def, batch, "output:0")
    )


def test_the_changes_can_be_written_as_json() -> None:
    changes = prepare(while_loop(), input="input:0", outputs=["output:0"]).changes
    assert json.loads(json.dumps(dict(changes))) == changes
