"""The main job on real graphs and real images, beside plain TensorFlow."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner import AccuracyResult, accuracy, benchmark, load
from modelzoo_runner.data.convert import convert_imagenet
from modelzoo_runner.values.options import Precision

FP32 = "mobilenet_v1_1.0_224_frozen.pb"
INT8 = "mobilenet_v1_1.0_224_int8_inc.pb"
GRAPHS: dict[Precision, str] = {"fp32": FP32, "int8": INT8}

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
"""What keeps a run in this process: the same pools for all, and nothing to preload."""

pytestmark = pytest.mark.usefixtures("same_pools")

PLAIN = """
# Nothing but TensorFlow: the records, slim's Inception preprocessing, one image at a time.
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf

graph_path, shards, outfile = sys.argv[1:]
graph_def = tf.compat.v1.GraphDef.FromString(Path(graph_path).read_bytes())
graph = tf.Graph()
with graph.as_default():
    tf.import_graph_def(graph_def, name="")
    encoded = tf.compat.v1.placeholder(tf.string)
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_FAST")
    image = tf.image.convert_image_dtype(image, tf.float32)
    image = tf.image.central_crop(image, 0.875)
    image = tf.compat.v1.image.resize_bilinear(image[None], [224, 224], align_corners=False)
    image = (image - 0.5) * 2.0
session = tf.compat.v1.Session(graph=graph)
hits = {"top1": 0, "top5": 0}
examples = 0
for path in sorted(Path(shards).glob("validation-*")):
    for record in tf.compat.v1.io.tf_record_iterator(str(path)):
        features = tf.train.Example.FromString(record).features.feature
        label = features["image/class/label"].int64_list.value[0]
        jpeg = features["image/encoded"].bytes_list.value[0]
        scores = session.run(
            "MobilenetV1/Predictions/Reshape_1:0",
            {"input:0": session.run(image, {encoded: jpeg})},
        )[0]
        hits["top1"] += int(np.sum(scores > scores[label]) < 1)
        hits["top5"] += int(np.sum(scores > scores[label]) < 5)
        examples += 1
Path(outfile).write_text(json.dumps({**hits, "examples": examples}))
"""


@pytest.fixture(scope="session")
def shards(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real images as shards, made by our own converter."""
    out = tmp_path_factory.mktemp("imagenet") / "shards"
    synsets = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    convert_imagenet(samples / "imagenet" / "images", synsets, out, shards=4)
    return out


def plainly(graph: Path, shards: Path, tmp_path: Path) -> dict[str, int]:
    """The counts of a plain TensorFlow loop, in a process of its own."""
    out = tmp_path / "counts.json"
    arguments = [sys.executable, "-c", PLAIN, str(graph), str(shards), str(out)]
    subprocess.run(arguments, check=True, capture_output=True, env=os.environ)
    counts: dict[str, int] = json.loads(out.read_text())
    return counts


@pytest.fixture(scope="session")
def scored(
    samples: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Precision], AccuracyResult]:
    """The score of a graph on all images, with its predictions; each is run once."""

    @functools.cache
    def score(precision: Precision) -> AccuracyResult:
        return accuracy(
            "mobilenet_v1",
            precision=precision,
            weights=samples / "graphs" / GRAPHS[precision],
            data_location=shards,
            batch_size=32,
            predictions=tmp_path_factory.mktemp(precision) / "predictions.csv",
            **HERE,
        )

    return score


@pytest.mark.parametrize("precision", GRAPHS)
def test_accuracy_counts_are_those_of_a_plain_loop(
    samples: Path,
    shards: Path,
    tmp_path: Path,
    scored: Callable[[Precision], AccuracyResult],
    precision: Precision,
) -> None:
    result = scored(precision)
    expected = plainly(samples / "graphs" / GRAPHS[precision], shards, tmp_path)
    assert result.examples == expected.pop("examples") == 500
    assert result.counts == expected
    assert result.scores["top1"] > 0.8
    rows = Path(result.plan.predictions or "").read_text().splitlines()
    assert rows[0] == "filename,label,prediction,top5" and len(rows) == 501
    hits = sum(row.split(",")[1] == row.split(",")[2] for row in rows[1:])
    # A target that ties with the best score counts as a hit, as in_top_k has it; the file names one
    # best class. An int8 graph's scores are coarse enough to tie.
    assert hits == result.counts["top1"] if precision == "fp32" else hits <= result.counts["top1"]


def test_int8_is_close_to_fp32(scored: Callable[[Precision], AccuracyResult]) -> None:
    fp32, int8 = scored("fp32"), scored("int8")
    # Without VNNI sums saturate, which costs this graph some points more; the result says so.
    saturates = any("int8 without VNNI" in said for said in int8.warnings)
    assert abs(fp32.scores["top1"] - int8.scores["top1"]) <= (0.15 if saturates else 0.08)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_score_does_not_depend_on_the_batch(
    samples: Path, shards: Path, batch_size: int
) -> None:
    def run(size: int) -> Any:
        return accuracy(
            "mobilenet_v1",
            weights=samples / "graphs" / FP32,
            data_location=shards,
            batch_size=size,
            limit=50,
            **HERE,
        )

    result = run(batch_size)
    assert result.examples == 50 and result.counts == run(50).counts
    assert "a part of the set: 50 examples, because of limit=50" in result.warnings


@pytest.mark.parametrize(("precision", "name"), [("fp32", FP32), ("int8", INT8)])
@pytest.mark.parametrize("real", [False, True], ids=["synthetic", "real"])
def test_benchmark(
    samples: Path, shards: Path, tmp_path: Path, precision: str, name: str, real: bool
) -> None:
    result = benchmark(
        "mobilenet_v1",
        precision=precision,
        weights=samples / "graphs" / name,
        data_location=shards if real else None,
        batch_size=8,
        warmup_steps=2,
        steps=5,
        **HERE,
    )
    assert len(result.warmup_seconds) == 2 and len(result.step_seconds) == 5
    assert result.examples == 40 and result.throughput > 0
    assert any("synthetic" in said for said in result.warnings) is not real
    assert load(result.save(tmp_path / "result.json")) == result


@pytest.mark.parametrize(("precision", "name"), [("fp32", FP32), ("int8", INT8)])
def test_a_graph_alone_is_of_the_precision_that_it_has(
    samples: Path, precision: str, name: str
) -> None:
    result = benchmark(samples / "graphs" / name, batch_size=1, steps=2, **HERE)
    assert result.plan.precision == precision
    assert (result.observed.graph["int8_layers"] > 0) is (precision == "int8")
    assert not any("this graph" in said for said in result.warnings)


def test_a_graph_of_another_precision_than_asked_for_is_warned_about(samples: Path) -> None:
    result = benchmark(
        "mobilenet_v1", weights=samples / "graphs" / INT8, batch_size=1, steps=2, **HERE
    )
    assert any('ask for precision="int8"' in said for said in result.warnings)


def test_steps_beyond_the_data_go_over_it_again(samples: Path, shards: Path) -> None:
    result = benchmark(
        "mobilenet_v1",
        weights=samples / "graphs" / FP32,
        data_location=shards,
        batch_size=64,
        warmup_steps=0,
        steps=9,
        **HERE,
    )
    assert result.examples == 9 * 64


def test_the_prepared_graph_gives_the_same_answers(samples: Path, shards: Path) -> None:
    first, second = (
        accuracy(
            "mobilenet_v1",
            weights=samples / "graphs" / FP32,
            data_location=shards,
            limit=100,
            batch_size=50,
            optimize=optimize,
            **HERE,
        )
        for optimize in (True, False)
    )
    assert first.counts == second.counts
    assert first.observed.graph["nodes_run"] < second.observed.graph["nodes_run"]
    assert second.observed.graph["changes"] == {}


@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_random_resnet50(batch_size: int) -> None:
    result = benchmark("resnet50", weights="random", batch_size=batch_size, warmup_steps=1, steps=3)
    assert result.plan.graph.sha256 is not None
    assert np.isfinite(result.throughput)
