"""quantize() with real graphs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors
from modelzoo_runner.int8.quantize import quantize

GraphDef = Any
Tensor = Any


def run(graph_def: GraphDef, batch: Any) -> list[Any]:
    input, outputs = guess_tensors(graph_def)
    check_kernels(graph_def, outputs=outputs.values())
    with open_step(graph_def, input=input, outputs=list(outputs.values())) as step:
        return step(batch)


def test_a_detector_with_loops_of_tensorflow_1(samples: Path) -> None:
    graph_def = read_graph(
        samples / "graphs" / "ssdlite_mobilenet_v2_coco_frozen_inference_graph.pb"
    )
    image = np.random.default_rng(0).integers(0, 256, (1, 320, 320, 3), np.uint8)
    int8 = quantize(graph_def, [image])
    operations = Counter(node.op for node in int8.node)
    assert not operations["Conv2D"] and not operations["DepthwiseConv2dNative"]
    assert operations["QuantizedConv2DWithBiasSumAndReluAndRequantize"] == 10
    assert operations["Enter"] and operations["Switch"]
    expected, found = run(graph_def, image), run(int8, image)
    assert [each.shape for each in expected] == [each.shape for each in found]


def test_a_real_classifier(samples: Path) -> None:
    """On noise, so that only the arithmetic is compared; accuracy is measured on images."""
    graph_def = read_graph(samples / "graphs" / "mobilenet_v1_0.25_224_frozen.pb")
    images = np.random.default_rng(0).uniform(-1, 1, (4, 224, 224, 3)).astype("f4")
    int8 = quantize(graph_def, [images])
    assert len(int8.SerializeToString()) < 0.4 * len(graph_def.SerializeToString())
    (expected,), (found,) = run(graph_def, images), run(int8, images)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.9
