"""Sessions that take seconds: real detectors, and more than fits into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs_made import (
    made,
    placeholder,
)

from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.errors import RequestError


def test_what_does_not_fit_into_memory_is_an_error_about_the_batch() -> None:
    import tensorflow as tf

    graph_def = made(lambda: tf.tile(placeholder(None, 4), [2**44, 1], name="output"))
    with (
        open_step(graph_def, input="input:0", outputs=["output:0"]) as step,
        pytest.raises(RequestError) as error,
    ):
        step(np.zeros((2, 4), "f4"))
    said = str(error.value)
    assert said.startswith("not enough memory for a batch of shape [2, 4]: OOM when allocating")
    assert said.endswith("Ask for a smaller batch_size")
    assert "\n" not in said


def test_real_detectors_run(samples: Path) -> None:
    from modelzoo_runner.backends.tensorflow.load import read_graph
    from modelzoo_runner.backends.tensorflow.tensors import guess_tensors

    graph_def = read_graph(samples / "graphs" / "ssd_mobilenet_v1_0.75_coco_int8_inc.pb")
    input, outputs = guess_tensors(graph_def)
    image = np.random.default_rng(0).integers(0, 255, (1, 300, 200, 3), "u1")
    with open_step(graph_def, input=input, outputs=list(outputs.values())) as step:
        assert step.input_shape == (None, None, None, 3)
        count, boxes, scores, classes = step(image)
    assert (count.shape, boxes.shape, scores.shape) == ((1,), (1, 100, 4), (1, 100))
    assert classes.shape == (1, 100)
