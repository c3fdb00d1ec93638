from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner import codec, preset, resolve
from modelzoo_runner.errors import DataRequired, RequestError
from modelzoo_runner.plan import Placement, Plan
from modelzoo_runner.resolve import Request

PLACEMENT = Placement(inter_threads=1, intra_threads=4, why={"intra_threads": "machine"})


def plan(**asked: Any) -> Plan:
    asked.setdefault("kind", "benchmark")
    model = preset.find(asked.pop("model", "resnet50"))
    return resolve.resolve(model, resolve.check(Request(**asked), model), PLACEMENT)


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


def test_numpy_integers_are_numbers() -> None:
    assert plan(steps=np.int64(3)).steps == 3


BAD: list[tuple[str, Any, str]] = [
    ("steps", 0, "steps=0: should be a whole number of at least 1"),
    ("steps", -5, "steps=-5: should be a whole number of at least 1"),
    ("steps", 2.5, "steps=2.5: should be a whole number of at least 1"),
    ("steps", "10", "steps='10': should be a whole number of at least 1"),
    ("steps", True, "steps=True: should be a whole number of at least 1"),
    ("batch_size", 0, "batch_size=0: should be a whole number of at least 1"),
    ("batch_size", "128 ", "batch_size='128 ': should be a whole number of at least 1"),
    ("warmup_steps", -1, "warmup_steps=-1: should be a whole number of at least 0"),
    ("limit", 0, "limit=0: should be a whole number of at least 1"),
    ("seed", -1, "seed=-1: should be a whole number of at least 0"),
    ("min_seconds", 0, "min_seconds=0: should be a number of seconds above 0"),
    ("min_seconds", float("nan"), "min_seconds=nan: should be a number of seconds above 0"),
    ("timeout", "1m", "timeout='1m': should be a number of seconds above 0"),
    (
        "precision",
        "int4",
        "precision='int4': not one of the values allowed here. Did you mean 'int8'?",
    ),
    ("precision", "double", "Allowed: fp32, int8, bfloat16"),
    ("goal", "speed", "goal='speed': not one of the values allowed here. Allowed: throughput"),
    ("isolation", "process", "isolation='process': not one of the values allowed here."),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(
    name: str, value: Any, message: str
) -> None:
    with pytest.raises(RequestError) as raised:
        plan(**{name: value})
    assert message in str(raised.value)


def test_accuracy_needs_data() -> None:
    with pytest.raises(DataRequired, match=r"data_location: accuracy\(\) needs labelled data"):
        plan(kind="accuracy")


def test_a_random_int8_graph_has_the_tensors_of_the_float_one() -> None:
    model = preset.find("resnet50")
    moved = dataclasses.replace(model.graph["int8"], input="elsewhere:0")
    model = dataclasses.replace(model, graph={**model.graph, "int8": moved})
    for weights, input in (("random", "input:0"), ("a.pb", "elsewhere:0")):
        request = Request(kind="benchmark", weights=weights, precision="int8")
        resolved = resolve.resolve(model, resolve.check(request, model), PLACEMENT)
        assert (resolved.precision, resolved.graph.input) == ("int8", input)
        assert resolved.warmup_steps == 50  # as the preset recommends for int8


def test_a_preset_without_an_int8_graph_has_a_random_one() -> None:
    model = preset.find("resnet50")
    model = dataclasses.replace(model, graph={"fp32": model.graph["fp32"]}, run={})
    request = Request(kind="benchmark", weights="random", precision="int8")
    resolved = resolve.resolve(model, resolve.check(request, model), PLACEMENT)
    assert (resolved.precision, resolved.batch_size) == ("int8", 1)
    with pytest.raises(RequestError) as raised:
        resolve.check(Request(kind="benchmark", precision="int8"), model)
    assert str(raised.value) == (
        "precision='int8': not one of the values allowed here. Allowed: fp32, bfloat16"
    )


def test_a_preset_with_an_int8_graph_only_runs_that() -> None:
    model = preset.find("resnet50")
    model = dataclasses.replace(model, graph={"int8": model.graph["int8"]})
    request = Request(kind="benchmark", weights="random", precision="int8")
    assert resolve.resolve(model, resolve.check(request, model), PLACEMENT).graph.input == "input:0"


def test_a_timeout_needs_a_child() -> None:
    with pytest.raises(RequestError, match="only a child process can be ended from outside"):
        plan(timeout=5, isolation="none")


@pytest.mark.parametrize("name", preset.names())
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
