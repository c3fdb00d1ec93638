"""What a graph tells of itself where nobody said it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import models
from modelzoo_runner.backends.tensorflow import backend
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.execution.opening import with_own_facts
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values.plan import Plan

OUTPUTS = dict(models()["rfcn"].graph["fp32"].outputs)


def plan_for(path: Path, **asked: Any) -> Plan:
    preset, request = planner.preset_for(path, Request(kind="benchmark", **asked))
    return with_own_facts(planner.resolved(preset, request), backend.Model(read_graph(path)))


@pytest.mark.parametrize("named", [{}, {"input": "image_tensor:0", "outputs": OUTPUTS}])
def test_detection_tensors_make_a_graph_a_detector_also_when_they_are_named(
    tmp_path: Path, named: dict[str, Any]
) -> None:
    found = plan_for(tiny.detector(tmp_path / "graph.pb", OUTPUTS), **named)
    assert found.task == "detection"
    assert (found.graph.input, found.graph.outputs) == ("image_tensor:0", OUTPUTS)


def test_what_is_named_stays(tmp_path: Path) -> None:
    path = tiny.classifier(tmp_path / "graph.pb")
    outputs = {"scores": "matmul:0"}
    assert plan_for(path, outputs=outputs).graph.outputs == outputs
    assert plan_for(path).graph.outputs == {"scores": "scores:0"}
    assert plan_for(path).task == "classification"


def test_a_graph_alone_is_of_the_precision_that_it_has(samples: Path) -> None:
    int8 = samples / "graphs" / "mobilenet_v1_1.0_224_int8_inc.pb"
    assert plan_for(int8).precision == "int8"
    assert plan_for(int8.with_name("mobilenet_v1_0.25_224_frozen.pb")).precision == "fp32"
