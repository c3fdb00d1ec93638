"""The readiness report: of graphs made here and downloaded, with measurement and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from modelzoo_runner import Int8Report, int8_report, quantize
from modelzoo_runner.errors import DataError, GraphError, RequestError
from modelzoo_runner.int8.compare import Compared
from modelzoo_runner.int8.layers import Layer
from modelzoo_runner.machine import onednn

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions with a pooling between, and scores."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(3, 3, 3, 16)), rng.normal(size=(3, 3, 16, 8)) / 12
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        image = tf.nn.relu(tf.nn.conv2d(image, one.astype("f4"), 1, "SAME", name="one"))
        image = tf.nn.max_pool2d(image, 2, 2, "SAME")
        image = tf.nn.relu(tf.nn.conv2d(image, two.astype("f4"), 1, "SAME", name="two"))
        tf.reduce_mean(image, [1, 2], name="scores")
    path = tmp_path_factory.mktemp("fp32") / "fp32.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


IMAGES = np.random.default_rng(1).uniform(0, 1, (4, 32, 32, 3)).astype("f4")
WORK = 3 * 3 * 3 * 16 * 32 * 32, 3 * 3 * 16 * 8 * 16 * 16


@pytest.fixture(scope="module")
def int8(fp32: Path) -> Path:
    path = fp32.with_name("int8.pb")
    path.write_bytes(quantize(fp32, [IMAGES]).SerializeToString())
    return path


def test_an_int8_graph(int8: Path) -> None:
    report = int8_report(int8)
    assert [report.count(state) for state in ("int8", "fp32", "unsupported")] == [2, 0, 0]  # type: ignore[arg-type]
    assert report.multiply_adds == sum(WORK) and report.int8_share == 1
    assert report.operations == {"QuantizeV2": 1, "Dequantize": 1, "QuantizedMaxPool": 1}
    assert report.compared is None
    lines = str(report).splitlines()
    op = "QuantizedConv2DWithBiasAndReluAndRequantize"
    assert lines[:5] == [
        f"graph        {int8}",
        "int8         2 of 2 layers, 100.0% of 0.001 G multiply-adds",
        f"             {op}    2  100.0%  int8",
        "quantized    QuantizedMaxPool 1",
        "conversions  QuantizeV2 1, Dequantize 1",
    ]
    assert lines[5].startswith("here         ") and len(lines) == 6


def test_a_float_graph(fp32: Path) -> None:
    report = int8_report(fp32)
    assert report.int8_share == 0
    assert str(report).splitlines()[1:6] == [
        "int8         0 of 2 layers, 0.0% of 0.001 G multiply-adds",
        "             Conv2D    2  100.0%  kept in float32: it could be int8",
        "               one, two",
        "quantized    none",
        "conversions  none",
    ]


def test_a_graph_in_memory_that_is_int8_in_part(fp32: Path) -> None:
    report = int8_report(quantize(fp32, [IMAGES], exclude=["two"]))
    assert report.graph == "a GraphDef"
    assert report.int8_share == WORK[0] / sum(WORK)
    (kept,) = (layer for layer in report.layers if layer.state == "fp32")
    assert (kept.name, kept.why) == ("two", "it could be int8")


@pytest.mark.parametrize("given", ["nothing", "batch"])
def test_measured_beside_the_float_graph(given: str, fp32: Path, int8: Path) -> None:
    how: dict[str, Any] = {"batch": IMAGES} if given == "batch" else {"batch_size": 3}
    report = int8_report(int8, fp32=fp32, steps=3, **how)
    compared = report.compared
    assert compared is not None
    assert (compared.examples, compared.steps) == (4 if given == "batch" else 3, 3)
    assert compared.agreement["correlation"] > 0.99
    speed, agreement = str(report).splitlines()[-2:]
    assert speed.startswith(f"speed        {compared.speedup:.2f} times fp32: ")
    assert agreement.startswith("agreement    correlation 0.99") or "correlation 1.000" in agreement
    said = {"nothing": "random values", "batch": "the batch given"}[given]
    assert agreement.endswith(f" with fp32, on {said}")


def test_measured_with_images(tmp_path: Path) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb", size=(224, 224), output="scores:0")
    shards = tiny.shards(tmp_path / "shards", images=4)
    how: dict[str, Any] = {"model": "mobilenet_v1", "data_location": shards}
    report = int8_report(graph, fp32=graph, steps=1, batch_size=4, **how)
    assert report.compared is not None and report.compared.examples == 4
    assert report.compared.agreement == {"correlation": 1.0, "same_top1": 1.0}
    assert report.fed == f"images of {shards}"
    with pytest.raises(DataError, match="there are 4 examples to calibrate with, and examples=5"):
        int8_report(graph, batch_size=5, **how)


def test_a_detector_with_its_images(tmp_path: Path) -> None:
    from modelzoo_runner import models

    outputs = models()["rfcn"].graph["fp32"].outputs
    graph = tiny.detector(tmp_path / "graph.pb", dict(outputs))
    images, _ = tiny.coco(tmp_path / "coco")
    report = int8_report(graph, fp32=graph, data_location=images, steps=1)
    assert report.compared is not None
    assert report.compared.agreement == {"found": 1.0, "confirmed": 1.0}
    unknown = "multiply-adds unknown: the size of the image isn't in the graph"
    assert str(report).splitlines()[1] == f"int8         0 of 0 layers, {unknown}"


def test_where_onednn_is_off(monkeypatch: pytest.MonkeyPatch, fp32: Path, int8: Path) -> None:
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    report = int8_report(int8, fp32=fp32)
    assert report.compared is None and report.int8_share == 0
    page = str(report)
    assert (
        "2  100.0%  can't run here: oneDNN is off: set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow "
        "is imported\n"
    ) in page
    assert page.endswith("\nspeed        not measured: not all layers can run here")


def _report(instruction_set: str | None, **how: Any) -> Int8Report:
    how.setdefault("layers", ())
    return Int8Report(graph="g.pb", operations={}, instruction_set=instruction_set, **how)


@pytest.mark.parametrize(
    ("instruction_set", "said"),
    [
        (None, "oneDNN has no int8 kernels for this CPU"),
        ("avx512_core_amx", "avx512_core_amx, which has VNNI"),
        (
            "avx2",
            "avx2, without VNNI (avx512_vnni or avx_vnni): int8 gains less, and accuracy is lost "
            "unless the weights were quantized for it",
        ),
    ],
)
def test_what_the_processor_has(instruction_set: str | None, said: str) -> None:
    assert str(_report(instruction_set)).splitlines()[-1] == f"here         {said}"


def test_the_page_is_told_of_the_numbers() -> None:
    layers = tuple(
        Layer(name=name, op=op, state=state, why=why, multiply_adds=work)  # type: ignore[arg-type]
        for name, op, state, why, work in [
            ("a", "QuantizedConv2D", "int8", "", 3 * 10**9),
            ("b", "Conv2D", "fp32", "it is a grouped convolution", 10**9),
            ("c", "Conv2D", "fp32", "it is a grouped convolution", 10**9),
            ("d", "Conv2D", "fp32", "it is a grouped convolution", 0),
            ("e", "MatMul", "fp32", "it could be int8", 10**9),
        ]
    )
    compared = Compared(
        examples=2,
        steps=5,
        fp32_seconds=0.03,
        int8_seconds=0.01,
        agreement={"correlation": 0.98765},
    )
    report = _report("avx512_core_vnni", layers=layers, compared=compared, fed="random values")
    assert str(report) == (
        "graph        g.pb\n"
        "int8         1 of 5 layers, 50.0% of 6.000 G multiply-adds\n"
        "             QuantizedConv2D    1   50.0%  int8\n"
        "             Conv2D             3   33.3%  kept in float32: it is a grouped convolution\n"
        "               b, c and 1 more\n"
        "             MatMul             1   16.7%  kept in float32: it could be int8\n"
        "               e\n"
        "quantized    none\n"
        "conversions  none\n"
        "here         avx512_core_vnni, which has VNNI\n"
        "speed        3.00 times fp32: 10.00 ms a step against 30.00 ms, batch 2, medians of 5 "
        "steps in turn\n"
        "agreement    correlation 0.988 with fp32, on random values"
    )


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"steps": 0}, RequestError, "steps=0: should be a whole number of at least 1"),
        ({"batch_size": 0}, RequestError, "batch_size=0: should be a whole number of at least 1"),
        ({"batch": IMAGES, "model": "rfcn"}, RequestError,
         "batch: and model= or data_location=; give one of them"),
        ({"input": "inputs:0"}, GraphError,
         "input: there is no tensor 'inputs:0' in the graph. Did you mean 'input:0'?"),
        ({"batch": IMAGES[0]}, RequestError,
         "batch: the graph takes the shape [?, 32, 32, 3], not [32, 32, 3]. The first dimension is "
         "the batch: a single example is batch[None]"),
    ],
)  # fmt: skip
def test_what_can_not_be(
    how: dict[str, Any], error: type[Exception], message: str, int8: Path
) -> None:
    with pytest.raises(error) as raised:
        int8_report(int8, **how)
    assert str(raised.value) == message


def test_a_float_graph_of_another_model(int8: Path, tmp_path: Path) -> None:
    other = tiny.classifier(tmp_path / "other.pb", output="predict:0")
    with pytest.raises(GraphError) as raised:
        int8_report(int8, fp32=other)
    assert str(raised.value) == (
        "fp32: scores: there is no tensor 'scores:0' in the graph. Nodes that nothing follows: "
        "'predict'"
    )
