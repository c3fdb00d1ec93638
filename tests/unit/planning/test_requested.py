"""What a call may ask for: what is of a wrong kind is named, with its value and what goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner import accuracy, benchmark
from modelzoo_runner.errors import DataRequired, RequestError
from modelzoo_runner.planning.request import Request, check
from modelzoo_runner.values import preset


def checked(**asked: Any) -> Request:
    asked.setdefault("kind", "benchmark")
    return check(Request(**asked), preset.find("resnet50"))


WHOLE = "should be a whole number of at least {}, or None to let the preset decide"
SECONDS = "should be a number of seconds above 0, or None"
WORD = "not one of the values allowed here. {}"
FLAG = "should be True or False"
TEXT = "should map text to text, as {}"
SHAPE = "should be whole numbers of at least 1, as (224, 224, 3)"

BAD: list[tuple[str, Any, str]] = [
    *(("steps", value, WHOLE.format(1)) for value in (0, -5, 2.5, "10", True)),
    *(("batch_size", value, WHOLE.format(1)) for value in (0, "128 ")),
    ("warmup_steps", -1, WHOLE.format(0)),
    ("limit", 0, WHOLE.format(1)),
    ("seed", -1, WHOLE.format(0)),
    *(("min_seconds", value, SECONDS) for value in (0, float("nan"), True)),
    ("timeout", "1m", SECONDS),
    ("precision", "int4", WORD.format("Did you mean 'int8'?")),
    ("precision", "double", WORD.format("Allowed: fp32, int8, bfloat16")),
    ("precision", 8, WORD.format("Allowed: fp32, int8, bfloat16")),
    ("goal", "speed", WORD.format("Allowed: throughput, latency")),
    ("goal", "accuracy", WORD.format("Allowed: throughput, latency")),
    ("isolation", "process", WORD.format("Allowed: auto, none, child")),
    ("binding", "taskset", WORD.format("Allowed: sched_setaffinity, numactl, none")),
    *(
        (name, "no", FLAG)
        for name in ("optimize", "allow_unsafe_ops", "strict", "stream", "allow_partial")
    ),
    ("input", 5, "should be text or a path"),
    ("outputs", ["a"], TEXT.format({"scores": "predict:0"})),
    ("outputs", {"scores": 1}, TEXT.format({"scores": "predict:0"})),
    *(("env", value, TEXT.format({"OMP_NUM_THREADS": "2"})) for value in ({"A": 1}, "A=1")),
    *(("input_shape", value, SHAPE) for value in ((0,), (), "224,224,3", 5, (2.5,))),
    *(("cpus", value, "give ids, or text as '0-3,8'") for value in (5, [], [-1], ["0"])),
    (
        "docker_image",
        "--privileged",
        "should be the name of an image, such as registry.example.org/modelzoo-runner:1",
    ),
]


@pytest.mark.parametrize(("name", "value", "what"), BAD)
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(
    name: str, value: Any, what: str
) -> None:
    with pytest.raises(RequestError) as raised:
        checked(**{name: value})
    assert str(raised.value) == f"{name}={value!r}: {what}"


@pytest.mark.parametrize("env", [{"": "1"}, {"A=B": "1"}, {"A": "\0"}])
def test_what_no_variable_can_be(env: dict[str, str]) -> None:
    with pytest.raises(RequestError) as raised:
        checked(env=env)
    assert str(raised.value) == (
        f"env={env}: can't be a variable: a name isn't empty and has no '=', and neither it nor "
        "its value holds a NUL"
    )


def test_a_role_that_no_output_has() -> None:
    with pytest.raises(RequestError) as raised:
        checked(outputs={"score": "predict:0"})
    assert str(raised.value).startswith(
        "outputs={'score': 'predict:0'}: there is no role 'score'. Did you mean 'scores'"
    )


def test_plain_values_come_out() -> None:
    found = checked(
        steps=np.int64(3), input_shape=[np.int32(8), 8, 3], cpus=range(2), input=Path("a:0")
    )
    assert (found.steps, found.input_shape, found.cpus) == (3, (8, 8, 3), (0, 1))
    assert found.input == "a:0" and type(found.steps) is int


def test_accuracy_needs_data() -> None:
    with pytest.raises(DataRequired) as raised:
        checked(kind="accuracy")
    assert str(raised.value) == (
        "data_location: accuracy() needs labelled data: a folder of ImageNet validation TFRecords "
        "(validation-*-of-*), on this machine or at gs://"
    )


def test_annotations_are_for_detectors() -> None:
    with pytest.raises(RequestError) as raised:
        checked(annotations="a.json")
    assert str(raised.value) == (
        "annotations='a.json': only for detectors; the labels of a classifier's images are in its "
        "records"
    )


def test_a_timeout_needs_a_child() -> None:
    with pytest.raises(RequestError) as raised:
        checked(timeout=5, isolation="none")
    assert str(raised.value) == (
        'timeout: only a child process can be ended from outside; use isolation="auto" or "child"'
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": None}, "weights=None: should be text or a path"),
        ({"weights": b"a.pb"}, "weights=b'a.pb': should be text or a path"),
        ({"data_location": 5}, "data_location=5: should be text or a path"),
        ({"offline": "no"}, "offline='no': should be True or False"),
        ({"progress": 5}, "progress=5: should be a function, or None"),
        (
            {"model": None},
            "model=None: should be a model's name, a path to a frozen graph (.pb) or to a preset "
            "(.toml), or a Preset",
        ),
        (
            {"model": "graph.pb", "precision": "fp16"},
            "precision='fp16': not one of the values allowed here. Allowed: fp32, int8, bfloat16",
        ),
    ],
)
@pytest.mark.parametrize("verb", [benchmark, accuracy])
def test_what_the_verbs_themselves_take(verb: Any, asked: dict[str, Any], said: str) -> None:
    given = {"model": "resnet50", "data_location": "/data", **asked}
    with pytest.raises(RequestError) as raised:
        verb(**given)
    assert str(raised.value) == said


@pytest.mark.parametrize("more", [{}, {"checkpoint": "kept"}])
def test_where_predictions_cannot_go_is_said_before_anything_is_fetched(
    more: dict[str, Any], tmp_path: Path
) -> None:
    nowhere = tmp_path / "none" / "found.csv"
    with pytest.raises(RequestError) as raised:
        accuracy("resnet50", data_location=tmp_path / "data", predictions=nowhere, **more)
    assert str(raised.value) == (
        f"predictions={str(nowhere)!r}: can't be written: no writable folder {tmp_path / 'none'}"
    )
