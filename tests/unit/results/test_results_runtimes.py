"""The table of runtimes(), from measurements that are made."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_made import ab_result

from modelzoo_runner import load
from modelzoo_runner.errors import ResultError
from modelzoo_runner.results.runtimes import RuntimesResult, Way

OUTPUTS = {"scores": {"largest_difference": 0.01, "largest_value": 0.5}}


@pytest.fixture
def found() -> RuntimesResult:
    ways = (
        Way(runtime="tensorflow", precision="fp32", side=0, peak_memory_bytes=2**30),
        Way(runtime="onnxruntime", precision="bfloat16", problem="has no bfloat16"),
        Way(
            runtime="openvino",
            precision="int8",
            side=1,
            startup_seconds=0.5,
            agreement={"examples": 4, "outputs": OUTPUTS},
            scores={"top1": 0.75},
            counts={"top1": 3},
            examples=4,
        ),
    )
    return RuntimesResult(model="resnet50", ways=ways, measured=ab_result([1.0, 2.0], 4))


def test_a_row_for_each_way(found: RuntimesResult) -> None:
    first, refused, other = found.rows()
    assert refused["problem"] == "has no bfloat16"
    assert refused["throughput_examples_per_second"] is None
    assert first["ratio"] is None
    assert found.measured is not None
    assert other["ratio"] == found.measured.ratio
    assert other["throughput_examples_per_second"] == found.measured.throughput(1)
    low, high = other["throughput_low"], other["throughput_high"]
    assert low <= other["throughput_examples_per_second"] <= high
    assert other["difference"] == pytest.approx(0.02)
    assert other["count_top1"] == 3


def test_text_and_page_say_why_a_way_is_missing(found: RuntimesResult) -> None:
    for page in (str(found), found._repr_html_()):
        assert "has no bfloat16" in page
        assert "top1 3 of 4" in page
        assert "1024 MiB" in page


def test_what_nothing_is_known_of_has_no_column_and_a_problem_is_said_once() -> None:
    ways = (
        Way(runtime="tensorflow", precision="fp32", side=0),
        Way(runtime="openvino", precision="fp32", problem="no rule for NMS"),
        Way(runtime="openvino", precision="int8", problem="no rule for NMS"),
    )
    found = RuntimesResult(model="a", ways=ways, measured=ab_result([1.0, 1.0], 4))
    header = str(found).splitlines()[0].split()
    assert "throughput" in header and not {"scores", "memory", "difference"} & set(header)
    assert str(found).count("no rule for NMS") == 1
    assert "openvino fp32, int8: no rule for NMS" in str(found)


def test_it_is_read_as_it_was_saved(found: RuntimesResult, tmp_path: Path) -> None:
    path = found.save(tmp_path / "runtimes.json")
    assert load(path, RuntimesResult) == RuntimesResult.load(path) == found


def test_another_kind_is_refused() -> None:
    with pytest.raises(ResultError, match="runtimes"):
        RuntimesResult.from_dict({"schema": 2, "kind": "ab"})


def test_outputs_of_other_shapes_have_no_difference() -> None:
    agreement = {"outputs": {"scores": {"shapes": [[1, 2], [1, 3]]}}}
    assert Way(runtime="a", precision="fp32", agreement=agreement).difference is None
