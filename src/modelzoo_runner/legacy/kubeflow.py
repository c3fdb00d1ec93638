"""Kubeflow pipelines: the original's, and one that does all recommended runs.

Each step calls `modelzoo_runner.run` in a pod of its own and leaves the saved result as an artifact
and its figures as metrics. The extra `kubeflow` is needed to compile a pipeline, and in the image
that its steps run in.
"""

# No `from __future__ import annotations` here: kfp reads the annotations of a step as objects.

import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import MissingDependency, RequestError
from modelzoo_runner.legacy import pipeline
from modelzoo_runner.planning.recommended import recommended
from modelzoo_runner.results.result import AccuracyResult, Result

__all__ = ["Pod", "figures", "inference_pipeline", "recommended", "sweep_pipeline", "write"]

IMAGE = "modelzoo-runner:latest"

DEFAULTS: Mapping[str, Any] = {
    name: default for name, default in pipeline.DEFAULTS.items() if name != "docker_image"
}
"""The parameters of a step and their defaults: all but the image, which is the pod's."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """The pod of a step.

    CPUs and memory are both request and limit: only then, and only if `cpu` is a whole number, does
    the kubelet's static CPU manager give a pod CPUs of its own.

    Attributes:
        image: the container's image, which holds this library with its extra `kubeflow`.
        cpu: CPUs, in Kubernetes' notation.
        memory: memory, in Kubernetes' notation.
        node_selector: labels that the node must have.
        volumes: persistent volume claim -> path where it is mounted (data, and the cache).
        secret: a secret with `key.json`, a service account's key for private `gs://` data.
    """

    image: str = IMAGE
    cpu: str = "24"
    memory: str = "50G"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None


def inference_pipeline(pod: Pod = Pod()) -> Any:
    """The original's pipeline: one step, and its ten parameters, filled in when it is run.

    Raises:
        MissingDependency: kfp isn't installed; the pip line.

    >>> write(inference_pipeline(Pod(cpu="8", memory="16G")), "inference.yaml")  # doctest: +SKIP
    """
    step = _step()
    defaults = {**DEFAULTS, "docker_image": pod.image}

    def model_zoo_inference(*values: str) -> None:
        given = dict(zip(defaults, values, strict=True))
        image = given.pop("docker_image")
        _configure(step(**given), pod).set_container_image(image)

    # kfp makes the pipeline's parameters from these.
    model_zoo_inference.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=value, annotation=str
            )
            for name, value in defaults.items()
        ]
    )
    return _kfp().dsl.pipeline(
        name="model-zoo-inference", description="Benchmark or score one model on CPUs"
    )(model_zoo_inference)


def sweep_pipeline(
    runs: Sequence[Mapping[str, str]],
    pod: Pod = Pod(),
    *,
    parallelism: int = 1,
) -> Any:
    """A pipeline with a step for each of `runs`.

    Args:
        runs: for each run the parameters of `modelzoo_runner.run` that aren't its defaults, as
            `recommended` returns them.
        pod: the pod of each step.
        parallelism: steps at once; more than one only where pods don't share CPUs.

    Raises:
        MissingDependency: kfp isn't installed; the pip line.
        RequestError: there are no runs, or a run has a parameter that a step doesn't.
    """
    if not runs:
        raise RequestError("runs: there are none")
    for run in runs:
        unknown = sorted(set(run) - set(DEFAULTS))
        if unknown:
            raise RequestError(
                f"runs: {', '.join(unknown)}: no parameter of a step; it has {', '.join(DEFAULTS)}"
            )
    dsl = _kfp().dsl
    step = _step()

    def model_zoo_sweep() -> None:
        items = [{**DEFAULTS, **run} for run in runs]
        with dsl.ParallelFor(items=items, parallelism=parallelism) as run:
            task = step(**{name: getattr(run, name) for name in DEFAULTS})
            _configure(task, pod)

    return dsl.pipeline(name="model-zoo-sweep", description="Run many models, one step each")(
        model_zoo_sweep
    )


def write(made: Any, path: str | Path) -> Path:
    """Compile a pipeline to the YAML that Kubeflow takes, and return its path."""
    path = Path(path).expanduser()
    _kfp().compiler.Compiler().compile(made, package_path=str(path))
    return path


def figures(result: Result) -> dict[str, float]:
    """The figures of a result that are logged as metrics; times are in seconds."""
    found = {
        "examples": float(result.examples),
        "throughput": result.throughput,
        "end_to_end_throughput": result.end_to_end_throughput,
        "latency_mean": result.latency.mean,
        "latency_p50": result.latency.p50,
        "latency_p90": result.latency.p90,
        "latency_p99": result.latency.p99,
    }
    if isinstance(result, AccuracyResult):
        found |= result.scores
    return {name: value for name, value in found.items() if value is not None}


@functools.cache
def _step() -> Any:
    dsl = _kfp().dsl
    from kfp.dsl import Artifact, Metrics, Output

    # kfp copies the source of this function into the pipeline: it stands for itself.
    def run_model(
        data_location: str,
        model_name: str,
        precision: str,
        mode: str,
        batch_size: str,
        socket_id: str,
        verbose: str,
        benchmark_or_accuracy: str,
        extra_model_args: str,
        result: Output[Artifact],
        metrics: Output[Metrics],
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("result", "metrics")}
        import modelzoo_runner
        from modelzoo_runner.legacy import kubeflow

        found = modelzoo_runner.run(**given)
        found.save(result.path)
        for name, value in kubeflow.figures(found).items():
            metrics.log_metric(name, value)

    # Nothing is installed when the step starts: the image has this library.
    return dsl.component(base_image=IMAGE, install_kfp_package=False)(run_model)


def _configure(task: Any, pod: Pod) -> Any:
    kubernetes = _kfp().kubernetes
    task.set_container_image(pod.image)
    task.set_cpu_request(pod.cpu).set_cpu_limit(pod.cpu)
    task.set_memory_request(pod.memory).set_memory_limit(pod.memory)
    # A measurement is never taken from the cache.
    task.set_caching_options(enable_caching=False)
    for label, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, label_key=label, label_value=value)
    for claim, path in pod.volumes.items():
        kubernetes.mount_pvc(task, pvc_name=claim, mount_path=path)
    if pod.secret is not None:
        folder = "/var/secrets/modelzoo-runner"
        kubernetes.use_secret_as_volume(task, secret_name=pod.secret, mount_path=folder)
        task.set_env_variable("GOOGLE_APPLICATION_CREDENTIALS", f"{folder}/key.json")
    return task


def _kfp() -> Any:
    try:
        import kfp
        import kfp.compiler
        import kfp.kubernetes
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} isn't installed, which makes pipelines for Kubeflow: "
            "pip install 'modelzoo_runner[kubeflow]'"
        ) from None
    return kfp
