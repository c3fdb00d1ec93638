"""What a plan calibrates with, and quantizing its graph in this process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from modelzoo_runner.backends.base import TensorSpec
from modelzoo_runner.backends.tensorflow.inspect import inspect_graph
from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.execution import calibration
from modelzoo_runner.planning import resolve
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values import presets
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Placement, Plan
from modelzoo_runner.values.preset import Preprocess

pytestmark = pytest.mark.usefixtures("same_pools")

PLACEMENT = Placement(inter_threads=1, intra_threads=2)
FLOATS = TensorSpec(input_dtype="float32", input_shape=(None, 8, 8, 3))
BYTES = TensorSpec(input_dtype="uint8", input_shape=(None, None, None, 3))


def plan(model: str = "mobilenet_v1", **changes: Any) -> Plan:
    found = presets.find(model)
    resolved = resolve.resolve(found, Request(kind="benchmark", batch_size=1), PLACEMENT)
    return dataclasses.replace(resolved, **changes)


SMALL = Preprocess(size=(8, 8), resize="central_fraction", central_fraction=1.0, scale=0.5)


def test_made_inputs_are_as_many_as_asked_for_and_all_different() -> None:
    made = list(calibration.batches(plan(limit=7, batch_size=3, preprocess=SMALL), FLOATS))
    assert [batch.shape for batch in made] == [(3, 8, 8, 3), (3, 8, 8, 3), (1, 8, 8, 3)]
    values = np.concatenate(made)
    assert len({image.tobytes() for image in values}) == 7
    assert 0 <= values.min() < 2 and 125 < values.max() <= 127.5


def test_made_inputs_depend_on_the_seed() -> None:
    one, same, other = (
        next(calibration.batches(plan(limit=1, seed=seed, preprocess=SMALL), FLOATS))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_made_images_for_a_detector() -> None:
    (image,) = calibration.batches(plan("ssd-mobilenet", limit=1), BYTES)
    assert image.shape == (1, 480, 640, 3) and image.dtype == np.uint8


def test_a_classifiers_images_come_from_the_records_as_its_preset_says(tmp_path: Path) -> None:
    shards = tiny.shards(tmp_path / "shards", images=12)
    asked = plan(limit=5, batch_size=2, data_location=str(shards), preprocess=SMALL)
    found = list(calibration.batches(asked, FLOATS))
    assert [batch.shape for batch in found] == [(2, 8, 8, 3), (2, 8, 8, 3), (1, 8, 8, 3)]
    assert {batch.dtype.name for batch in found} == {"float32"}


def test_a_detectors_images_come_as_they_are_and_need_no_annotations(tmp_path: Path) -> None:
    images, annotations = tiny.coco(tmp_path / "coco")
    annotations.unlink()
    found = list(calibration.batches(plan("rfcn", limit=3, data_location=str(images)), BYTES))
    assert [batch.shape for batch in found] == [(1, 30, 40, 3), (1, 20, 20, 3), (1, 30, 40, 3)]


def test_fewer_than_asked_for_are_refused(tmp_path: Path) -> None:
    images, _ = tiny.coco(tmp_path / "coco")
    with pytest.raises(DataError) as raised:
        list(calibration.batches(plan("rfcn", limit=5, data_location=str(images)), BYTES))
    assert str(raised.value) == (
        f"{images}: there are 4 examples to calibrate with, and examples=5: ask for fewer"
    )


def test_a_size_that_nobody_knows_is_asked_for() -> None:
    taken = TensorSpec(input_dtype="float32", input_shape=(None, None, None, 3))
    with pytest.raises(RequestError, match="input_shape: the graph's input input:0 has shape"):
        next(calibration.batches(plan(limit=1, preprocess=None), taken))


def test_a_plans_graph_is_quantized_into_a_file(tmp_path: Path) -> None:
    graph = tiny.classifier(tmp_path / "graph.pb")
    asked = plan(limit=2, preprocess=SMALL)
    file = dataclasses.replace(
        asked.graph, path=str(graph), input="input:0", outputs={"scores": "scores:0"}
    )
    told: list[Any] = []
    calibration.run(
        dataclasses.replace(asked, graph=file),
        tmp_path / "int8.pb",
        Context(progress=lambda *said: told.append(said)),
    )
    assert inspect_graph(tmp_path / "int8.pb").layers.int8 == 1
    assert told == [("calibration batches", 1, 2), ("calibration batches", 2, 2)]
