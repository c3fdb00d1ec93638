"""Kubeflow pipelines: the original's, and one that does all recommended runs.

Each step calls `modelzoo_runner.run` in a pod of its own and leaves the saved result, a report in
HTML and metrics as artifacts. The extra `kubeflow` is needed to compile a pipeline, and in the
image that its steps run in.
"""

# No `from __future__ import annotations` here: kfp reads the annotations of a step as objects.

import dataclasses
import functools
import inspect
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelzoo_runner.api.report import report as write_report
from modelzoo_runner.errors import ContainerError, MissingDependency, RequestError
from modelzoo_runner.execution import images
from modelzoo_runner.legacy import pipeline
from modelzoo_runner.planning.recommended import recommended
from modelzoo_runner.results.result import AccuracyResult, Result
from modelzoo_runner.scale.pod import DEFAULT_POD, IMAGE, SECRETS, Pod
from modelzoo_runner.values.context import Context

__all__ = ["Pod", "figures", "inference_pipeline", "recommended", "sweep_pipeline", "write"]

DEFAULTS: Mapping[str, Any] = {
    name: default for name, default in pipeline.DEFAULTS.items() if name != "docker_image"
}
"""The parameters of a step and their defaults: all but the image, which is the pod's."""


def pinned(image: str) -> str:
    """The image by its digest; as it is, with a warning, where that isn't known.

    Docker on this machine knows the digest of an image that it has pulled or pushed.
    """
    if _DIGEST.search(image):
        return image
    try:
        why = "Docker here knows no digest of it: push or pull it"
        digest = images.local(image, Context(offline=True)).digest
    except ContainerError as error:
        digest, why = None, str(error)
    if digest is None:
        warnings.warn(
            f"image={image!r}: the pipeline isn't pinned to a digest, so a later run may get "
            f"another image under this name; name it as NAME@sha256:... ({why})",
            stacklevel=3,
        )
    return digest or image


_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def inference_pipeline(pod: Pod = DEFAULT_POD) -> Any:
    """The original's pipeline: one step, and its ten parameters, filled in when it is run.

    Raises:
        MissingDependency: kfp isn't installed; the pip line.

    >>> write(inference_pipeline(Pod(cpu="8", memory="16G")), "inference.yaml")  # doctest: +SKIP
    """
    step = _step()
    pod = dataclasses.replace(pod, image=pinned(pod.image))
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
        name="model-zoo-inference", description=_described("Benchmark or score one model", pod)
    )(model_zoo_inference)


def sweep_pipeline(
    runs: Sequence[Mapping[str, str]],
    pod: Pod = DEFAULT_POD,
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
    pod = dataclasses.replace(pod, image=pinned(pod.image))

    def model_zoo_sweep() -> None:
        items = [{**DEFAULTS, **run} for run in runs]
        with dsl.ParallelFor(items=items, parallelism=parallelism) as run:
            task = step(**{name: getattr(run, name) for name in DEFAULTS})
            _configure(task, pod)

    described = _described("Run many models, one step each", pod)
    return dsl.pipeline(name="model-zoo-sweep", description=described)(model_zoo_sweep)


def _described(what: str, pod: Pod) -> str:
    is_pinned = _DIGEST.search(pod.image)
    return f"{what}, in {pod.image}{'' if is_pinned else ' (not pinned by its digest)'}"


def write(made: Any, path: str | Path) -> Path:
    """Compile a pipeline to the YAML that Kubeflow takes, and return its path.

    Raises:
        RequestError: the path doesn't end in .yaml.
    """
    path = Path(path).expanduser()
    if path.suffix != ".yaml":
        raise RequestError(f"path={str(path)!r}: should end in .yaml")
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


def run_step(given: Mapping[str, str], result: str, report: str) -> dict[str, float]:
    """What a step does: run, save the result as JSON and as a page, and return the figures."""
    found = pipeline.run(**given)
    said = _writable(given.get("data_location", ""))
    found = dataclasses.replace(found, warnings=(*found.warnings, *said))
    found.save(result)
    write_report(found, report, title=f"{found.plan.model} {found.plan.precision}")
    return figures(found)


def _writable(location: str) -> list[str]:
    """A warning where data lies on a file system of a pod that could be written to."""
    is_here = "KUBERNETES_SERVICE_HOST" in os.environ and bool(location) and Path(location).exists()
    if not is_here or os.statvfs(location).f_flag & os.ST_RDONLY:
        return []
    return [
        f"data_location={location!r}: it is mounted to be written to, so other pods may change it; "
        "give it a claim that is ReadOnlyMany"
    ]


@functools.cache
def _step() -> Any:
    dsl = _kfp().dsl
    from kfp.dsl import HTML, Artifact, Metrics, Output

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
        report: Output[HTML],
        metrics: Output[Metrics],
    ) -> None:
        given = dict(locals())
        from modelzoo_runner.legacy import kubeflow

        given = {name: given[name] for name in kubeflow.DEFAULTS}
        for name, value in kubeflow.run_step(given, result.path, report.path).items():
            metrics.log_metric(name, value)

    # Nothing is installed when the step starts: the image has this library.
    return dsl.component(base_image=IMAGE, install_kfp_package=False)(run_model)


def _configure(task: Any, pod: Pod) -> Any:
    kubernetes = _kfp().kubernetes
    task.set_container_image(pod.image)
    task.set_cpu_request(pod.cpus).set_cpu_limit(pod.cpus)
    task.set_memory_request(pod.memory).set_memory_limit(pod.memory)
    # A measurement is never taken from the cache.
    task.set_caching_options(enable_caching=False)
    for label, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, label_key=label, label_value=value)
    for claim, path in {**pod.data, **pod.volumes}.items():
        kubernetes.mount_pvc(task, pvc_name=claim, mount_path=path)
    if pod.secret is not None:
        kubernetes.use_secret_as_volume(task, secret_name=pod.secret, mount_path=SECRETS)
        task.set_env_variable("GOOGLE_APPLICATION_CREDENTIALS", f"{SECRETS}/key.json")
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
