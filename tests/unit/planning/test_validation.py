"""What a call may ask for: what is of a wrong kind is named, with its value and what goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner import accuracy, benchmark
from modelzoo_runner.errors import DataRequired, RequestError
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.validation import check
from modelzoo_runner.values import presets


def checked(**asked: Any) -> Request:
    asked.setdefault("kind", "benchmark")
    return check(Request(**asked), presets.find("resnet50"))


COUNT = "whole number of at least {}"
SECONDS = "number of seconds above 0"
FLAG = "True or False"
TEXT = "should map text to text"
SHAPE = "whole numbers of at least 1"

BAD: list[tuple[str, Any, str]] = [
    *(("steps", value, COUNT.format(1)) for value in (0, -5, 2.5, "10", True)),
    *(("batch_size", value, COUNT.format(1)) for value in (0, "128 ")),
    ("warmup_steps", -1, COUNT.format(0)),
    ("limit", 0, COUNT.format(1)),
    ("seed", -1, COUNT.format(0)),
    *(("min_seconds", value, SECONDS) for value in (0, float("nan"), True)),
    ("timeout", "1m", SECONDS),
    ("precision", "int4", "Did you mean 'int8'?"),
    ("precision", "double", "Allowed: fp32, int8, bfloat16"),
    ("precision", 8, "Allowed: fp32, int8, bfloat16"),
    ("goal", "speed", "Allowed: throughput, latency"),
    ("goal", "accuracy", "Allowed: throughput, latency"),
    ("isolation", "process", "Allowed: auto, none, child"),
    ("binding", "taskset", "Allowed: sched_setaffinity, numactl, none"),
    ("allocator", "mimalloc", "Did you mean 'tcmalloc' or 'jemalloc'"),
    *(
        (name, "no", FLAG)
        for name in ("optimize", "allow_unsafe_ops", "strict", "stream", "allow_partial")
    ),
    ("input", 5, "text or a path"),
    ("outputs", ["a"], TEXT),
    ("outputs", {"scores": 1}, TEXT),
    *(("env", value, TEXT) for value in ({"A": 1}, "A=1")),
    *(("input_shape", value, SHAPE) for value in ((0,), (), "224,224,3", 5, (2.5,))),
    *(("cpus", value, "give ids") for value in (5, [], [-1], ["0"])),
    ("docker_image", "--privileged", "name of an image"),
    ("annotations", "a.json", "only for detectors"),
    ("preprocess_graph", "a.pb", "only for detectors"),
    *(("env", value, "can't be a variable") for value in ({"": "1"}, {"A=B": "1"}, {"A": "\0"})),
    ("outputs", {"score": "predict:0"}, "no role 'score'. Did you mean 'scores'"),
]


@pytest.mark.parametrize(("name", "value", "what"), BAD)
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(
    name: str, value: Any, what: str
) -> None:
    with pytest.raises(RequestError) as raised:
        checked(**{name: value})
    assert str(raised.value).startswith(f"{name}={value!r}: ") and what in str(raised.value)


def test_plain_values_come_out() -> None:
    found = checked(
        steps=np.int64(3), input_shape=[np.int32(8), 8, 3], cpus=range(2), input=Path("a:0")
    )
    assert (found.steps, found.input_shape, found.cpus) == (3, (8, 8, 3), (0, 1))
    assert found.input == "a:0" and type(found.steps) is int


def test_accuracy_needs_data() -> None:
    with pytest.raises(DataRequired, match=r"^data_location: .*validation-\*-of-\*"):
        checked(kind="accuracy")


def test_a_timeout_needs_a_child() -> None:
    with pytest.raises(RequestError, match=r"timeout=.* needs a process"):
        checked(timeout=5, isolation="none")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": None}, "weights=None: should be text"),
        ({"weights": b"a.pb"}, "weights=b'a.pb': should be text"),
        ({"data_location": 5}, "data_location=5: should be text"),
        ({"offline": "no"}, "offline='no': should be"),
        ({"progress": 5}, "progress=5: should be a function"),
        ({"model": None}, "model=None: should be a model's name"),
        ({"model": "graph.pb", "precision": "fp16"}, "Allowed: fp32, int8, bfloat16"),
    ],
)
@pytest.mark.parametrize("verb", [benchmark, accuracy])
def test_what_the_verbs_themselves_take(verb: Any, asked: dict[str, Any], said: str) -> None:
    given = {"model": "resnet50", "data_location": "/data", **asked}
    with pytest.raises(RequestError) as raised:
        verb(**given)
    assert said in str(raised.value)


@pytest.mark.parametrize("more", [{}, {"checkpoint": "kept"}])
def test_where_predictions_cannot_go_is_said_before_anything_is_fetched(
    more: dict[str, Any], tmp_path: Path
) -> None:
    nowhere = tmp_path / "none" / "found.csv"
    with pytest.raises(RequestError) as raised:
        accuracy("resnet50", data_location=tmp_path / "data", predictions=nowhere, **more)
    assert f"predictions={str(nowhere)!r}: can't be written" in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "task"),
    [
        ({}, "classification"),
        ({"data_location": "/images"}, "detection"),
        ({"label_map": "/labels.pbtxt"}, "detection"),
        ({"preprocess_graph": "/prepare.pb"}, "detection"),
    ],
)
def test_a_bare_graph_is_planned_as_a_detector_where_a_classifier_could_not_be(
    asked: dict[str, Any], task: str
) -> None:
    found, request = planner.preset_for("mine.pb", Request(kind="benchmark", **asked))
    assert found.task == task
    assert check(request, found).weights == "mine.pb"
