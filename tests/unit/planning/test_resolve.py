from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning import resolve
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.validation import check
from modelzoo_runner.values import codec, preset, presets
from modelzoo_runner.values.plan import GraphFile, Image, Placement, Plan

PLACEMENT = Placement(inter_threads=1, intra_threads=4, why={"intra_threads": "machine"})


def plan(**asked: Any) -> Plan:
    asked.setdefault("kind", "benchmark")
    model = presets.find(asked.pop("model", "resnet50"))
    return resolve.resolve(model, check(Request(**asked), model), PLACEMENT)


def test_an_argument_comes_before_the_preset_and_the_preset_before_the_library() -> None:
    resolved = plan(precision="int8", steps=7)
    assert (resolved.steps, resolved.why["steps"]) == (7, "argument")
    assert (resolved.batch_size, resolved.why["batch_size"]) == (128, "preset")
    assert (resolved.warmup_steps, resolved.why["warmup_steps"]) == (50, "preset")
    fp32 = plan()
    assert (fp32.warmup_steps, fp32.why["warmup_steps"]) == (10, "library default")
    assert fp32.why["placement.intra_threads"] == "machine"


def test_the_goal_picks_the_recommended_run() -> None:
    assert plan(goal="latency").batch_size == 1
    assert plan(goal="throughput").batch_size == 128
    assert plan(kind="accuracy", data_location="here").batch_size == 100


def test_an_accuracy_run_has_no_steps_and_no_warm_up() -> None:
    resolved = plan(kind="accuracy", data_location="here", limit=10)
    assert (resolved.steps, resolved.warmup_steps, resolved.limit) == (None, 0, 10)
    assert resolved.goal == "accuracy"


def test_bfloat16_runs_the_fp32_graph() -> None:
    assert plan(precision="bfloat16").graph.outputs == plan().graph.outputs
    assert plan(precision="bfloat16").batch_size == 128


@pytest.mark.parametrize(
    ("weights", "source"), [("pretrained", "pretrained"), ("random", "random"), ("a.pb", "path")]
)
def test_the_three_sources_of_a_graph(weights: str, source: str) -> None:
    assert plan(weights=weights).graph.source == source


DETECTOR = presets.find("ssd-mobilenet")
PREPARES = preset.PreprocessGraph(
    files=(preset.RemoteFile(url="https://example.org/small.pb"),), input="in:0", output="out:0"
)


def prepared(known: preset.PreprocessGraph, **asked: Any) -> Plan:
    """The plan for a detector whose preset has a graph that prepares images."""
    graph = dataclasses.replace(DETECTOR.graph["int8"], input="fed:0", preprocess_graph=known)
    model = dataclasses.replace(DETECTOR, graph={"int8": graph})
    request = check(Request(kind="benchmark", precision="int8", **asked), model)
    return resolve.resolve(model, request, PLACEMENT)


def test_the_graph_that_prepares_images_is_the_presets() -> None:
    found = prepared(PREPARES)
    assert found.preprocess_graph == GraphFile(
        source="pretrained", path="pretrained", input="in:0", outputs={"image": "out:0"}
    )
    assert found.why["preprocess_graph"] == "preset"
    assert prepared(PREPARES, input="fed:0").preprocess_graph == found.preprocess_graph
    assert codec.from_dict(codec.to_dict(found), Plan) == found


def test_a_graph_that_is_fed_elsewhere_is_not_fed_with_what_the_preset_prepares() -> None:
    assert prepared(PREPARES, input="image_tensor:0").preprocess_graph is None
    assert "preprocess_graph" not in prepared(PREPARES, input="image_tensor:0").why


def test_the_graph_that_prepares_images_is_the_one_given() -> None:
    # Its tensors are the preset's, where the preset knows them.
    found = prepared(PREPARES, preprocess_graph="small.pb")
    assert found.preprocess_graph == GraphFile(
        source="path", path="small.pb", input="in:0", outputs={"image": "out:0"}
    )
    assert found.why["preprocess_graph"] == "argument"
    other = plan(model="ssd-mobilenet", input="fed:0", preprocess_graph="small.pb")
    assert other.preprocess_graph == GraphFile(source="path", path="small.pb")
    assert plan(model="ssd-mobilenet").preprocess_graph is None


def test_a_graph_that_prepares_images_can_not_be_had_or_not_be_used() -> None:
    nowhere = preset.PreprocessGraph(input="in:0", output="out:0")
    with pytest.raises(RequestError, match="not where it is published"):
        prepared(nowhere)
    assert prepared(nowhere, preprocess_graph="small.pb").preprocess_graph is not None


def test_masks_are_fetched_too_unless_outputs_are_named() -> None:
    assert plan(model="rfcn").graph.optional == {"detection_masks": "detection_masks:0"}
    named = plan(model="rfcn", outputs={"detection_boxes": "b:0"}).graph
    assert (named.outputs, named.optional) == ({"detection_boxes": "b:0"}, {})
    assert plan(model="resnet50").graph.optional == {}


def test_numpy_integers_are_numbers() -> None:
    assert plan(steps=np.int64(3)).steps == 3


def test_a_random_int8_graph_has_the_tensors_of_the_float_one() -> None:
    model = presets.find("resnet50")
    moved = dataclasses.replace(model.graph["int8"], input="elsewhere:0")
    model = dataclasses.replace(model, graph={**model.graph, "int8": moved})
    for weights, input in (("random", "input:0"), ("a.pb", "elsewhere:0")):
        request = Request(kind="benchmark", weights=weights, precision="int8")
        resolved = resolve.resolve(model, check(request, model), PLACEMENT)
        assert (resolved.precision, resolved.graph.input) == ("int8", input)
        assert resolved.warmup_steps == 50  # as the preset recommends for int8


def test_a_preset_without_an_int8_graph_has_a_random_one() -> None:
    model = presets.find("resnet50")
    model = dataclasses.replace(model, graph={"fp32": model.graph["fp32"]}, run={})
    request = Request(kind="benchmark", weights="random", precision="int8")
    resolved = resolve.resolve(model, check(request, model), PLACEMENT)
    assert (resolved.precision, resolved.batch_size) == ("int8", 1)
    with pytest.raises(RequestError, match=r"precision='int8'.*Allowed: fp32, bfloat16"):
        check(Request(kind="benchmark", precision="int8"), model)


def test_a_preset_with_an_int8_graph_only_runs_that() -> None:
    model = presets.find("resnet50")
    model = dataclasses.replace(model, graph={"int8": model.graph["int8"]})
    request = Request(kind="benchmark", weights="random", precision="int8")
    assert resolve.resolve(model, check(request, model), PLACEMENT).graph.input == "input:0"


def test_a_run_in_a_container() -> None:
    assert plan(docker_image="mine:1").docker_image == Image(name="mine:1")
    with pytest.raises(RequestError, match="docker_image='mine:1'"):
        plan(docker_image="mine:1", isolation="none")


@pytest.mark.parametrize("name", presets.names())
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("kind", ["benchmark", "accuracy"])
def test_every_preset_resolves_and_its_plan_travels(name: str, precision: str, kind: Any) -> None:
    resolved = plan(model=name, precision=precision, kind=kind, data_location="here")
    assert codec.from_dict(codec.to_dict(resolved), Plan) == resolved


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_what_is_asked_for_is_what_is_planned(batch: int, warmup: int, steps: int) -> None:
    resolved = plan(batch_size=batch, warmup_steps=warmup, steps=steps)
    assert (resolved.batch_size, resolved.warmup_steps, resolved.steps) == (batch, warmup, steps)


def test_a_plan_can_be_varied() -> None:
    assert dataclasses.replace(plan(), batch_size=3).batch_size == 3
