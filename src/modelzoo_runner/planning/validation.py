"""The validation of a request: each argument alone, and together with the others.

Pure: `resolve` decides the defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast, get_args

from modelzoo_runner.errors import DataRequired, RequestError, did_you_mean
from modelzoo_runner.metrics import coco_evaluation
from modelzoo_runner.planning import converted
from modelzoo_runner.planning.request import Request, derived_precisions, preset_graph
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import remote, validate
from modelzoo_runner.values.options import (
    Allocator,
    Arrivals,
    Binding,
    BoxFormat,
    Isolation,
    StopWhen,
)
from modelzoo_runner.values.preset import MASKS, ROLES, Preset

SCORES = ("top1", "top5", *coco_evaluation.SCORES)
"""The scores that can have a limit, of both tasks: a graph file's task isn't known yet."""

USUAL_NAMES = {"float32": "fp32", "float": "fp32", "f32": "fp32", "bf16": "bfloat16", "i8": "int8"}
"""Other names of precisions."""

_OTHER_LABELS = "a classifier's labels are told by label_offset"

DETECTORS_ONLY = {
    "annotations": "the labels of a classifier's images are in its records",
    "label_map": _OTHER_LABELS,
    "category_names": _OTHER_LABELS,
    "box_format": _OTHER_LABELS,
    "preprocess_graph": "a classifier's images are prepared as its preset's [preprocess] says",
}
"""Arguments that only detectors have, and what classifiers have instead."""


def check(request: Request, preset: Preset) -> Request:
    """The request with plain Python values, each valid alone and together with the others.

    Raises:
        RequestError: naming the argument, its value and what is allowed.
        DataRequired: an accuracy run without data.
    """
    request = _validated(request)
    allowed = (*preset.precisions, *derived_precisions(preset, request))
    usual = USUAL_NAMES.get(str(request.precision).lower())
    if usual in allowed:
        raise RequestError(f"precision={request.precision!r}: it is called {usual!r} here")
    validate.one_of("precision", request.precision, allowed)
    if request.kind == "accuracy" and not request.data_location:
        raise DataRequired(
            "data_location: accuracy() needs labelled data: a folder of "
            f"{tasks.find(preset.task).DATA_FORM}, on this machine or at gs://"
        )
    if preset.task == "classification":
        for name, instead in DETECTORS_ONLY.items():
            if value := getattr(request, name):
                raise RequestError(f"{name}={value!r}: only for detectors; {instead}")
    _check_processes(request)
    _check_arrivals(request)
    _check_gates(request, preset)
    _check_stream(request)
    converted.check(request)
    return request


def _validated(request: Request) -> Request:
    """The request with each argument validated on its own."""
    validate.one_of("goal", request.goal, ("throughput", "latency"))
    validate.one_of("isolation", request.isolation, get_args(Isolation))
    validate.one_of("binding", request.binding, get_args(Binding))
    if request.allocator is not None:
        validate.one_of("allocator", request.allocator, get_args(Allocator))
    for name in ("optimize", "allow_unsafe_ops", "strict", "stream", "allow_partial"):
        validate.flag(name, getattr(request, name))
    counts: dict[str, Any] = {
        name: validate.optional_count(name, getattr(request, name), least)
        for name, least in (("batch_size", 1), ("warmup_steps", 0), ("steps", 1), ("limit", 1))
    }
    return dataclasses.replace(
        request,
        **counts,
        seed=validate.optional_count("seed", request.seed, 0) or 0,
        min_seconds=validate.seconds("min_seconds", request.min_seconds),
        rate=None if request.rate is None else validate.above_0("rate", request.rate),
        timeout=validate.seconds("timeout", request.timeout),
        processes=validate.count("processes", request.processes),
        min_scores=_min_scores(request.min_scores),
        max_drop=None if request.max_drop is None else validate.share("max_drop", request.max_drop),
        input=validate.optional_text("input", request.input),
        outputs=_outputs(request.outputs),
        input_shape=validate.shape("input_shape", request.input_shape),
        feeds=validate.feeds(request.feeds),
        signature=validate.optional_text("signature", request.signature),
        cpus=validate.cpu_list("cpus", request.cpus),
        env=validate.variables("env", request.env),
        docker_image=validate.image_name(request.docker_image),
        label_offset=label_offset(request.label_offset),
        box_format=box_format(request.box_format),
        category_names=category_names(request.category_names),
    )


def label_offset(value: Any) -> int | None:
    """A whole number or `None`; -1 is that of a classifier without a background class."""
    return None if value is None else validate.count("label_offset", value, least=-(10**6))


def box_format(value: Any) -> BoxFormat | None:
    """One of the formats, or `None`."""
    allowed = get_args(BoxFormat)
    return value and cast(BoxFormat, validate.one_of("box_format", value, allowed))


def category_names(value: Any) -> dict[str, str] | None:
    """A mapping from categories, by name or id, to names; or `None`."""
    if value is None:
        return None
    names = {str(each): name for each, name in value.items()} if hasattr(value, "items") else value
    return validate.texts("category_names", names, example={"tvmonitor": "tv"})


def _min_scores(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise RequestError(f"min_scores={value!r}: should be a mapping, such as {{'top1': 0.74}}")
    return {
        str(name): validate.share(f"min_scores[{name!r}]", each) for name, each in value.items()
    }


def _check_gates(request: Request, preset: Preset) -> None:
    """Refuse limits of unknown or unpublished scores, and an early end without a limit."""
    validate.one_of("stop_when", request.stop_when, get_args(StopWhen))
    for name in request.min_scores:
        if name not in SCORES:
            raise RequestError(f"min_scores: {name!r} is no score. {did_you_mean(name, SCORES)}")
    if request.max_drop is not None and not preset_graph(preset, request).published:
        raise RequestError(
            f"max_drop={request.max_drop}: no score of {preset.name} in {request.precision} is "
            "published that it could drop from; give min_scores"
        )
    if request.stop_when == "end":
        return
    if not request.min_scores and request.max_drop is None:
        raise RequestError(
            'stop_when="decided": there is nothing to decide; give min_scores, such as '
            "{'top1': 0.74}, or max_drop"
        )
    if preset.task == "detection":
        raise RequestError(
            'stop_when="decided": only for classifiers; COCO\'s scores are of all images together'
        )


def _outputs(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    outputs = validate.texts("outputs", value, example={"scores": "predict:0"})
    if not outputs:
        raise RequestError("outputs={}: names no tensor; leave it out to fetch the preset's")
    known = [role for roles in ROLES.values() for role in roles] + [MASKS]
    for role in outputs:
        if role not in known:
            raise RequestError(
                f"outputs={outputs}: there is no role {role!r}. "
                + did_you_mean(role, known, otherwise="Roles")
            )
    return outputs


def _check_stream(request: Request) -> None:
    """Refuse streaming where there is nothing to stream, or no network to do it over."""
    if not request.stream:
        return
    if request.data_location is None:
        raise RequestError(
            "stream=True: there is nothing to read without data_location (the input is made); "
            'give data_location="gs://bucket/...", or leave stream out'
        )
    if not _is_in_store(request.data_location):
        raise RequestError(
            f"stream=True: data_location={request.data_location!r} isn't in a bucket (gs://...), "
            "and only from there data can be read without a copy on the disk; leave stream out"
        )
    if request.docker_image:
        raise RequestError(
            f"stream=True: with docker_image={request.docker_image!r} the run has no network to "
            "read over; leave stream out, and the data is fetched before"
        )


def _check_arrivals(request: Request) -> None:
    """Refuse half of what says when queries come, and several processes to serve them."""
    given = {"arrivals": request.arrivals, "rate": request.rate}
    if request.arrivals is not None:
        validate.one_of("arrivals", request.arrivals, get_args(Arrivals))
    elif request.rate is None:
        return
    for name, value in given.items():
        if value is None:
            raise RequestError(
                f"{name} is missing: {given}; give both, as arrivals='poisson', rate=20.0 "
                "(queries a second), or neither"
            )
    for name in ("instances", "cores_per_instance", "processes"):
        if getattr(request, name) not in (None, 1):
            raise RequestError(
                f"{name}={getattr(request, name)!r}: not with arrivals: the queue has one server, "
                f"a single process. Leave out {name}, or measure each process with its share of "
                "the rate"
            )


def _is_in_store(location: str) -> bool:
    scheme = remote.scheme_of(location)
    return scheme is not None and remote.is_store(scheme)


def _check_processes(request: Request) -> None:
    """Refuse to run in this process, or unbound, what needs processes of its own."""
    instances = [
        name for name in ("instances", "cores_per_instance") if getattr(request, name) is not None
    ]
    needs = [name for name in ("docker_image", "timeout") if getattr(request, name) is not None]
    needs += ["processes"] if request.processes > 1 else []
    for option, names, allowed in (
        ("isolation", needs + instances, '"auto" or "child"'),
        ("binding", instances, '"sched_setaffinity" or "numactl"'),
    ):
        if names and getattr(request, option) == "none":
            raise RequestError(
                f'{option}="none": {names[0]}={getattr(request, names[0])!r} needs a process of '
                f"its own{', on CPUs of its own' if instances else ''}; use {option}={allowed}"
            )
