"""A detector whose images are prepared by a graph of its own, on made graphs and images."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import (
    AccuracyResult,
    FetchError,
    GraphError,
    Preset,
    accuracy,
    benchmark,
    convert_coco,
    load,
    models,
)
from modelzoo_runner.values.preset import PreprocessGraph, RemoteFile

pytestmark = pytest.mark.usefixtures("same_pools")

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
ROLES = dict(models()["ssd-mobilenet"].graph["int8"].outputs)
SMALL = {"image": "Preprocessor/sub:0"}


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.coco(tmp_path_factory.mktemp("coco"))[0]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "detector.pb"
    return tiny.detector(path, ROLES, input="Preprocessor/subpart2:0", prepared=(6, 6))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.preprocessor(tmp_path_factory.mktemp("small") / "small.pb")


@pytest.fixture
def two(graph: Path, small: Path) -> dict[str, Any]:
    """What a call says of two graphs."""
    return {
        "weights": graph,
        "input": "Preprocessor/subpart2:0",
        "preprocess_graph": small,
        **HERE,
    }


def is_right(result: AccuracyResult, small: Path) -> None:
    assert result.examples == 4
    # Boxes are shares of the image as it was: of two sizes here, and prepared to a third.
    assert result.scores["AP"] == result.legacy_scores["AP"] == pytest.approx(1)
    planned = result.plan.preprocess_graph
    assert planned is not None
    assert (planned.path, planned.input, planned.outputs) == (str(small), "image_tensor:0", SMALL)
    assert planned.sha256 == hashlib.sha256(small.read_bytes()).hexdigest()
    assert result.plan.graph.sha256 != planned.sha256


def test_from_images_and_records_in_batches_of_unequal_images(
    two: dict[str, Any], coco: Path, small: Path, tmp_path: Path
) -> None:
    result = accuracy("ssd-mobilenet", data_location=coco, batch_size=3, **two)
    is_right(result, small)
    assert len(result.step_seconds) == 2
    assert load(result.save(tmp_path / "result.json")) == result
    assert "fed by small.pb" in str(result)
    convert_coco(coco, coco.parent, tmp_path / "records")
    is_right(accuracy("ssd-mobilenet", data_location=tmp_path / "records", **two), small)


def test_a_bare_graph(graph: Path, small: Path, coco: Path) -> None:
    result = accuracy(graph, preprocess_graph=small, data_location=coco, batch_size=4, **HERE)
    is_right(result, small)


def test_a_benchmark_on_images_and_on_synthetic_ones(two: dict[str, Any], coco: Path) -> None:
    common = {"batch_size": 4, "warmup_steps": 1, "steps": 3, **two}
    real = benchmark("ssd-mobilenet", data_location=coco, **common)
    made = benchmark("ssd-mobilenet", **common)
    assert real.examples == made.examples == 12
    assert real.plan.preprocess_graph == made.plan.preprocess_graph
    assert any("synthetic input" in said for said in made.warnings)


def preset_for(small: Path | str, graph: Path) -> Preset:
    known = models()["ssd-mobilenet"]
    prepares = PreprocessGraph(
        files=(RemoteFile(url=str(small)),), input="image_tensor:0", output="Preprocessor/sub:0"
    )
    found = dataclasses.replace(
        known.graph["int8"],
        files=(RemoteFile(url=str(graph)),),
        input="Preprocessor/subpart2:0",
        preprocess_graph=prepares,
    )
    return dataclasses.replace(known, graph={"int8": found})


def test_a_preset_says_it_for_its_graph(graph: Path, small: Path, coco: Path) -> None:
    result = accuracy(preset_for(small, graph), precision="int8", data_location=coco, **HERE)
    is_right(result, small)
    assert result.plan.why["preprocess_graph"] == "preset"


def test_a_presets_small_graph_that_can_not_be_had(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        benchmark(preset_for(tmp_path / "none.pb", graph), precision="int8", **HERE)
    said = str(caught.value).splitlines()
    assert said[1].startswith(f"  {tmp_path}/none.pb: no such file")
    assert said[-1] == "Give the path of the file, as preprocess_graph=, if you have it."


def refused(two: dict[str, Any], path: Path) -> str:
    with pytest.raises(GraphError) as caught:
        benchmark("ssd-mobilenet", steps=1, **{**two, "preprocess_graph": path})
    return str(caught.value)


def test_a_path_that_is_none(two: dict[str, Any], tmp_path: Path) -> None:
    said = refused(two, tmp_path / "none.pb")
    assert said == f"{tmp_path}/none.pb: the graph can't be read: No such file or directory"


def test_a_graph_that_may_not_run(two: dict[str, Any], tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "reads.pb"
    with tf.Graph().as_default() as made:
        name = tf.compat.v1.placeholder(tf.string, (), name="image_tensor")
        tf.io.read_file(name, name="out")
    path.write_bytes(made.as_graph_def().SerializeToString())
    assert refused(two, path).startswith(
        f"{path}: operations that aren't known to be harmless: ReadFile"
    )


def test_a_detector_in_place_of_the_small_graph(two: dict[str, Any], tmp_path: Path) -> None:
    path = tiny.detector(tmp_path / "detector.pb", ROLES)
    assert refused(two, path) == (
        f"{path}: is a detector; preprocess_graph is the graph that prepares its images"
    )


def test_two_graphs_that_do_not_fit(two: dict[str, Any], graph: Path, tmp_path: Path) -> None:
    path = tiny.preprocessor(tmp_path / "other.pb", size=(5, 6))
    assert refused(two, path) == (
        f"{path}: makes float32 [1, 5, 6, 3] of an image, and {graph} takes float32 [?, 6, 6, 3] "
        "at Preprocessor/subpart2:0"
    )


def test_a_small_graph_that_takes_no_image(two: dict[str, Any], tmp_path: Path) -> None:
    path = tiny.classifier(tmp_path / "classifier.pb")
    assert refused(two, path) == (
        f"{path}: should take an image, uint8 [1, height, width, 3], at input:0. batch: the graph "
        "takes an array of float32, not an array of uint8"
    )


def test_a_small_graph_whose_tensors_can_not_be_told(two: dict[str, Any], tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "two.pb"
    with tf.Graph().as_default() as made:
        image = tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3), name="image")
        tf.cast(image, tf.float32, name="one")
        tf.cast(image, tf.float32, name="other")
    path.write_bytes(made.as_graph_def().SerializeToString())
    assert refused(two, path) == (
        f"{path}: can't tell the output of this graph: it should be the only node that nothing "
        "follows, and there are 2 of them ('one', 'other'). Name the tensors yourself, in a "
        "preset's table [graph.<precision>.preprocess_graph]"
    )
