"""What the runtimes besides TensorFlow have in common; none of them is loaded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner.backends import own_files
from modelzoo_runner.backends.base import TensorSpec
from modelzoo_runner.errors import GraphError, MissingDependency, RequestError
from modelzoo_runner.values.plan import Placement

SPEC = TensorSpec(input_dtype="float32", input_shape=(None, 4))


def model(*outputs: str, inputs: tuple[str, ...] = ("input:0",)) -> own_files.Model:
    return own_files.Model(path="/m.onnx", inputs=dict.fromkeys(inputs, SPEC), outputs=outputs)


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingDependency, match=r"no_such_package.*modelzoo_runner\[openvino\]"):
        own_files.require("openvino", ("json", "no_such_package"))


def test_one_output_is_the_scores() -> None:
    assert model("probabilities").guess_tensors() == ("input:0", {"scores": "probabilities"})


def test_a_detectors_outputs_are_told_by_their_names() -> None:
    names = ("detection_boxes:0", "num_detections:0", "detection_scores:0", "detection_classes:0")
    _, found = model(*names).guess_tensors()
    assert sorted(found.values()) == sorted(names)
    assert all(tensor == f"{role}:0" for role, tensor in found.items())


def test_what_cant_be_guessed_says_what_there_is() -> None:
    with pytest.raises(GraphError, match=r"outputs=.*a, b"):
        model("a", "b").guess_tensors()
    with pytest.raises(GraphError, match=r"input=.*x, y"):
        model("a", inputs=("x", "y")).guess_tensors()


@pytest.mark.parametrize(("input", "output"), [("inptu:0", "a"), ("input:0", "b")])
def test_a_tensor_that_isnt_there(input: str, output: str) -> None:
    with pytest.raises(GraphError, match="no tensor"):
        model("a").check_tensors(input, {"scores": output})


def test_constants_belong_to_a_frozen_graph() -> None:
    with pytest.raises(GraphError, match="feeds"):
        model("a").with_feeds({"keep_prob:0": 1.0})


@pytest.mark.parametrize(
    "batch", [np.zeros((2, 4)), np.zeros((2, 5), np.float32), np.zeros(4, np.float32)]
)
def test_a_batch_that_doesnt_fit(batch: Any) -> None:
    step = own_files.Step(SPEC, lambda batch: [batch], "The runtime")
    assert step(np.zeros((2, 4), np.float32))[0].shape == (2, 4)
    with pytest.raises(RequestError, match=r"float32 \[\?, 4\]"):
        step(batch)


def test_a_failing_runtime_is_a_graph_error_and_a_closed_step_a_request_error() -> None:
    def run(batch: Any) -> Any:
        raise RuntimeError("Check 'x' failed at src/core.cpp:1:\nthe shapes don't match")

    step = own_files.Step(SPEC, run, "The runtime")
    with pytest.raises(GraphError, match="The runtime can't run the model: the shapes don't match"):
        step(np.zeros((1, 4), np.float32))
    step.close()
    with pytest.raises(RequestError, match="closed"):
        step(np.zeros((1, 4), np.float32))


def test_inter_op_threads_that_were_asked_for_are_not_dropped_in_silence() -> None:
    placement = Placement(inter_threads=2, intra_threads=1, why={"inter_threads": "argument"})
    assert "num_inter_threads=2" in own_files.thread_notes(placement, "OpenVINO")[0]
    by_preset = dataclasses.replace(placement, why={"inter_threads": "preset"})
    assert own_files.thread_notes(by_preset, "OpenVINO") == []


def test_a_description_that_isnt_there_or_is_broken(tmp_path: Path) -> None:
    assert own_files.description(tmp_path / "a.onnx") == {}
    own_files.description_file(tmp_path / "a.onnx").write_text("{")
    assert own_files.description(tmp_path / "a.onnx") == {}
