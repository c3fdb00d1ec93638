"""Pipelines for Kubeflow: what they say, and that they run."""

from __future__ import annotations

import builtins
import dataclasses
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pods import PINNED, POD

import modelzoo_runner
from modelzoo_runner.errors import MissingDependency, RequestError
from modelzoo_runner.legacy import kubeflow, pipeline
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

EXAMPLES = Path(__file__).parents[2] / "examples" / "kubeflow"


@pytest.fixture(scope="module")
def kfp() -> Any:
    import kfp

    return kfp


def compiled(made: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two documents of a pipeline's YAML: what runs, and on what of Kubernetes."""
    import yaml

    documents = list(yaml.safe_load_all(kubeflow.write(made, path).read_text(encoding="utf-8")))
    assert len(documents) == 2
    return documents[0], documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.fixture
def inference(kfp: Any, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return compiled(kubeflow.inference_pipeline(POD), tmp_path / "inference.yaml")


def test_the_ten_parameters_with_their_defaults(inference: Any) -> None:
    asked = inference[0]["root"]["inputDefinitions"]["parameters"]

    assert {name: said["defaultValue"] for name, said in asked.items()} == {
        **kubeflow.DEFAULTS,
        "docker_image": PINNED,
    }
    assert len(asked) == 10
    assert pipeline.translate(**kubeflow.DEFAULTS) == pipeline.translate()


def test_every_parameter_reaches_the_step(inference: Any) -> None:
    task = inference[0]["root"]["dag"]["tasks"]["run-model"]
    passed = task["inputs"]["parameters"]

    for name in kubeflow.DEFAULTS:
        assert passed[name] == {"componentInputParameter": name}


def test_a_pod_has_what_it_asks_for_and_no_more(inference: Any) -> None:
    container = inference[0]["deploymentSpec"]["executors"]["exec-run-model"]["container"]

    assert container["resources"].items() >= {
        ("resourceCpuLimit", "8"),
        ("resourceCpuRequest", "8"),
        ("resourceMemoryLimit", "16G"),
        ("resourceMemoryRequest", "16G"),
    }
    assert "docker_image" in container["image"]
    assert container["env"] == [
        {
            "name": "GOOGLE_APPLICATION_CREDENTIALS",
            "value": "/var/secrets/modelzoo-runner/key.json",
        }
    ]
    # Nothing is installed when a step starts.
    assert "pip install" not in json.dumps(container)


def test_a_pod_has_the_cpus_of_a_placement(kfp: Any, tmp_path: Path) -> None:
    placement = Placement(cpus=tuple(range(14)), inter_threads=1, intra_threads=14)
    pod = dataclasses.replace(POD, cpu=None, placement=placement)
    written, _ = compiled(kubeflow.inference_pipeline(pod), tmp_path / "p.yaml")
    (found,) = written["deploymentSpec"]["executors"].values()
    resources = found["container"]["resources"]
    assert {resources["resourceCpuLimit"], resources["resourceCpuRequest"]} == {"14"}
    unbound = Placement(inter_threads=1, intra_threads=3)
    assert kubeflow.Pod(image=PINNED, placement=unbound).cpus == "3"
    assert kubeflow.Pod(image=PINNED).cpus == "24"
    with pytest.raises(RequestError, match="placement"):
        kubeflow.Pod(placement=placement, cpu="2")


def test_an_image_is_pinned_or_it_is_said(
    kfp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kubeflow.sweep_pipeline([{"precision": "fp32"}], POD)
    assert "not pinned" not in compiled(made, tmp_path / "a.yaml")[0]["pipelineInfo"]["description"]

    def command(answer: str) -> None:
        """A `docker` command that answers an inspection."""
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command(json.dumps([{"Id": "sha256:1", "RepoDigests": [PINNED]}]))
    pod = dataclasses.replace(POD, image="runner:1")
    written, _ = compiled(kubeflow.inference_pipeline(pod), tmp_path / "b.yaml")
    asked = written["root"]["inputDefinitions"]["parameters"]
    assert asked["docker_image"]["defaultValue"] == PINNED
    command(json.dumps([{"Id": "sha256:1", "RepoDigests": []}]))
    with pytest.warns(UserWarning, match=r"image='runner:1': .*sha256"):
        made = kubeflow.inference_pipeline(pod)
    assert "not pinned" in compiled(made, tmp_path / "c.yaml")[0]["pipelineInfo"]["description"]


def test_data_that_could_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kubeflow._writable(str(tmp_path)) == []  # not in a pod
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    (said,) = kubeflow._writable(str(tmp_path))
    assert "ReadOnlyMany" in said
    assert kubeflow._writable("") == kubeflow._writable("gs://bucket/data") == []
    if os.statvfs("/sys").f_flag & os.ST_RDONLY:
        assert kubeflow._writable("/sys") == []


def test_where_a_pod_is_and_what_is_mounted(inference: Any) -> None:
    on = inference[1]["exec-run-model"]

    assert on["nodeSelector"] == {"labels": {"kind": "large"}}
    assert [(each["constant"], each["mountPath"]) for each in on["pvcMount"]] == [
        ("imagenet", "/data"),
        ("cache", "/cache"),
    ]
    assert [each["secretName"] for each in on["secretAsVolume"]] == ["account"]


def test_a_measurement_is_never_taken_from_a_cache(inference: Any) -> None:
    task = inference[0]["root"]["dag"]["tasks"]["run-model"]

    assert not task["cachingOptions"].get("enableCache", False)


def test_a_result_is_an_artifact_and_its_figures_are_metrics(inference: Any) -> None:
    artifacts = inference[0]["components"]["comp-run-model"]["outputDefinitions"]["artifacts"]

    assert {name: each["artifactType"]["schemaTitle"] for name, each in artifacts.items()} == {
        "result": "system.Artifact",
        "report": "system.HTML",
        "metrics": "system.Metrics",
    }


def test_a_sweep_has_a_step_for_each_run(kfp: Any, tmp_path: Path) -> None:
    runs = kubeflow.recommended("resnet50", "int8", imagenet="gs://bucket/imagenet")

    written, _ = compiled(kubeflow.sweep_pipeline(runs, POD, parallelism=2), tmp_path / "s.yaml")

    (loop,) = written["root"]["dag"]["tasks"].values()
    assert json.loads(loop["parameterIterator"]["items"]["raw"]) == [
        {**kubeflow.DEFAULTS, **run} for run in runs
    ]
    assert loop["iteratorPolicy"]["parallelismLimit"] == 2


def test_what_is_recommended_without_data() -> None:
    runs = kubeflow.recommended("resnet50", "int8")

    assert [(run["batch_size"], run["benchmark_or_accuracy"]) for run in runs] == [
        ("128", "benchmark"),
        ("1", "benchmark"),
    ]
    assert {run["data_location"] for run in runs} == {""}


def test_what_is_recommended_with_data() -> None:
    runs = kubeflow.recommended(imagenet="/imagenet", coco="/coco")

    assert len(runs) == 48
    assert {run["data_location"] for run in runs if run["model_name"] == "rfcn"} == {"/coco"}
    assert {run["data_location"] for run in runs if run["model_name"] == "resnet50"} == {
        "/imagenet"
    }
    for run in runs:
        assert pipeline.translate(**run)


def test_a_pipeline_is_written_as_yaml(kfp: Any, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"path=.*\.yaml"):
        kubeflow.write(kubeflow.inference_pipeline(POD), tmp_path / "pipeline.txt")


def test_a_sweep_of_nothing() -> None:
    with pytest.raises(RequestError, match=r"^runs"):
        kubeflow.sweep_pipeline([])


def test_a_sweep_of_something_unknown() -> None:
    with pytest.raises(RequestError, match=r"runs: model.*model_name"):
        kubeflow.sweep_pipeline([{"model": "resnet50", "precision": "int8"}])


@pytest.mark.parametrize("absent", ["kfp", "kfp.kubernetes"])
def test_without_kfp_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    monkeypatch.setitem(sys.modules, absent, None)

    with pytest.raises(MissingDependency, match=re.escape("modelzoo_runner[kubeflow]")):
        kubeflow.inference_pipeline(POD)


PLAN = Plan(
    kind="benchmark",
    model="m",
    task="classification",
    precision="fp32",
    goal="throughput",
    graph=GraphFile(source="path", path="m.pb"),
    batch_size=2,
    placement=Placement(inter_threads=1, intra_threads=1),
)


def test_the_figures_of_a_benchmark() -> None:
    result = BenchmarkResult(
        plan=PLAN,
        observed=Observed(),
        step_seconds=(0.5, 1.5),
        data_seconds=(1.0, 1.0),
        examples=4,
    )

    assert kubeflow.figures(result) == {
        "examples": 4,
        "throughput": 2.0,
        "end_to_end_throughput": 1.0,
        "latency_mean": 1.0,
        "latency_p50": 1.0,
    }


def test_the_figures_of_an_accuracy_run() -> None:
    result = AccuracyResult(
        plan=PLAN,
        observed=Observed(),
        step_seconds=(1.0,),
        data_seconds=(1.0,),
        examples=4,
        scores={"top1": 0.25, "top5": 0.75},
    )

    assert kubeflow.figures(result).items() >= {("examples", 4.0), ("top1", 0.25), ("top5", 0.75)}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_compiles_from_the_command_line(kfp: Any, example: Path, tmp_path: Path) -> None:
    out = tmp_path / "pipeline.yaml"

    done = subprocess.run(
        [sys.executable, example, out], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert "PIPELINE DEFINITION" in out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small graph with the tensors of resnet50."""
    import tensorflow as tf

    with tf.Graph().as_default() as built:
        images = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3], name="input")
        weights = tf.constant(
            [[0.01 * (row + column) for column in range(1001)] for row in range(3)]
        )
        tf.nn.softmax(tf.reduce_mean(images, [1, 2]) @ weights, name="predict")
    path = tmp_path_factory.mktemp("graph") / "tiny.pb"
    path.write_bytes(built.as_graph_def().SerializeToString())
    return path


@pytest.fixture
def local(kfp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the artifacts of pipelines land that are run in this place."""
    import kfp.local

    monkeypatch.chdir(tmp_path)
    # The local runner indents what a step prints by replacing `print`. It does so in each of a
    # loop's threads, and when they end in another order than they began, one replacement stays.
    monkeypatch.setattr(builtins, "print", print)
    kfp.local.init(
        runner=kfp.local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root")
    )
    return tmp_path / "root"


class Cells(HTMLParser):
    """What stands in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """A result's JSON without what differs from process to process and moment to moment."""
    kept = {name: value for name, value in record.items() if not name.endswith("_seconds")}
    return {**kept, "observed": record["observed"]["graph"], "warnings": None, "summary": None}


# The local runner warns that it runs a step here and not in its image, which is what it is for.
in_this_place = pytest.mark.filterwarnings("ignore:You may be attemping to run:RuntimeWarning")


@in_this_place
def test_a_local_run_leaves_the_result_of_a_direct_call(local: Path, graph: Path) -> None:
    asked = {
        "precision": "fp32",
        "batch_size": "2",
        "extra_model_args": f"steps=4 warmup_steps=1 weights={graph}",
    }

    kubeflow.inference_pipeline(POD)(**asked)

    (saved,) = local.glob("**/result")
    (report,) = local.glob("**/report")
    cells = Cells()
    cells.feed(report.read_text(encoding="utf-8"))
    (metrics,) = (json.loads(path.read_text()) for path in local.glob("**/executor_output.json"))
    result = modelzoo_runner.load(saved)
    direct = modelzoo_runner.run(**asked)
    assert without_times(json.loads(saved.read_text())) == without_times(direct.to_dict())
    assert len(result.step_seconds) == len(direct.step_seconds) == 3
    assert f"{result.throughput:.1f}" in " ".join(cells.found)
    (logged,) = metrics["artifacts"]["metrics"]["artifacts"]
    assert logged["metadata"] == pytest.approx(kubeflow.figures(result))


@in_this_place
def test_a_local_sweep_leaves_a_result_for_each_run(local: Path, graph: Path) -> None:
    extra = f"steps=3 warmup_steps=1 weights={graph}"
    runs = [
        {"precision": "fp32", "batch_size": batch, "extra_model_args": extra}
        for batch in ("1", "2")
    ]

    kubeflow.sweep_pipeline(runs, POD)()

    results = [modelzoo_runner.load(path) for path in local.glob("**/result")]
    assert sorted(result.plan.batch_size for result in results) == [1, 2]
