"""An int8 graph gives the same on the oldest TensorFlow supported as on this one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelzoo_runner
from modelzoo_runner import calibration_batches, models
from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.load import read_graph, resolve_graph
from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.int8.quantize import quantize
from modelzoo_runner.planning import planner, random_graph
from modelzoo_runner.planning.request import Request

ROOT = Path(__file__).parents[2]
OLDEST = ROOT / ".venv-oldest" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not OLDEST.exists(), reason="scripts/test-oldest makes the environment that this needs"
    ),
]

THERE = """
import sys

import numpy as np
import tensorflow as tf
from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.load import resolve_graph
from modelzoo_runner.backends.tensorflow.session import open_step

graph_path, batch_path, outputs_path = sys.argv[1:]
graph, input, outputs = resolve_graph(graph_path)
check_kernels(graph, outputs=outputs.values())
with open_step(graph, input=input, outputs=list(outputs.values())) as step:
    np.savez(outputs_path, *step(np.load(batch_path)))
print(tf.__version__)
"""


def here_and_there(graph: Path, batch: Any, folder: Path) -> tuple[list[Any], list[Any]]:
    """The outputs of a graph for a batch on this TensorFlow, and on the oldest one."""
    graph_def, input, outputs = resolve_graph(graph)
    check_kernels(graph_def, outputs=outputs.values())
    with open_step(graph_def, input=input, outputs=list(outputs.values())) as step:
        here = step(batch)
    np.save(folder / "batch.npy", batch)
    command = [OLDEST, "-c", THERE, graph, folder / "batch.npy", folder / "outputs.npz"]
    source = str(Path(modelzoo_runner.__file__).parents[1])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": source, "TF_ENABLE_ONEDNN_OPTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    import tensorflow as tf

    assert done.stdout.strip() != tf.__version__
    with np.load(folder / "outputs.npz") as saved:
        return here, [saved[name] for name in saved.files]


def same(here: list[Any], there: list[Any]) -> None:
    assert len(here) == len(there)
    for first, second in zip(here, there, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("mobilenet_v1_1.0_224_frozen.pb", "mobilenet_v1"),
        ("ssd_mobilenet_v1_0.75_coco_frozen_inference_graph.pb", "ssd-mobilenet"),
        ("ssdlite_mobilenet_v2_coco_frozen_inference_graph.pb", "ssd-mobilenet"),
    ],
)
def test_of_real_graphs(samples: Path, tmp_path: Path, name: str, model: str) -> None:
    made = list(calibration_batches(model, synthetic=True, examples=4))
    path = tmp_path / "int8.pb"
    path.write_bytes(quantize(samples / "graphs" / name, made[:3]).SerializeToString())
    same(*here_and_there(path, made[3], tmp_path))


@pytest.mark.parametrize("model", ["resnet50", "inceptionv3"])
def test_of_random_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path / "cache"))
    preset = models()[model]
    request = Request(kind="benchmark", weights="random", precision="int8")
    path, _ = random_graph.cached(planner.resolved(preset, request), preset)
    assert any("Quantized" in node.op for node in read_graph(path).node)
    (batch,) = calibration_batches(model, synthetic=True, examples=1, seed=5)
    same(*here_and_there(path, batch, tmp_path))
