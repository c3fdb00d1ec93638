"""Batches to calibrate with, as a caller asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from modelzoo_runner import calibration_batches, models
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.data import imagenet
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.errors import DataError, DataRequired, RequestError

pytestmark = pytest.mark.usefixtures("same_pools")

ROLES = models()["rfcn"].graph["fp32"].outputs


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.shards(tmp_path_factory.mktemp("tiny") / "shards", images=12)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.coco(tmp_path_factory.mktemp("tiny_coco"))[0]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.detector(tmp_path_factory.mktemp("detector") / "graph.pb", dict(ROLES))


def test_images_are_those_of_the_models_accuracy(shards: Path) -> None:
    preset = models()["inceptionv3"]
    assert preset.preprocess is not None
    found = list(calibration_batches(preset, shards, examples=5, batch_size=3))
    assert [len(batch) for batch in found] == [3, 2]
    scored = imagenet.batches(
        imagenet.find(shards), preset.preprocess, ReadOptions(batch_size=5, limit=5)
    )
    np.testing.assert_array_equal(np.concatenate(found), next(scored).inputs)
    scored.close()


def test_one_by_one_fifty_of_them() -> None:
    found = list(calibration_batches("mobilenet_v1", synthetic=True))
    assert len(found) == 50
    assert {batch.shape for batch in found} == {(1, 224, 224, 3)}
    values = np.concatenate(found)
    assert -1 <= values.min() < -0.99 and 0.99 < values.max() <= 1


@pytest.mark.parametrize("given", ["name", "path", "graph"])
def test_a_detectors_images_are_taken_as_they_are(given: str, coco: Path, detector: Path) -> None:
    model: Any = {"name": "rfcn", "path": detector, "graph": read_graph(detector)}[given]
    found = list(calibration_batches(model, str(coco), examples=2))
    assert [batch.shape for batch in found] == [(1, 30, 40, 3), (1, 20, 20, 3)]
    assert found[0].dtype == np.uint8


def test_tensors_can_be_named(coco: Path, detector: Path) -> None:
    named: dict[str, Any] = {"input": "image_tensor:0", "outputs": ROLES}
    assert len(list(calibration_batches(detector, coco, examples=3, **named))) == 3


def test_a_graph_says_what_made_examples_are_like(tmp_path: Path) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb", size=(6, 7))
    (batch,) = calibration_batches(graph, synthetic=True, examples=2, batch_size=2)
    assert batch.shape == (2, 6, 7, 3) and batch.dtype == np.float32
    open_size = tiny.classifier(tmp_path / "open.pb", size=(None, None))  # type: ignore[arg-type]
    (batch,) = calibration_batches(open_size, synthetic=True, examples=1, input_shape=(5, 5, 3))
    assert batch.shape == (1, 5, 5, 3)


def test_more_than_there_are(shards: Path) -> None:
    with pytest.raises(DataError, match="there are 12 examples to calibrate with, and examples=50"):
        list(calibration_batches("resnet50", shards))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({}, DataRequired,
         "data_location: real images are needed: a folder of ImageNet validation TFRecords "
         "(validation-*-of-*), on this machine or at gs://. synthetic=True makes random ones up, "
         "which is enough where only speed counts"),
        ({"model": "rfcn"}, DataRequired,
         "data_location: real images are needed: a folder of COCO images, or a COCO TFRecord, on "
         "this machine or at gs://. synthetic=True makes random ones up, which is enough where "
         "only speed counts"),
        ({"data_location": "here", "synthetic": True}, RequestError,
         "synthetic=True: and data_location='here'; give one of them"),
        ({"synthetic": True, "examples": 0}, RequestError,
         "examples=0: should be a whole number of at least 1"),
        ({"synthetic": True, "batch_size": 0}, RequestError,
         "batch_size=0: should be a whole number of at least 1, or None for the default"),
        ({"synthetic": True, "seed": -1}, RequestError,
         "seed=-1: should be a whole number of at least 0, or None for the default"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_told_at_once(
    how: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"model": "resnet50", **how}
    with pytest.raises(error) as raised:
        calibration_batches(given.pop("model"), **given)
    assert str(raised.value) == message


def test_a_classifiers_graph_does_not_say_how_images_become_its_input(
    shards: Path, tmp_path: Path
) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb")
    with pytest.raises(RequestError) as raised:
        calibration_batches(graph, shards)
    assert str(raised.value) == (
        f"data_location={str(shards)!r}: how images become this graph's input isn't known; give "
        "the name of a model whose preprocessing is the same, or a preset"
    )
