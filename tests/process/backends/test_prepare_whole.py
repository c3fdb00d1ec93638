"""Whole graphs: prepared and as they are, they compute the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import graphs_made
import numpy as np
import pytest
import tensorflow as tf
from graphs_made import (
    batch_of,
    furthest,
    ops,
    resnet_v1_50,
    run,
)

from modelzoo_runner.backends.tensorflow import bfloat16
from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.backends.tensorflow.session import Step, open_step
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors
from modelzoo_runner.machine import onednn, processor

TOLERANCE = 1e-5

"""Of the range of an output: what folding weights may change."""


def test_resnet_50_is_prepared_whole() -> None:
    graph_def = resnet_v1_50()
    before = graph_def.SerializeToString()
    result = prepare(graph_def, input="input:0", outputs=["predict:0"])
    assert graph_def.SerializeToString() == before
    assert dict(result.changes) == {
        "removed_nodes": 53,  # the Identity behind each filter
        "folded_constants": 0,
        "folded_batch_norms": 53,
        "folded_factors": 0,
        "merged_biases": 0,
        "fused_residual_adds": 16 if onednn.enabled() else 0,
    }
    check_kernels(result.graph_def, outputs=["predict:0"])
    assert not {"FusedBatchNormV3", "AddV2"} & set(ops(result.graph_def)) or not onednn.enabled()
    for size in (1, 3):
        batch = batch_of(size, 64, 64, 3)
        pair = [run(each, batch, "predict:0") for each in (graph_def, result.graph_def)]
        assert furthest(*pair) < TOLERANCE


def run_by(step: Step, batch: Any) -> list[Any]:
    """The nodes that a step runs, after TensorFlow's own optimization."""
    metadata = tf.compat.v1.RunMetadata()
    traced = tf.compat.v1.RunOptions(output_partition_graphs=True)
    step._session.run("predict:0", {"input:0": batch}, traced, metadata)
    return [node for graph in metadata.partition_graphs for node in graph.node]


@pytest.mark.skipif(not onednn.enabled(), reason="oneDNN is off: it computes bfloat16")
def test_in_bfloat16_tensorflow_fuses_all_additions_of_resnet_50(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph_def, batch = resnet_v1_50(), batch_of(2, 64, 64, 3)
    expected = run(graph_def, batch, "predict:0")
    left = []
    for is_stated in (True, False):
        if not is_stated:
            monkeypatch.setattr(
                "modelzoo_runner.backends.tensorflow.prepare.state_shape", lambda *_: 0
            )
        result = prepare(graph_def, input="input:0", outputs=["predict:0"], bfloat16=True)
        assert result.changes["fused_residual_adds"] == 0
        assert result.changes["stated_shapes"] == is_stated
        given = {"input": "input:0", "outputs": ["predict:0"], "inter_threads": 1}
        converted = bfloat16.convert(result.graph_def, input="input:0", outputs=["predict:0"])
        with open_step(converted, prepared=True, **given) as step:
            assert furthest(expected, step(batch)) < 0.02
            nodes = run_by(step, batch)
        left.append(sum(node.op.startswith(("Add", "_MklAdd")) for node in nodes))
    # Without the shape TensorFlow can't tell for those whose shortcut is a pooling.
    assert left == [0, 3]


@pytest.mark.skipif(
    onednn.enabled() is False or "avx512f" not in processor.flags(),
    reason="TensorFlow converts to bfloat16 only with oneDNN and AVX-512",
)
def test_an_attribute_of_another_version_does_not_keep_it_from_bfloat16() -> None:
    graph_def = resnet_v1_50()
    addition = next(node for node in graph_def.node if node.op == "AddV2")
    addition.attr["of_another_version"].i = 1
    result = prepare(graph_def, input="input:0", outputs=["predict:0"], bfloat16=True)
    found = []
    for graph in (graph_def, result.graph_def):
        given = {"input": "input:0", "outputs": ["predict:0"]}
        converted = bfloat16.convert(graph, **given)
        with open_step(converted, prepared=True, inter_threads=1, **given) as step:
            nodes = run_by(step, batch_of(1, 64, 64, 3))
        convolutions = [node for node in nodes if "Conv2D" in node.op]
        types = {node.attr["T"].type for node in convolutions}
        assert bfloat16.count(converted) == (54 * (types == {tf.bfloat16.as_datatype_enum}), 54)
        found.append(types)
    # As it is, TensorFlow gives up.
    assert found == [{tf.float32.as_datatype_enum}, {tf.bfloat16.as_datatype_enum}]


@pytest.mark.parametrize(("size", "count"), [(64, 1), (-1, 0)])
def test_a_shape_is_stated_only_where_it_is_known(size: int, count: int) -> None:
    graph_def = resnet_v1_50()
    (fed,) = (node for node in graph_def.node if node.op == "Placeholder")
    fed.attr["shape"].shape.dim[2].size = size
    result = prepare(graph_def, input="input:0", outputs=["predict:0"], bfloat16=True)
    assert result.changes["stated_shapes"] == count
    assert ops(result.graph_def).count("EnsureShape") == count
    image = batch_of(1, 64, 64, 3)
    pair = [run(each, image, "predict:0") for each in (graph_def, result.graph_def)]
    assert furthest(*pair) < TOLERANCE
    inside = next(node.name for node in graph_def.node if node.op == "Relu")
    result = prepare(graph_def, input=f"{inside}:0", outputs=["predict:0"], bfloat16=True)
    assert result.changes["stated_shapes"] == 0


def test_preparing_twice_changes_nothing_more() -> None:
    once = prepare(resnet_v1_50(), input="input:0", outputs=["predict:0"])
    twice = prepare(once.graph_def, input="input:0", outputs=["predict:0"])
    assert twice.graph_def == once.graph_def
    assert set(twice.changes.values()) == {0}


REAL = {
    "intel_ssdmobilenet_preprocess": {},
    "mobilenet_v1_0.25_224_frozen": {"removed_nodes": 26},
    "mobilenet_v1_1.0_224_frozen": {
        "removed_nodes": 138,
        "folded_constants": 135,
        "folded_batch_norms": 27,
    },
    "mobilenet_v1_1.0_224_int8_inc": {},
    "ssd_mobilenet_v1_0.75_coco_frozen_inference_graph": {"removed_nodes": 27},
    "ssd_mobilenet_v1_0.75_coco_int8_inc": {},
    "ssdlite_mobilenet_v2_coco_frozen_inference_graph": {
        "folded_batch_norms": 33,
        "merged_biases": 33,
    },
}


@pytest.mark.parametrize("name", REAL)
def test_real_graphs_compute_the_same(samples: Path, name: str) -> None:
    graph_def = read_graph(samples / "graphs" / f"{name}.pb")
    input, roles = guess_tensors(graph_def)
    outputs = list(roles.values())
    result = prepare(graph_def, input=input, outputs=outputs)
    assert {key: count for key, count in result.changes.items() if count} == REAL[name]
    check_kernels(result.graph_def, outputs=outputs)
    found = []
    for each in (graph_def, result.graph_def):
        with open_step(each, input=input, outputs=outputs) as step:
            found.append([array for size in (1, 2) for array in step(_batch(step, name, size))])
    if REAL[name].keys() & {"folded_batch_norms", "folded_factors"}:
        assert furthest(*found) < TOLERANCE
    else:
        for before, after in zip(*found, strict=True):
            np.testing.assert_array_equal(before, after)


def _batch(step: object, name: str, size: int) -> np.ndarray:
    # The side graph that makes one image ready takes one.
    size = 1 if name == "intel_ssdmobilenet_preprocess" else size
    rng = np.random.default_rng(size)
    if step.input_dtype == "uint8":
        return rng.integers(0, 256, (size, 240, 320, 3), "u1")
    return rng.uniform(-1, 1, (size, 224, 224, 3)).astype("f4")


CHILD = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from graphs_made import batch_of, furthest, int8_residual, resnet_v1_50, run
from modelzoo_runner.errors import GraphError
from modelzoo_runner.machine import onednn, processor
from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.backends.tensorflow.session import Step, open_step

assert not onednn.enabled()
try:
    check_kernels(int8_residual())
except GraphError as error:
    assert "oneDNN is off in this process" in str(error), error
else:
    raise SystemExit("int8 without oneDNN passed")

graph_def = resnet_v1_50()
before = len(os.listdir("/proc/self/task"))
result = prepare(graph_def, input="input:0", outputs=["predict:0"])
check_kernels(result.graph_def)
assert len(os.listdir("/proc/self/task")) == before, "preparing started threads"
assert result.changes["folded_batch_norms"] == 53
assert result.changes["fused_residual_adds"] == 0
with open_step(graph_def, input="input:0", outputs=["predict:0"], intra_threads=7) as step:
    batch = batch_of(2, 64, 64, 3)
    expected = step(batch)
    workers = sum(
        open(f"/proc/self/task/{each}/comm").read().startswith("tf_Compute")
        or open(f"/proc/self/task/{each}/comm").read().startswith("tf_")
        for each in os.listdir("/proc/self/task")
    )
found = run(result.graph_def, batch, "predict:0")
assert furthest(expected, found) < 1e-5, furthest(expected, found)
print("passed", workers)
"""


def test_without_onednn_and_without_deciding_the_thread_pool() -> None:
    """In a child, because both are decided once a process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(Path(graphs_made.__file__).parent)],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("passed")
