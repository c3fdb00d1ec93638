"""Real detectors on real images, against scores that independent scripts measured."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from modelzoo_runner import (
    AccuracyResult,
    BenchmarkResult,
    accuracy,
    benchmark,
    compare,
    convert_coco,
    score_detections,
)

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
"""What keeps a run in this process: the same pools for all, and nothing to preload."""

TOLERANCE = 0.002

OUTPUTS = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")


class Reference(NamedTuple):
    """A real graph, and what others measured of it by COCO's rules on the same images."""

    precision: str
    graph: str
    ap: float
    ap50: float


LITE = Reference("fp32", "ssdlite_mobilenet_v2_coco_frozen_inference_graph.pb", 0.299, 0.458)
FP32 = Reference("fp32", "ssd_mobilenet_v1_0.75_coco_frozen_inference_graph.pb", 0.203, 0.358)
INT8 = Reference("int8", "ssd_mobilenet_v1_0.75_coco_int8_inc.pb", 0.206, 0.362)


class Coco(NamedTuple):
    """Images and their annotations."""

    images: Path
    annotations: Path


@pytest.fixture(scope="session")
def coco(samples: Path) -> Coco:
    folder = samples / "coco" / "val2017_mini"
    return Coco(folder / "images", folder / "instances_val2017_mini.json")


def score(samples: Path, reference: Reference, location: Path, **asked: Any) -> AccuracyResult:
    return accuracy(
        "ssd-mobilenet",
        precision=reference.precision,
        weights=samples / "graphs" / reference.graph,
        data_location=location,
        **HERE,
        **asked,
    )


@pytest.fixture(scope="session")
def from_images(samples: Path, coco: Coco) -> Callable[[Reference], AccuracyResult]:
    """The score of a graph on the folder of images; each is run once."""
    return functools.cache(lambda reference: score(samples, reference, coco.images))


def is_as(result: AccuracyResult, reference: Reference) -> None:
    assert result.examples == 164
    assert result.scores["AP"] == pytest.approx(reference.ap, abs=TOLERANCE)
    assert result.scores["AP50"] == pytest.approx(reference.ap50, abs=TOLERANCE)
    # Crowds and boxes at the border change little; sizes in shares of the image change all.
    assert result.legacy_scores["AP"] == pytest.approx(result.scores["AP"], abs=0.005)
    assert result.legacy_scores["AP_large"] == -1 < result.scores["AP_small"]
    assert result.per_category["person"] > result.scores["AP"]


@pytest.mark.parametrize("reference", [LITE, FP32], ids=["ssdlite", "ssd-fp32"])
def test_the_score_is_the_reference(
    from_images: Callable[[Reference], AccuracyResult], reference: Reference
) -> None:
    # The annotations lie beside the folder of images, and are found there.
    is_as(from_images(reference), reference)


def without_preprocessing(graph: Path, out: Path) -> Path:
    """The graph as the zoo's later releases have it: fed where its own preprocessing ended."""
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef

    whole = GraphDef.FromString(graph.read_bytes())
    with tf.Graph().as_default() as cut:
        fed = tf.compat.v1.placeholder(
            tf.float32, (None, 300, 300, 3), name="Preprocessor/subpart2"
        )
        roles = tf.import_graph_def(
            tf.compat.v1.graph_util.extract_sub_graph(whole, list(OUTPUTS)),
            input_map={"Preprocessor/sub:0": fed},
            return_elements=[f"{name}:0" for name in OUTPUTS],
            name="detector",
        )
        for name, tensor in zip(OUTPUTS, roles, strict=True):
            tf.identity(tensor, name=name)
    rest = tf.compat.v1.graph_util.extract_sub_graph(cut.as_graph_def(), list(OUTPUTS))
    assert not any("ResizeBilinear" in node.op for node in rest.node)
    out.write_bytes(rest.SerializeToString())
    return out


@pytest.mark.parametrize(
    ("reference", "batch_size"),
    [pytest.param(INT8, 8, marks=pytest.mark.slow), (FP32, 1)],
    ids=["int8", "fp32"],
)
def test_with_a_preprocessing_graph_of_its_own_a_detector_scores_the_same(
    samples: Path,
    coco: Coco,
    tmp_path: Path,
    from_images: Callable[[Reference], AccuracyResult],
    reference: Reference,
    batch_size: int,
) -> None:
    two = accuracy(
        "ssd-mobilenet",
        precision=reference.precision,
        weights=without_preprocessing(
            samples / "graphs" / reference.graph, tmp_path / reference.graph
        ),
        input="Preprocessor/subpart2:0",
        preprocess_graph=samples / "graphs" / "intel_ssdmobilenet_preprocess.pb",
        data_location=coco.images,
        batch_size=batch_size,
        **HERE,
    )
    # Prepared to one size, images needn't be of equal sizes to share a batch.
    assert len(two.step_seconds) == -(-164 // batch_size)
    one = from_images(reference)
    assert two.scores == pytest.approx(one.scores, abs=1e-12)
    assert two.legacy_scores == pytest.approx(one.legacy_scores, abs=1e-12)
    assert two.per_category == pytest.approx(one.per_category, abs=1e-12)


def test_int8_from_images_from_records_and_from_saved_detections(
    samples: Path, coco: Coco, tmp_path: Path
) -> None:
    found, records = tmp_path / "found.json", tmp_path / "records"
    images = score(samples, INT8, coco.images, annotations=coco.annotations, predictions=found)
    is_as(images, INT8)
    assert convert_coco(*coco, records, shards=3).images == 164
    from_records = score(samples, INT8, records)
    assert from_records.scores == images.scores
    assert from_records.legacy_scores == images.legacy_scores
    assert from_records.per_category == images.per_category
    assert score_detections(found, coco.annotations).scores == images.scores


def test_benchmark_on_real_images(samples: Path, coco: Coco) -> None:
    def run(reference: Reference) -> BenchmarkResult:
        return benchmark(
            "ssd-mobilenet",
            precision=reference.precision,
            weights=samples / "graphs" / reference.graph,
            data_location=coco.images,
            warmup_steps=2,
            steps=12,
            **HERE,
        )

    int8, fp32 = run(INT8), run(FP32)
    assert int8.examples == fp32.examples == 12
    assert not any("synthetic" in said for said in int8.warnings)
    assert compare(int8, fp32).ratio > 0
