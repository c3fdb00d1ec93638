"""The conversion to bfloat16 before a session is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from graphs_made import batch_of, furthest, resnet_v1_50, run

from modelzoo_runner.backends.tensorflow import bfloat16
from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine import onednn, processor

pytestmark = pytest.mark.skipif(
    onednn.enabled() is False or "avx512f" not in processor.flags(),
    reason="TensorFlow converts to bfloat16 only with oneDNN and AVX-512",
)
HOW = {"input": "input:0", "outputs": ["predict:0"]}


def test_weights_are_half_as_large_and_outputs_nearly_the_same() -> None:
    graph_def, batch = resnet_v1_50(), batch_of(2, 64, 64, 3)
    before = graph_def.SerializeToString()
    assert bfloat16.count(graph_def) == (0, 54)
    converted = bfloat16.convert(graph_def, **HOW)
    assert bfloat16.count(converted) == (54, 54)
    assert graph_def.SerializeToString() == before
    assert converted.ByteSize() < 0.65 * len(before)
    pair = [run(each, batch, "predict:0") for each in (graph_def, converted)]
    assert 0 < furthest(*pair) < 0.02


def test_it_decides_on_no_thread_pool(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(resnet_v1_50().SerializeToString())
    code = """
import sys
from modelzoo_runner.backends.tensorflow import bfloat16, thread_pools
from modelzoo_runner.backends.tensorflow.load import read_graph

graph_def = read_graph(sys.argv[1], allow_unsafe_ops=False)
bfloat16.convert(graph_def, input="input:0", outputs=["predict:0"])
print(thread_pools.initialized())
"""
    command = [sys.executable, "-c", code, str(graph)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_it_is_refused_where_onednn_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    with pytest.raises(RequestError, match='precision="bfloat16": needs oneDNN'):
        bfloat16.convert(resnet_v1_50(), **HOW)
