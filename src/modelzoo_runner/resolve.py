"""From a request to a plan: every default decided, every bad argument refused.

The order is *argument > preset > library*; `Plan.why` says which of them decided. Pure: no file is
opened, nothing is fetched and nothing is measured here.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from modelzoo_runner import graph_files
from modelzoo_runner.errors import DataRequired, RequestError, did_you_mean
from modelzoo_runner.parameters import image_name
from modelzoo_runner.plan import Image, Isolation, Kind, Placement, Plan
from modelzoo_runner.preset import Goal, Graph, Preset, Run, Task

WARMUP_STEPS = 10
STEPS = 50
"""What the original launch scripts did by default, in all models that had a default."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the caller asked for, before anything is decided; `None` is "decide for me"."""

    kind: Kind
    precision: str = "fp32"
    goal: str = "throughput"
    weights: str = "pretrained"
    data_location: str | None = None
    annotations: str | None = None
    stream: bool = False
    allow_partial: bool = False
    limit: int | None = None
    batch_size: int | None = None
    warmup_steps: int | None = None
    steps: int | None = None
    min_seconds: float | None = None
    seed: int = 0
    input: str | None = None
    outputs: Mapping[str, str] | None = None
    input_shape: tuple[int, ...] | None = None
    optimize: bool = True
    trust: bool = False
    preprocess_graph: str | None = None
    predictions: str | None = None
    socket_id: int | None = None
    numa_node: int | None = None
    cpus: str | Collection[int] | None = None
    num_cores: int | None = None
    instances: int | str | None = None
    cores_per_instance: int | None = None
    num_inter_threads: int | None = None
    num_intra_threads: int | None = None
    allocator: str | None = None
    binding: str = "sched_setaffinity"
    strict: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    isolation: str = "auto"
    docker_image: str | None = None
    timeout: float | None = None


def check(request: Request, preset: Preset) -> Request:
    """The request with its numbers as plain Python numbers, if it can be done at all.

    Raises:
        RequestError: naming the argument, its value and what is allowed.
        DataRequired: an accuracy run without data.
    """
    _one_of("precision", request.precision, (*preset.precisions, *_on_the_fly(preset, request)))
    _one_of("goal", request.goal, get_args(Goal))
    _one_of("isolation", request.isolation, get_args(Isolation))
    if request.kind == "accuracy" and not request.data_location:
        raise DataRequired(
            "data_location: accuracy() needs labelled data: a folder of "
            f"{DATA_FORMS[preset.task]}, on this machine or at gs://"
        )
    if request.annotations and preset.preprocess is not None:
        raise RequestError(
            f"annotations={request.annotations!r}: only for detectors; the labels of a "
            "classifier's images are in its records"
        )
    graph_files.check_preparing(request, preset, _graph(preset, request))
    if request.docker_image and request.isolation == "none":
        raise RequestError(
            f'isolation="none": with docker_image={request.docker_image!r} the run is a process in '
            'a container; use isolation="auto"'
        )
    if request.timeout is not None and request.isolation == "none":
        raise RequestError(
            "timeout: only a child process can be ended from outside; "
            'use isolation="auto" or "child"'
        )
    _stream_can_be(request)
    _instances_can_be(request)
    return dataclasses.replace(
        request,
        batch_size=_whole("batch_size", request.batch_size, 1),
        warmup_steps=_whole("warmup_steps", request.warmup_steps, 0),
        steps=_whole("steps", request.steps, 1),
        limit=_whole("limit", request.limit, 1),
        seed=_whole("seed", request.seed, 0) or 0,
        docker_image=image_name(request.docker_image),
        min_seconds=_seconds("min_seconds", request.min_seconds),
        timeout=_seconds("timeout", request.timeout),
    )


def resolve(
    preset: Preset,
    request: Request,
    placement: Placement,
    instances: tuple[Placement, ...] = (),
) -> Plan:
    """The plan that a checked request comes to, every default decided.

    The graph is still where it was asked for (`GraphFile.path` as given, no hash): fetching comes
    after resolving, so that a bad argument fails before any download.
    """
    graph = _graph(preset, request)
    run = recommended(preset, request)
    why: dict[str, str] = {}

    def decide(name: str, asked: Any, from_preset: Any, default: Any) -> Any:
        for value, who in (
            (asked, "argument"),
            (from_preset, "preset"),
            (default, "library default"),
        ):
            if value is not None:
                why[name] = who
                return value
        why[name] = "not limited"
        return None

    batch_size = decide("batch_size", request.batch_size, run and run.batch_size, 1)
    preprocess_graph = graph_files.preparing(request, graph)
    if preprocess_graph is not None:
        why["preprocess_graph"] = "argument" if request.preprocess_graph else "preset"
    is_benchmark = request.kind == "benchmark"
    return Plan(
        kind=request.kind,
        model=preset.name,
        task=preset.task,
        precision=request.precision,
        goal="accuracy" if request.kind == "accuracy" else _goal(request.goal),
        graph=graph_files.of_model(request, preset.task, graph),
        optimize=request.optimize,
        trust=request.trust,
        data_location=request.data_location or None,
        annotations=request.annotations or None,
        stream=request.stream,
        allow_partial=request.allow_partial,
        limit=request.limit,
        preprocess=preset.preprocess,
        preprocess_graph=preprocess_graph,
        label_offset=preset.label_offset,
        input_shape=request.input_shape,
        batch_size=batch_size,
        warmup_steps=decide(
            "warmup_steps", request.warmup_steps, run and run.warmup_steps, WARMUP_STEPS
        )
        if is_benchmark
        else 0,
        steps=decide("steps", request.steps, run and run.steps, STEPS) if is_benchmark else None,
        min_seconds=request.min_seconds,
        seed=request.seed,
        placement=placement,
        instances=instances,
        isolation=request.isolation,  # type: ignore[arg-type] # checked above
        docker_image=Image(name=request.docker_image) if request.docker_image else None,
        timeout=request.timeout,
        predictions=request.predictions,
        published=graph.published,
        release=graph.release,
        why={**why, **{f"placement.{key}": said for key, said in placement.why.items()}},
    )


def recommended(preset: Preset, request: Request) -> Run | None:
    """The preset's run for this precision and goal, if it recommends one."""
    goal = "accuracy" if request.kind == "accuracy" else request.goal
    return preset.run.get(graph_precision(request.precision), {}).get(goal)


def graph_precision(precision: str) -> str:
    """The precision of the graph file behind a run: bfloat16 runs the fp32 graph."""
    return "fp32" if precision == "bfloat16" else precision


def _on_the_fly(preset: Preset, request: Request) -> tuple[str, ...]:
    """The precisions that can be had of the float32 graph, beside those there is a graph for."""
    if "fp32" not in preset.graph:
        return ()
    made = ("bfloat16", "int8") if request.weights == "random" else ("bfloat16",)
    return tuple(each for each in made if each not in preset.graph)


def _graph(preset: Preset, request: Request) -> Graph:
    """The graph to run: what is built here is the float32 one, and keeps its tensors in int8."""
    if request.weights == "random" and "fp32" in preset.graph:
        return preset.graph["fp32"]
    return preset.graph[graph_precision(request.precision)]


def _goal(goal: str) -> Goal:
    return "latency" if goal == "latency" else "throughput"


DATA_FORMS: Mapping[Task, str] = {
    "classification": "ImageNet validation TFRecords (validation-*-of-*)",
    "detection": "COCO images, or a COCO TFRecord",
}
"""What data a task is scored on, in words."""


def _stream_can_be(request: Request) -> None:
    if not isinstance(request.stream, bool):
        raise RequestError(f"stream={request.stream!r}: should be True or False")
    if not request.stream:
        return
    if request.data_location is None:
        raise RequestError(
            "stream=True: there is nothing to read without data_location (the input is made); "
            'give data_location="gs://bucket/...", or leave stream out'
        )
    if not request.data_location.lower().startswith("gs://"):
        raise RequestError(
            f"stream=True: data_location={request.data_location!r} isn't in a bucket (gs://...), "
            "and only from there data can be read without a copy on the disk; leave stream out"
        )
    if request.docker_image:
        raise RequestError(
            f"stream=True: with docker_image={request.docker_image!r} the run has no network to "
            "read over; leave stream out, and the data is fetched before"
        )


def _instances_can_be(request: Request) -> None:
    """Whether several processes on CPUs of their own go with the other arguments."""
    if request.instances is None and request.cores_per_instance is None:
        return
    for name, value, allowed in (
        ("isolation", request.isolation, '"auto" or "child"'),
        ("binding", request.binding, '"sched_setaffinity" or "numactl"'),
    ):
        if value == "none":
            asked = "instances" if request.instances is not None else "cores_per_instance"
            raise RequestError(
                f'{name}="none": with {asked}={getattr(request, asked)!r} each instance is a '
                f"process on CPUs of its own; use {name}={allowed}"
            )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RequestError(
            f"{name}={value!r}: not one of the values allowed here. "
            f"{did_you_mean(str(value), allowed, otherwise='Allowed')}"
        )


def _whole(name: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise RequestError(
            f"{name}={value!r}: should be a whole number of at least {least}, or None to let the "
            "preset decide"
        )
    return number


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise RequestError(f"{name}={value!r}: should be a number of seconds above 0, or None")
    return float(value)
