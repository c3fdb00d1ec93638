"""Networks with seeded weights, in float32 and int8, as files that are built once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.inspect import inspect_graph
from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.errors import RequestError, WorkerError
from modelzoo_runner.execution import launch, protocol
from modelzoo_runner.planning import random_graph, resolve
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.validation import check
from modelzoo_runner.values import presets
from modelzoo_runner.values.plan import Placement, Plan
from modelzoo_runner.values.preset import Preset

MOBILENET = presets.find("mobilenet_v1")
PLACEMENT = Placement(inter_threads=1, intra_threads=2, env={"TF_ENABLE_ONEDNN_OPTS": "1"})


def plan(model: Preset = MOBILENET, **asked: Any) -> Plan:
    request = Request(kind="benchmark", weights="random", **asked)
    return resolve.resolve(model, check(request, model), PLACEMENT)


FIRST_RUN = """
import json
from modelzoo_runner import benchmark
told = []
how = {"allocator": "system", "num_intra_threads": 1, "batch_size": 1, "warmup_steps": 1}
run = benchmark(
    "mobilenet_v1", weights="random", precision="int8", steps=3, **how,
    progress=lambda *said: told.append(said),
)
ran = [run.observed.host, run.observed.threads["intra_found"], run.plan.precision]
print(json.dumps({"told": told, "ran": ran, "path": run.plan.graph.path,
    "sha256": run.plan.graph.sha256,
    "setup": dict(run.observed.setup_seconds)}))
"""


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process saw that built MobileNet in both precisions into an empty cache."""
    folder = tmp_path_factory.mktemp("cache")
    done = subprocess.run(
        [sys.executable, "-c", FIRST_RUN],
        env={**os.environ, "MODELZOO_RUNNER_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"folder": folder, **json.loads(done.stdout)}


@pytest.fixture
def cache(first_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(first_run["folder"]))


@pytest.fixture
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(catalog, "build", refuse)
    monkeypatch.setattr(launch, "write", refuse)


def test_building_leaves_the_choice_of_threads_to_the_run(first_run: dict[str, Any]) -> None:
    """Quantising ran the network, in a child; so the run could still be here, with one thread."""
    assert first_run["ran"] == ["process", 1, "int8"]
    assert first_run["told"][:8] == [
        ["build", 0, 1],
        ["build", 1, 1],
        ["quantize", 0, 1],
        *(["calibration batches", done + 1, 4] for done in range(4)),
        ["quantize", 1, 1],
    ]
    assert {"build", "quantize", "import"} <= first_run["setup"].keys()


@pytest.mark.usefixtures("cache")
def test_an_int8_graph_is_the_float_one_quantised(first_run: dict[str, Any]) -> None:
    card = inspect_graph(first_run["path"])
    assert card.sha256 == first_run["sha256"] and card.precision == "int8"
    assert (card.layers.layers, card.layers.int8) == (28, 28)
    fp32, _ = random_graph.cached(plan(), MOBILENET)
    assert inspect_graph(fp32).precision == "fp32"
    assert card.size < fp32.stat().st_size / 3


@pytest.mark.usefixtures("cache", "nothing_is_built")
def test_both_are_reused() -> None:
    for precision in ("fp32", "bfloat16", "int8"):
        path, sha256 = random_graph.cached(plan(precision=precision), MOBILENET)
        assert inspect_graph(path).sha256 == sha256
        assert path.name.endswith("_int8.pb") == (precision == "int8")


@pytest.mark.usefixtures("cache")
def test_a_graph_that_was_cut_off_is_built_again() -> None:
    path, sha256 = random_graph.cached(plan(), MOBILENET)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert random_graph.cached(plan(), MOBILENET) == (path, sha256)
    assert path.read_bytes() == whole


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "other",
    [
        plan(precision="int8", seed=1),
        plan(
            dataclasses.replace(
                MOBILENET,
                preprocess=dataclasses.replace(MOBILENET.preprocess, scale=1.0),  # type: ignore[type-var]
            ),
            precision="int8",
        ),
    ],
    ids=["seed", "preprocessing"],
)
def test_other_weights_or_other_inputs_are_another_graph(
    other: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[Path] = []

    def write(plan: Plan, _: str, out: Path, *__: Any) -> None:
        wanted.append(out)
        out.write_bytes(b"x")

    monkeypatch.setattr(launch, "write", write)
    path, _ = random_graph.cached(other, MOBILENET)
    assert wanted == [path]
    assert path != random_graph.cached(plan(precision="int8"), MOBILENET)[0]


@pytest.mark.usefixtures("cache")
def test_the_child_gets_the_plan_with_made_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Plan] = []

    def write(plan: Plan, _: str, out: Path, *__: Any) -> None:
        asked.append(plan)
        out.write_bytes(b"x")

    monkeypatch.setattr(launch, "write", write)
    wanted = plan(precision="int8", seed=7, data_location="somewhere", timeout=5.0, batch_size=64)
    random_graph.cached(wanted, MOBILENET)
    (given,) = asked
    assert (given.data_location, given.timeout) == (None, None)
    assert (given.batch_size, given.limit, given.seed) == (1, random_graph.EXAMPLES, 7)
    assert given.placement == wanted.placement
    assert inspect_graph(given.graph.path).sha256 == given.graph.sha256


@pytest.mark.usefixtures("cache")
def test_a_child_that_dies_leaves_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "FORK_SERVER", "no_such_module")
    asked = plan(precision="int8", seed=3)
    with pytest.raises(
        WorkerError, match=r"quantize the graph ended with exit code 1(.|\n)*No mod"
    ):
        random_graph.cached(asked, MOBILENET)
    cache = Path(os.environ["MODELZOO_RUNNER_CACHE"])
    assert not list(cache.rglob("*seed3_int8.pb")) + list(cache.rglob("*seed3_int8.pb.sha256"))


def test_a_preset_without_a_topology() -> None:
    model = dataclasses.replace(MOBILENET, topology=None)
    with pytest.raises(RequestError) as raised:
        random_graph.cached(plan(), model)
    assert str(raised.value) == (
        "weights=\"random\": the preset 'mobilenet_v1' names no topology to build"
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", tuple(presets.every()), ids=lambda model: model.name)
def test_every_model_in_int8_does_what_it_does_in_float32(model: Preset) -> None:
    """Detections are as many, and random scores are much the same."""
    from modelzoo_runner.backends.tensorflow.load import read_graph
    from modelzoo_runner.backends.tensorflow.session import fed, open_step
    from modelzoo_runner.execution import calibration

    plans = [plan(model, precision=precision, seed=0) for precision in ("fp32", "int8")]
    outputs = plans[0].graph.outputs
    graphs = [read_graph(random_graph.cached(each, model)[0]) for each in plans]
    made = dataclasses.replace(plans[0], seed=99, batch_size=1, limit=4)
    images = list(calibration.batches(made, fed(graphs[0], plans[0].graph.input or "")))
    said: list[dict[str, Any]] = []
    for each in graphs:
        with open_step(each, input=plans[0].graph.input or "", outputs=[*outputs.values()]) as step:
            steps = [step(image) for image in images]
            said.append(
                {
                    role: np.concatenate([found[number] for found in steps])
                    for number, role in enumerate(outputs)
                }
            )
    fp32, int8 = said
    if model.task == "detection":
        count = 100 if model.name == "ssd-mobilenet" else 300
        assert (fp32["num_detections"] == count).all() and (int8["num_detections"] == count).all()
        assert int8["detection_scores"].max() > 0.5
        ranked = [np.sort(each["detection_scores"]).ravel() for each in said]
        assert np.corrcoef(*ranked)[0, 1] > 0.9
    else:
        assert np.corrcoef(fp32["scores"].ravel(), int8["scores"].ravel())[0, 1] > 0.8
