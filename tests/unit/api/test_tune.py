"""tune(): mistakes in its arguments. Nothing is run."""

from __future__ import annotations

from typing import Any

import pytest

from modelzoo_runner import DataRequired, RequestError, tune
from modelzoo_runner.api.tune_steps import refused, unknown
from modelzoo_runner.results.runtimes import Way
from modelzoo_runner.results.tune import Heat, Tried


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objective": "speed"}, "objective='speed'.*throughput"),
        ({"max_latency": 0}, "max_latency=0: should be a number of seconds"),
        ({"min_accuracy": 75}, "min_accuracy=75: should be a number from 0 to 1"),
        ({"budget": None}, "budget=None"),
        ({"budget": "5m"}, "budget='5m'"),
        ({"runtimes": "openvino"}, "runtimes='openvino': should be a list"),
        ({"runtimes": []}, r"runtimes=\[\]"),
        ({"runtimes": ["openvno"]}, "openvino"),
        ({"precisions": ["fp16"]}, "precisions='fp16'"),
        ({"precisions": "fp32"}, "precisions='fp32': should be a list"),
        ({"batch_sizes": [0]}, "batch_sizes=0"),
        ({"batch_sizes": 4}, "batch_sizes=4: should be a list"),
        ({"batch_sizes": [1], "batch_size": 1}, "batch_sizes: not with batch_size"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"min_effect": -1}, "min_effect=-1"),
        ({"checkpoint": 3}, "checkpoint=3"),
        ({"progress": 3}, "progress=3"),
        ({"offline": "no"}, "offline='no'"),
        ({"limit": 0, "data_location": "/x"}, "limit=0"),
        ({"precision": "fp32"}, "precision: can't be given: .*precisions="),
        ({"runtime": "openvino"}, "runtime: can't be given: .*runtimes="),
        ({"goal": "latency"}, "goal: can't be given: .*objective="),
        ({"steps": 5}, "steps: can't be given: .*budget="),
        ({"processes": 5}, "processes: can't be given"),
        ({"docker_image": "a"}, "docker_image: can't be given"),
        ({"batchsize": 4}, "'batchsize' is no argument.*batch_size"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, dict) else "",
)
def test_a_mistake_is_told_before_anything_runs(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        tune("resnet50", **given)


def test_accuracy_needs_data() -> None:
    with pytest.raises(DataRequired, match="data_location"):
        tune("resnet50", min_accuracy=0.7)


def test_what_is_less_accurate_than_allowed_is_left_out_with_its_score() -> None:
    good = Way(runtime="tensorflow", precision="fp32", scores={"top1": 0.75, "top5": 0.9})
    poor = Way(runtime="tensorflow", precision="int8", scores={"top1": 0.5, "top5": 0.9})
    unknown = Way(runtime="openvino", precision="int8", problem="not installed")
    found = dict(refused((good, poor, unknown), 0.7))
    assert set(found) == {("tensorflow", "int8"), ("openvino", "int8")}
    assert found["tensorflow", "int8"].dropped == "min_accuracy=0.7: top1 is 0.5"
    assert found["openvino", "int8"].dropped == "min_accuracy=0.7: not installed"
    with pytest.raises(RequestError, match=r"nothing is as accurate.*int8.*0.5"):
        dict(refused((poor, unknown), 0.7))


def test_a_precision_that_was_not_scored_is_never_silent() -> None:
    heats = (Heat(seconds=(0.1,), reference_seconds=(0.1,)),)

    def tried(precision: str, heats: tuple[Heat, ...] = heats) -> Tried:
        return Tried(settings={}, runtime="openvino", precision=precision, heats=heats)

    measured = [tried("fp32"), tried("int8"), tried("bfloat16"), tried("int4", ())]
    scored = Way(runtime="openvino", precision="int8", scores={"top1": 0.7})
    (said,) = unknown(measured, [scored])
    assert "openvino bfloat16" in said and "isn't known" in said
    assert len(list(unknown(measured, []))) == 2
