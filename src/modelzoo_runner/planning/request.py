"""What a caller asked for, before anything is decided: whether it can be done at all.

Pure: no file is opened, and what this machine has isn't known here. What is left open is decided in
`resolve`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from modelzoo_runner.errors import DataRequired, RequestError, did_you_mean
from modelzoo_runner.planning import graph_files
from modelzoo_runner.values import validate as arguments
from modelzoo_runner.values.parameters import image_name
from modelzoo_runner.values.plan import Isolation, Kind
from modelzoo_runner.values.preset import MASKS, ROLES, Preset, Task

GOALS = ("throughput", "latency")

BINDINGS = ("sched_setaffinity", "numactl", "none")


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
    allow_unsafe_ops: bool = False
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
    """The request with plain Python values, if it can be done at all.

    Raises:
        RequestError: naming the argument, its value and what is allowed.
        DataRequired: an accuracy run without data.
    """
    request = _of_their_kinds(request)
    allowed = (*preset.precisions, *_on_the_fly(preset, request))
    arguments.one_of("precision", request.precision, allowed)
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
    graph_files.check_preparing(request, preset)
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
    return request


def _of_their_kinds(request: Request) -> Request:
    """The request, each of whose arguments is of the kind that it should be."""
    arguments.one_of("goal", request.goal, GOALS)
    arguments.one_of("isolation", request.isolation, get_args(Isolation))
    arguments.one_of("binding", request.binding, BINDINGS)
    for name in ("optimize", "allow_unsafe_ops", "strict", "stream", "allow_partial"):
        arguments.flag(name, getattr(request, name))
    found: dict[str, Any] = {
        name: arguments.whole(name, getattr(request, name), least)
        for name, least in (("batch_size", 1), ("warmup_steps", 0), ("steps", 1), ("limit", 1))
    }
    return dataclasses.replace(
        request,
        **found,
        seed=arguments.whole("seed", request.seed, 0) or 0,
        min_seconds=arguments.seconds("min_seconds", request.min_seconds),
        timeout=arguments.seconds("timeout", request.timeout),
        input=arguments.optional_text("input", request.input),
        outputs=_outputs(request.outputs),
        input_shape=arguments.shape("input_shape", request.input_shape),
        cpus=arguments.cpu_list("cpus", request.cpus),
        env=arguments.variables("env", request.env),
        docker_image=image_name(request.docker_image),
    )


def _outputs(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    outputs = arguments.texts("outputs", value, example={"scores": "predict:0"})
    known = [role for roles in ROLES.values() for role in roles] + [MASKS]
    for role in outputs:
        if role not in known:
            raise RequestError(
                f"outputs={outputs}: there is no role {role!r}. "
                + did_you_mean(role, known, otherwise="Roles")
            )
    return outputs


def _on_the_fly(preset: Preset, request: Request) -> tuple[str, ...]:
    """The precisions that can be had of the float32 graph, beside those there is a graph for."""
    if "fp32" not in preset.graph:
        return ()
    made = ("bfloat16", "int8") if request.weights == "random" else ("bfloat16",)
    return tuple(each for each in made if each not in preset.graph)


DATA_FORMS: Mapping[Task, str] = {
    "classification": "ImageNet validation TFRecords (validation-*-of-*)",
    "detection": "COCO images, or a COCO TFRecord",
}
"""What data a task is scored on, in words."""


def _stream_can_be(request: Request) -> None:
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
