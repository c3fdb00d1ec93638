"""The original's pipeline for Kubeflow, and one that runs all that is recommended.

Each step is one call of `modelzoo_runner.run` in a pod of its own, which leaves its saved result as
an artifact and its figures as metrics. Making a pipeline needs the extra `kubeflow`, and so does
the image that its steps run in.
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
    name: parameter.default
    for name, parameter in inspect.signature(pipeline.translate).parameters.items()
    if name != "docker_image"
}
"""A step's parameters: those of old, but for the image, which is the pod's."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What a step's pod is and gets.

    The CPUs and the memory are requested and are the limit: a node that hands out whole CPUs
    exclusively does so for such a pod alone, and only if `cpu` is a whole number.

    Attributes:
        image: the container's image; it holds this library with its extra `kubeflow`.
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
    """The original's pipeline: one step, and the ten parameters of old, filled in when it is run.

    Raises:
        MissingDependency: kfp isn't installed; the pip line.

    >>> write(inference_pipeline(Pod(cpu="8", memory="16G")), "inference.yaml")  # doctest: +SKIP
    """
    dsl = _kfp().dsl
    step = _step()

    def model_zoo_inference(
        data_location: str = "",
        model_name: str = "resnet50",
        precision: str = "int8",
        mode: str = "inference",
        batch_size: str = "-1",
        socket_id: str = "0",
        verbose: str = "true",
        benchmark_or_accuracy: str = "benchmark",
        extra_model_args: str = "",
        docker_image: str = pod.image,
    ) -> None:
        task = step(
            data_location=data_location,
            model_name=model_name,
            precision=precision,
            mode=mode,
            batch_size=batch_size,
            socket_id=socket_id,
            verbose=verbose,
            benchmark_or_accuracy=benchmark_or_accuracy,
            extra_model_args=extra_model_args,
        )
        _place(task, pod).set_container_image(docker_image)

    return dsl.pipeline(
        name="model-zoo-inference", description="Benchmark or score one model on CPUs"
    )(model_zoo_inference)


def sweep_pipeline(
    runs: Sequence[Mapping[str, str]],
    pod: Pod = Pod(),
    *,
    parallelism: int = 1,
) -> Any:
    """A pipeline with a step for each of `runs`, each a mapping of the parameters of old.

    Args:
        runs: see `recommended`; what a run doesn't say is the default of `modelzoo_runner.run`.
        pod: what each step's pod is and gets.
        parallelism: steps at once; more than one only where the nodes keep their CPUs apart.

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
            _place(task, pod)

    return dsl.pipeline(name="model-zoo-sweep", description="Run many models, one step each")(
        model_zoo_sweep
    )


def write(made: Any, path: str | Path) -> Path:
    """Compile what was made here to the YAML that Kubeflow takes, and return its path."""
    path = Path(path).expanduser()
    _kfp().compiler.Compiler().compile(made, package_path=str(path))
    return path


def figures(result: Result) -> dict[str, float]:
    """What of a result is worth a column in Kubeflow's list of runs; times are in seconds."""
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
        import modelzoo_runner
        from modelzoo_runner.legacy import kubeflow

        found = modelzoo_runner.run(
            data_location=data_location,
            model_name=model_name,
            precision=precision,
            mode=mode,
            batch_size=batch_size,
            socket_id=socket_id,
            verbose=verbose,
            benchmark_or_accuracy=benchmark_or_accuracy,
            extra_model_args=extra_model_args,
        )
        found.save(result.path)
        for name, value in kubeflow.figures(found).items():
            metrics.log_metric(name, value)

    # Nothing is installed when the step starts: the image has it.
    return dsl.component(base_image=IMAGE, install_kfp_package=False)(run_model)


def _place(task: Any, pod: Pod) -> Any:
    kubernetes = _kfp().kubernetes
    task.set_container_image(pod.image)
    task.set_cpu_request(pod.cpu).set_cpu_limit(pod.cpu)
    task.set_memory_request(pod.memory).set_memory_limit(pod.memory)
    # A measurement is made, not remembered.
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
