"""OpenVINO and ONNX Runtime, really run on a small graph."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from modelzoo_runner import RuntimesResult, accuracy, benchmark, load, runtimes
from modelzoo_runner.backends import base
from modelzoo_runner.errors import BindingError, GraphError, RequestError
from modelzoo_runner.machine import processor
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Placement
from modelzoo_runner.values.presets import find

PRECISIONS = [
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "int8"),
    ("openvino", "bfloat16"),
]

HAS_BFLOAT16 = processor.bfloat16(processor.flags()) != "unsupported"
"""Whether this processor computes in it; there is an error where it doesn't."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.classifier(tmp_path_factory.mktemp("graph") / "tiny.pb")


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run(model: Path, runtime: str, precision: str = "fp32", **given: Any) -> Any:
    pytest.importorskip("nncf" if runtime == "openvino" else "tf2onnx")
    short = {"steps": 3, "warmup_steps": 1, "isolation": "child", "num_intra_threads": 1}
    return benchmark(model, runtime=runtime, precision=precision, **{**short, **given})


@pytest.mark.parametrize(("runtime", "precision"), PRECISIONS)
def test_a_frozen_graph_runs_and_agrees_with_tensorflow(
    graph: Path, runtime: str, precision: str
) -> None:
    if precision == "bfloat16" and not HAS_BFLOAT16:
        with pytest.raises(BindingError, match="avx512_bf16"):
            run(graph, runtime, precision)
        return
    result = run(graph, runtime, precision)
    assert result.plan.runtime == runtime
    assert result.observed.machine["software"]["runtime"]["name"] == runtime
    assert result.observed.threads["intra_found"] == 1
    card = result.observed.graph
    assert (card["int8_layers"] > 0) == (precision == "int8")
    assert card.get("bfloat16_layers", 0) == card.get("layers", 0)
    assert ("layers" in card) == (precision == "bfloat16")
    scores = card["agreement"]["outputs"]["scores"]
    allowed = 1e-5 if precision == "fp32" else 0.1
    assert 0 <= scores["largest_difference"] <= allowed * scores["largest_value"]
    calibrated = [each for each in result.warnings if "made inputs" in each]
    assert len(calibrated) == (precision == "int8")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_conversion_is_kept_and_its_file_can_be_given(graph: Path, runtime: str) -> None:
    first = run(graph, runtime)
    kept = Path(first.plan.graph.path)
    made = kept.stat().st_mtime_ns
    assert run(graph, runtime).plan.graph == first.plan.graph
    assert kept.stat().st_mtime_ns == made
    assert str(graph) in first.plan.graph.origin
    given = run(kept, runtime)
    assert given.plan.graph.outputs == {"scores": "scores:0"}
    with pytest.raises(RequestError, match="int8"):
        run(kept, runtime, "int8")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_every_row_is_tensorflows(graph: Path, runtime: str) -> None:
    """Not only the largest difference: the outputs themselves, of a batch of another size."""
    pytest.importorskip(runtime)
    import tensorflow as tf

    backend = base.find(runtime)
    backend.import_runtime()
    model = backend.load(run(graph, runtime).plan.graph.path, allow_unsafe_ops=False)
    compiled = backend.compile(
        model,
        input="input:0",
        outputs=["scores:0"],
        placement=Placement(inter_threads=1, intra_threads=1),
        precision="fp32",
        optimize=True,
        timed=Context().phase,
    )
    batch = np.random.default_rng(1).random((5, 8, 8, 3), np.float32)
    (found,) = compiled.step(batch)
    graph_def = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session() as session:
            expected = session.run("scores:0", {"input:0": batch})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    compiled.step.close()


def test_openvino_counts_cpus_once_and_says_so() -> None:
    pytest.importorskip("openvino")
    from modelzoo_runner.backends import openvino

    here = frozenset(os.sched_getaffinity(0))
    placement = Placement(inter_threads=1, intra_threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "_cpus", here)
        assert openvino.blocker(placement) is None
        patch.setattr(openvino, "_cpus", here | {4096})
        assert "other CPUs" in (openvino.blocker(placement) or "")


@pytest.mark.parametrize(("name", "runtime"), [("a.onnx", "onnxruntime"), ("a.xml", "openvino")])
def test_a_file_that_is_something_else(tmp_path: Path, name: str, runtime: str) -> None:
    path = tmp_path / name
    path.write_text("no model")
    with pytest.raises(GraphError, match=name):
        run(path, runtime)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution gives four boxes and their scores, which are sorted and numbered from 1."""
    import tensorflow as tf

    path = tmp_path_factory.mktemp("detector") / "detector.pb"
    kernel = np.random.default_rng(0).normal(0, 0.02, (8, 8, 3, 8)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (None, 8, 8, 3), name="image_tensor")
        found = tf.nn.conv2d(image, kernel, 8, "VALID")[:, 0, 0, :]
        corner = tf.reshape(tf.sigmoid(found[:, :4]), (-1, 4, 1)) * 0.5
        boxes = tf.concat([corner, corner, corner + 0.3, corner + 0.3], 2)
        scores = tf.reshape(tf.sigmoid(found[:, 4:]), (-1, 4, 1))
        best = tf.image.combined_non_max_suppression(
            boxes[:, :, None, :], tf.tile(scores, (1, 1, 80)) * tf.linspace(1.0, 0.1, 80), 2, 4
        )
        tf.identity(best[0], name="detection_boxes")
        tf.identity(best[1], name="detection_scores")
        tf.add(best[2], 1.0, name="detection_classes")
        tf.cast(best[3], tf.float32, name="num_detections")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_detectors_classes_stay_whole_numbers(detector: Path, precision: str) -> None:
    pytest.importorskip("tf2onnx")
    result = run(detector, "onnxruntime", precision, input_shape=(8, 8, 3))
    agreement = result.observed.graph["agreement"]
    assert agreement["detections"] >= 1
    assert agreement["outputs"]["detection_classes"]["largest_difference"] == 0
    assert not any("more than rounding" in each for each in result.warnings)
    assert (result.observed.graph["int8_layers"] > 0) == (precision == "int8")


def test_what_openvino_cant_convert_is_named_with_a_way_out(detector: Path) -> None:
    pytest.importorskip("openvino")
    with pytest.raises(GraphError, match=r"another runtime=.*CombinedNonMaxSuppression"):
        run(detector, "openvino")


def test_the_accuracy_is_tensorflows(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    data = tiny.shards(tmp_path / "data", images=24)
    fp32 = find("mobilenet_v1").graph["fp32"]
    graph = tiny.classifier(
        tmp_path / "large.pb", input=fp32.input, output=fp32.outputs["scores"], size=(224, 224)
    )
    found = [
        accuracy(
            "mobilenet_v1", weights=graph, data_location=data, runtime=each, isolation="child"
        ).counts
        for each in ("tensorflow", "openvino")
    ]
    assert found[0] == found[1]


def test_a_float_graph_is_no_row_of_tensorflow_in_int8(graph: Path) -> None:
    result = runtimes(
        graph, runtimes=["tensorflow"], precisions=["fp32", "int8"], rounds=1, num_intra_threads=1
    )
    as_float, as_int8 = result.ways
    assert as_float.problem is None and as_float.side == 0
    assert as_int8.side is None
    assert "nothing in this graph computes in int8" in (as_int8.problem or "")


def test_runtimes_is_a_table_with_a_row_for_what_cant_run(graph: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    result = runtimes(
        graph,
        runtimes=["tensorflow", "onnxruntime"],
        precisions=["fp32", "bfloat16"],
        rounds=1,
        num_intra_threads=1,
        num_cores=1,
    )
    assert [(each.runtime, each.precision) for each in result.ways] == [
        ("tensorflow", "fp32"),
        ("tensorflow", "bfloat16"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "bfloat16"),
    ]
    refused = result.ways[-1]
    assert refused.side is None
    assert "bfloat16" in (refused.problem or "")
    for way in result.ways[:-1]:
        if way.precision == "bfloat16" and not HAS_BFLOAT16:
            assert "avx512_bf16" in (way.problem or "")
            continue
        assert way.problem is None
        assert (way.peak_memory_bytes or 0) > 2**20
        assert (way.startup_seconds or 0) > 0
        assert result.latency(way) is not None
    # Without TensorFlow in its process ONNX Runtime takes a fraction of the memory.
    assert result.ways[2].peak_memory_bytes < result.ways[0].peak_memory_bytes / 2  # type: ignore[operator]
    path = result.save(tmp_path / "found.json")
    assert load(path, RuntimesResult) == result
    assert json.loads(path.read_text())["kind"] == "runtimes"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"runtimes": "openvino"}, "list"),
        ({"runtimes": []}, "list"),
        ({"runtimes": 5}, "list"),
        ({"runtimes": ["openvno"]}, "openvino"),
        ({"precisions": ["fp16"]}, "fp32"),
        ({"precision": "fp32"}, "precisions"),
        ({"rounds": 0}, "rounds"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        runtimes("resnet50", **given)
