"""What a runtime can't do is refused before anything is fetched or run."""

from __future__ import annotations

from typing import Any

import pytest

from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values.plan import Plan


def resolved(model: str = "resnet50", **given: Any) -> Plan:
    preset, request = planner.preset_for(model, Request.of("benchmark", given))
    return planner.resolved(preset, request)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"runtime": "openvno"}, "openvino"),
        ({"runtime": "onnxruntime", "precision": "bfloat16"}, "fp32, int8"),
        ({"runtime": "openvino", "precision": "fp16"}, "precision"),
        ({"runtime": "openvino", "allocator": "tcmalloc"}, "aborts"),
        ({"runtime": "openvino", "docker_image": "tensorflow/tensorflow"}, "docker_image"),
    ],
)
def test_it_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        resolved(**given)


def test_the_runtime_is_the_arguments_or_the_files() -> None:
    pytest.importorskip("onnxruntime")
    assert resolved().runtime == "tensorflow"
    assert resolved("m.onnx").runtime == "onnxruntime"
    assert resolved("m.pb").runtime == "tensorflow"


def test_a_presets_malloc_is_tensorflows() -> None:
    pytest.importorskip("nncf")
    plan = resolved("resnet50", runtime="openvino", precision="int8")
    assert plan.placement.allocator == "system"


def test_another_runtimes_int8_has_the_float32_graphs_tensors() -> None:
    pytest.importorskip("nncf")
    for model in ("resnet50", "ssd-mobilenet"):
        fp32 = resolved(model).graph
        assert resolved(model, runtime="openvino", precision="int8").graph == fp32
