"""The recommended runs (that they are the README's is in test_pipeline.py)."""

from __future__ import annotations

import pytest

from modelzoo_runner.errors import RequestError, UnknownModel
from modelzoo_runner.planning.recommended import BestKnown, best_known
from modelzoo_runner.values import presets
from modelzoo_runner.values.preset import Run


def test_all_of_them() -> None:
    known = best_known()

    assert len(known) == 42 + 6  # the README's, hidden ones too, and those of mobilenet_v1
    assert len({(each.model, each.precision, each.goal) for each in known}) == len(known)


def test_those_of_one_model() -> None:
    assert [(each.precision, each.goal, each.run) for each in best_known("resnet50")] == [
        ("fp32", "throughput", Run(batch_size=128)),
        ("fp32", "latency", Run(batch_size=1)),
        ("fp32", "accuracy", Run(batch_size=100)),
        ("int8", "throughput", Run(batch_size=128, warmup_steps=50, steps=450)),
        ("int8", "latency", Run(batch_size=1, warmup_steps=50, steps=450)),
        ("int8", "accuracy", Run(batch_size=100)),
    ]


def test_a_detectors_one_benchmark_is_listed_once() -> None:
    assert [each.goal for each in best_known("rfcn", "fp32")] == ["throughput", "accuracy"]


def test_those_of_one_precision() -> None:
    known = best_known(precision="int8")

    assert {each.precision for each in known} == {"int8"}
    assert {each.model for each in known} == set(presets.names())


def test_the_parameters_of_old() -> None:
    known = BestKnown(
        model="inceptionv4", precision="int8", goal="accuracy", run=Run(batch_size=100)
    )

    assert known.parameters == {
        "model_name": "inceptionv4",
        "precision": "int8",
        "batch_size": "100",
        "benchmark_or_accuracy": "accuracy",
    }


def test_an_unknown_model() -> None:
    with pytest.raises(UnknownModel, match=r"^model='resnet5': .* Did you mean 'resnet50'"):
        best_known("resnet5")


def test_an_unknown_precision() -> None:
    with pytest.raises(RequestError, match=r"^precision='fp16': should be fp32 or int8$"):
        best_known(precision="fp16")
