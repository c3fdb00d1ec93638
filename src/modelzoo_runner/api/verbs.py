"""The two verbs: benchmark() and accuracy(). The order of the steps, and no step's inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, cast

# Loaded now and not when it is first used: the room has the name of the public function `machine`,
# and loading it later would put the room in the function's place.
from modelzoo_runner.data import label_map as label_maps
from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine import runtime_log, topology
from modelzoo_runner.machine.topology import Topology
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.values import atomic, bars, presets, validate
from modelzoo_runner.values.arguments import documented
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import accepts_former_names
from modelzoo_runner.values.options import (
    Allocator,
    Arrivals,
    Binding,
    BoxFormat,
    InstancePer,
    Isolation,
    LabelMap,
    Precision,
)
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Told


@bars.shown
@runtime_log.held_back()
@accepts_former_names
@documented()
def benchmark(
    model: Model,
    *,
    precision: Precision = "fp32",
    runtime: str | None = None,
    goal: Literal["throughput", "latency"] = "throughput",
    weights: str | Path = "pretrained",
    data_location: str | Path | None = None,
    batch_size: int | None = None,
    warmup_steps: int | None = None,
    steps: int | None = None,
    min_seconds: float | None = None,
    arrivals: Arrivals | None = None,
    rate: float | None = None,
    socket_id: int | None = None,
    numa_node: int | None = None,
    cpus: str | Collection[int] | None = None,
    num_cores: int | None = None,
    instances: int | InstancePer | None = None,
    cores_per_instance: int | None = None,
    num_inter_threads: int | None = None,
    num_intra_threads: int | None = None,
    allocator: Allocator | None = None,
    binding: Binding = "sched_setaffinity",
    strict: bool = False,
    processes: int = 1,
    isolation: Isolation = "auto",
    docker_image: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    optimize: bool = True,
    allow_unsafe_ops: bool = False,
    seed: int = 0,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    preprocess_graph: str | Path | None = None,
    feeds: Mapping[str, Any] | None = None,
    signature: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    stream: bool = False,
    allow_partial: bool = False,
    offline: bool = False,
    progress: Told = None,
) -> BenchmarkResult:
    """How fast a model runs on this machine.

    `None` means the default: the preset's recommended run first, the library's default then;
    `result.plan.why` says who decided. See `docs/measuring.md` for what a measured step is.

    Raises:
        RequestError: an argument that can't be; nothing has been fetched or run.
        FetchError: the graph or the data can't be fetched.
        GraphError, DataError: they can't be run or read.
        BindingError: the CPUs, threads or memory aren't available.
        ContainerError: the image, or an engine to run it, isn't available.
        WorkerError: a child process or a container died.
        Interrupted: Ctrl-C while measuring; holds the partial result.

    Examples:
        >>> from modelzoo_runner import benchmark
        >>> result = benchmark("resnet50", weights="random", batch_size=1)  # doctest: +SKIP
        >>> result.throughput  # doctest: +SKIP
        16.2
    """
    request = Request.of("benchmark", locals())
    context = Context(offline=offline, progress=progress)
    preset, request = planner.preset_for(model, request)
    return cast(BenchmarkResult, _run(planner.plan(preset, request, context), context))


@bars.shown
@runtime_log.held_back()
@accepts_former_names
@documented(
    data_location="the labelled data, here or in a store.",
    batch_size="examples in a step; it doesn't change the score.",
    timeout="seconds after which the run is ended; it makes the run a child process. With "
    "`client` or `checkpoint` it is of each part.",
)
def accuracy(
    model: Model,
    *,
    data_location: str | Path | None = None,
    annotations: str | Path | None = None,
    precision: Precision = "fp32",
    runtime: str | None = None,
    weights: str | Path = "pretrained",
    batch_size: int | None = None,
    limit: int | None = None,
    label_map: LabelMap | None = None,
    label_offset: int | None = None,
    category_names: Mapping[str, str] | None = None,
    box_format: BoxFormat | None = None,
    min_scores: Mapping[str, float] | None = None,
    max_drop: float | None = None,
    stop_when: Literal["end", "decided"] = "end",
    predictions: str | Path | None = None,
    socket_id: int | None = None,
    numa_node: int | None = None,
    cpus: str | Collection[int] | None = None,
    num_cores: int | None = None,
    num_inter_threads: int | None = None,
    num_intra_threads: int | None = None,
    allocator: Allocator | None = None,
    binding: Binding = "sched_setaffinity",
    strict: bool = False,
    isolation: Isolation = "auto",
    docker_image: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    optimize: bool = True,
    allow_unsafe_ops: bool = False,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    preprocess_graph: str | Path | None = None,
    feeds: Mapping[str, Any] | None = None,
    signature: str | None = None,
    stream: bool = False,
    allow_partial: bool = False,
    offline: bool = False,
    client: Any | None = None,
    checkpoint: str | Path | None = None,
    doctor: bool = False,
    progress: Told = None,
) -> AccuracyResult:
    """How well a model scores on labelled data: top-1 and top-5, or COCO's 12 numbers.

    Every example counts once, the last short batch too.

    Raises:
        DataRequired: no `data_location`.
        RequestError: an argument that can't be; nothing has been fetched or run.
        FetchError: the graph or the data can't be fetched.
        GraphError, DataError: they can't be run or read; or `doctor=True` found an error.
        BindingError: the CPUs, threads or memory aren't available.
        ContainerError: the image, or an engine to run it, isn't available.
        WorkerError: a child process or a container died.
        Interrupted: Ctrl-C; holds the score of the examples that were done.

    Examples:
        >>> from modelzoo_runner import accuracy
        >>> accuracy("resnet50", data_location="imagenet").counts  # doctest: +SKIP
        {'top1': 37150, 'top5': 45940}
    """
    request = Request.of("accuracy", {**locals(), "label_map": label_maps.read(label_map)})
    context = Context(offline=offline, progress=progress)
    validate.flag("doctor", doctor)
    for name, value in (
        ("client", client),
        ("checkpoint", checkpoint),
        ("docker_image", docker_image),
    ):
        if doctor and value is not None:
            raise RequestError(f"doctor=True: not with {name}; call doctor() before")
    preset, request = planner.preset_for(model, request)
    if request.predictions is not None:
        atomic.target("predictions", request.predictions)  # before anything is fetched
    validate.optional_text("checkpoint", checkpoint)
    if client is not None or checkpoint is not None:
        if stop_when != "end":
            raise RequestError(
                f"stop_when={stop_when!r}: not with client or checkpoint, whose parts are scored "
                "at the end"
            )
        from modelzoo_runner.scale import accuracy as in_parts

        return in_parts.run(
            preset,
            request,
            client=client,
            checkpoint=checkpoint,
            context=context,
        )
    plan = planner.plan(preset, request, context)
    doubts: tuple[str, ...] = ()
    if doctor:
        from modelzoo_runner.api import doctor as checks

        doubts = checks.before(plan, context)
    result = cast(AccuracyResult, _run(plan, context))
    return dataclasses.replace(result, warnings=(*result.warnings, *doubts))


def _run(plan: Plan, context: Context) -> Result:
    # Loaded here, so that importing the library is quick.
    from modelzoo_runner.execution import host

    return host.run(plan, context)


def models() -> dict[str, Preset]:
    """The models that come with the library, by name; a table in a notebook."""
    return presets.Models((each.name, each) for each in presets.every())


def machine() -> Topology:
    """The CPUs, cores, caches, sockets and NUMA nodes here, and what this process may use of them.

    Printed, and in a notebook, it is a table and a picture.

    Raises:
        BindingError: this process may not run on any CPU that is there.

    Examples:
        >>> from modelzoo_runner import machine
        >>> len(machine().usable) >= 1
        True
    """
    return topology.read(with_caches=True)
