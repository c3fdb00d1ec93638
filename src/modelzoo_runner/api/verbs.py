"""The two verbs: benchmark() and accuracy(). The order of the steps, and no step's inside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from modelzoo_runner.errors import RequestError

# Loaded now and not when it is first used: the room has the name of the public function `machine`,
# and loading it later would put the room in the function's place.
from modelzoo_runner.machine import topology
from modelzoo_runner.machine.topology import Topology
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.values import atomic
from modelzoo_runner.values import preset as presets
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import accepts_former_names
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Progress


@accepts_former_names
def benchmark(
    model: Model,
    *,
    precision: str = "fp32",
    goal: Literal["throughput", "latency"] = "throughput",
    weights: str | Path = "pretrained",
    data_location: str | Path | None = None,
    batch_size: int | None = None,
    warmup_steps: int | None = None,
    steps: int | None = None,
    min_seconds: float | None = None,
    socket_id: int | None = None,
    numa_node: int | None = None,
    cpus: str | Collection[int] | None = None,
    num_cores: int | None = None,
    instances: int | Literal["socket", "node", "core"] | None = None,
    cores_per_instance: int | None = None,
    num_inter_threads: int | None = None,
    num_intra_threads: int | None = None,
    allocator: Literal["system", "tcmalloc", "jemalloc"] | None = None,
    binding: Literal["sched_setaffinity", "numactl", "none"] = "sched_setaffinity",
    strict: bool = False,
    processes: int = 1,
    isolation: Literal["auto", "none", "child"] = "auto",
    docker_image: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    optimize: bool = True,
    allow_unsafe_ops: bool = False,
    seed: int = 0,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    preprocess_graph: str | Path | None = None,
    input_shape: tuple[int, ...] | None = None,
    stream: bool = False,
    allow_partial: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
) -> BenchmarkResult:
    """How fast a model runs on this machine.

    `None` means "decide for me": the preset's recommended run first, the library's default then;
    `result.plan.why` says who decided. See `docs/measuring.md` for what a measured step is.

    Args:
        model: a model's name (see `models()`), a path to a frozen graph (`.pb`) or to a preset of
            your own (`.toml`), or a `Preset`.
        precision: `"fp32"` or `"int8"`, as far as the model has them; `"bfloat16"` runs the fp32
            graph with TensorFlow's automatic mixed precision.
        goal: which of the preset's recommended runs: `"throughput"` (a large batch) or `"latency"`
            (batch 1).
        weights: `"pretrained"` fetches the published graph, `"random"` builds the same network here
            with seeded weights, and anything else is the path of a graph, here or at gs://.
        data_location: a folder of TFRecords or images, here or at gs://; `None`: synthetic input.
        batch_size: examples in a step.
        warmup_steps: steps before the measured ones; kept in the result, apart.
        steps: measured steps.
        min_seconds: measure on after `steps` until it took this long.
        socket_id: use the CPUs and the memory of one socket.
        numa_node: use the CPUs and the memory of one NUMA node.
        cpus: choose from these CPUs, as `"0-3,8"` or ids.
        num_cores: use so many physical cores, of all instances together.
        instances: run so many processes at once, or one for each `"socket"`, `"node"` or `"core"`,
            on physical cores of their own; what counts is the time in which all of them run.
        cores_per_instance: physical cores of each instance.
        num_inter_threads: TensorFlow's inter-op threads.
        num_intra_threads: TensorFlow's intra-op threads.
        allocator: the malloc to preload; it makes the run a child process.
        binding: how the run is put on its CPUs.
        strict: raise where what was asked can't be honoured and a warning would do.
        processes: measure in so many fresh processes, one after the other, and keep each. Their
            spread is what `compare` and a `History` need: 5 for what is to be compared later.
        isolation: `"auto"` runs in this process where it can honour the plan, else in a child;
            `"child"` always in a child; `"none"` never.
        docker_image: run in a container of this image (see `docs/containers.md`).
        env: variables for the run; they overrule the preset's and the process's own.
        timeout: seconds after which the run is ended; it makes the run a child process.
        optimize: prepare the graph for inference at load time (see `docs/graphs.md`).
        allow_unsafe_ops: run a graph with operations outside the allow-list. Such a graph can read
            and write files: trust it like a program.
        seed: of synthetic input and of random weights.
        input: the input tensor, where the graph isn't the preset's.
        outputs: role -> output tensor, where the graph isn't the preset's.
        preprocess_graph: for detectors: a graph that makes this one's input of an image, where that
            is a graph of its own.
        input_shape: of one example, where the graph leaves it open.
        stream: read data at gs:// while it is used, without a copy on the disk (`docs/data.md`).
        allow_partial: accept a data set with missing shards.
        offline: never touch the network.
        progress: called with (what, done, total or None).

    Raises:
        RequestError: an argument that can't be; nothing has been fetched or run.
        FetchError: the graph or the data can't be had.
        GraphError, DataError: they can't be run or read.
        BindingError: the CPUs, threads or memory can't be had.
        ContainerError: the image, or an engine to run it, can't be had.
        WorkerError: a child process or a container died.
        Interrupted: Ctrl-C while measuring; holds the partial result.

    Example:
        >>> from modelzoo_runner import benchmark
        >>> result = benchmark("resnet50", weights="random", batch_size=1)  # doctest: +SKIP
        >>> result.throughput  # doctest: +SKIP
        16.2
    """
    request = Request.of("benchmark", locals())
    context = Context(offline=offline, progress=progress)
    preset, request = planner.preset_for(model, request)
    plan = planner.plan(preset, request, context)
    return cast(BenchmarkResult, _run(plan, progress))


@accepts_former_names
def accuracy(
    model: Model,
    *,
    data_location: str | Path | None = None,
    annotations: str | Path | None = None,
    precision: str = "fp32",
    weights: str | Path = "pretrained",
    batch_size: int | None = None,
    limit: int | None = None,
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
    allocator: Literal["system", "tcmalloc", "jemalloc"] | None = None,
    binding: Literal["sched_setaffinity", "numactl", "none"] = "sched_setaffinity",
    strict: bool = False,
    isolation: Literal["auto", "none", "child"] = "auto",
    docker_image: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    optimize: bool = True,
    allow_unsafe_ops: bool = False,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    preprocess_graph: str | Path | None = None,
    stream: bool = False,
    allow_partial: bool = False,
    offline: bool = False,
    client: Any | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> AccuracyResult:
    """How well a model scores on labelled data: top-1 and top-5, or COCO's 12 numbers.

    Every example counts once, the last short batch too. Arguments that `benchmark` has as well
    mean the same there.

    Args:
        model: as in `benchmark`.
        data_location: the labelled data, here or at gs://.
        annotations: for detectors: the `instances_*.json`, where it isn't beside the images.
        precision: as in `benchmark`.
        weights: as in `benchmark`.
        batch_size: examples in a step; it doesn't change the score.
        limit: stop after so many examples; the result says that it is of a part of the set.
        min_scores: the lowest score allowed by name, such as `{"top1": 0.74}`; `result.gates` says
            whether it holds.
        max_drop: how far below the published scores they may be, as `min_scores` for each of them.
        stop_when: `"decided"` ends a classifier's run as soon as every such gate is decided for all
            of the data with 95 % confidence (see `docs/comparing.md`); `"end"` scores all of it.
        predictions: a file to write: a CSV line for each example, or detections as COCO has them.
        socket_id: as in `benchmark`.
        numa_node: as in `benchmark`.
        cpus: as in `benchmark`.
        num_cores: as in `benchmark`.
        num_inter_threads: as in `benchmark`.
        num_intra_threads: as in `benchmark`.
        allocator: as in `benchmark`.
        binding: as in `benchmark`.
        strict: as in `benchmark`.
        isolation: as in `benchmark`.
        docker_image: as in `benchmark`.
        env: as in `benchmark`.
        timeout: as in `benchmark`.
        optimize: as in `benchmark`.
        allow_unsafe_ops: as in `benchmark`.
        input: as in `benchmark`.
        outputs: as in `benchmark`.
        preprocess_graph: as in `benchmark`.
        stream: as in `benchmark`.
        allow_partial: as in `benchmark`.
        offline: as in `benchmark`.
        client: a `distributed.Client`, or the address of a Dask scheduler: its workers do the run
            in parts (see `docs/scaling.md`).
        checkpoint: a folder, new or of this run, that keeps the parts that are done: another call
            does what is missing. `timeout` is of each part, with this or with `client`.
        progress: as in `benchmark`.

    Raises:
        DataRequired: no `data_location`.
        RunnerError: as `benchmark` does.

    Example:
        >>> from modelzoo_runner import accuracy
        >>> accuracy("resnet50", data_location="imagenet").counts  # doctest: +SKIP
        {'top1': 37150, 'top5': 45940}
    """
    request = Request.of("accuracy", locals())
    context = Context(offline=offline, progress=progress)
    preset, request = planner.preset_for(model, request)
    if request.predictions is not None:
        atomic.target("predictions", request.predictions)  # before anything is fetched
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
    return cast(AccuracyResult, _run(plan, progress))


def _run(plan: Plan, progress: Progress | None) -> Result:
    # Loaded here, so that importing the library is quick.
    from modelzoo_runner.execution import host

    return host.run(plan, progress=progress)


def models() -> dict[str, Preset]:
    """The models that come with the library, by name."""
    return {each.name: each for each in presets.every()}


def machine() -> Topology:
    """The CPUs, cores, sockets and NUMA nodes here, and what this process may use of them.

    Printed, it is a table and a picture in text.

    Raises:
        BindingError: this process may not run on any CPU that is there.

    Example:
        >>> from modelzoo_runner import machine
        >>> len(machine().usable) >= 1
        True
    """
    return topology.read()
