"""From a model and a request to a plan that can run on this machine."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

from modelzoo_runner.backends import base
from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.planning.request import Request, graph_precision
from modelzoo_runner.planning.resolve import resolve
from modelzoo_runner.planning.validation import DETECTORS_ONLY, check
from modelzoo_runner.values import presets
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Placement, Plan
from modelzoo_runner.values.preset import Graph, Preset, Task, Threads

Model = str | Path | Preset


def plan(preset: Preset, request: Request, context: Context) -> Plan:
    """The plan of a request, with its graph and its data on this machine.

    Raises:
        RequestError: an invalid argument; nothing has been fetched.
        BindingError: this machine can't honor it.
        FetchError, GraphError: its files aren't available.
    """
    from modelzoo_runner.planning import localize

    return localize.localize(resolved(preset, request), preset, context)


def resolved(preset: Preset, request: Request) -> Plan:
    """The plan of a request before anything is fetched; raises as `plan` does."""
    request = check(request, preset)
    return resolve(preset, request, *placements(preset, request))


def preset_for(model: Model, request: Request) -> tuple[Preset, Request]:
    """The preset of `model`, and the request with the graph's path if `model` is one.

    Raises:
        RequestError: `model` is of another type, or `weights` names another graph.
        PresetError: the preset's file can't be read, or one of its values can't be.
    """
    if isinstance(model, Preset):
        # A caller may change one in Python for the one run that it is given to.
        return presets.check(model, f"Preset {model.name!r}", is_whole=False), request
    if not isinstance(model, (str, os.PathLike)):
        raise RequestError(
            f"model={model!r}: should be a model's name, a path to a frozen graph (.pb), a "
            "SavedModel, a Keras model or a preset (.toml), or a Preset"
        )
    if not presets.is_path(model):
        return presets.find(str(model)), request
    path = Path(model).expanduser()
    if path.suffix == ".toml":
        if "://" in str(model):
            from modelzoo_runner.storage import fetch

            path = fetch.local(str(model))
        return presets.read(path), request
    if request.weights != "pretrained":
        raise RequestError(
            f"weights={request.weights!r}: model={str(model)!r} is a graph's path already; give "
            "either a model's name with weights=, or the path alone"
        )
    weights = str(model if "://" in str(model) else path)
    return bare_preset(path.stem, request), dataclasses.replace(request, weights=weights)


def bare_preset(name: str, request: Request) -> Preset:
    """The preset of a graph without one; its task and precision are found when it is opened."""
    outputs = request.outputs if isinstance(request.outputs, Mapping) else {}
    graph = Graph(input=request.input or "", outputs=outputs)
    # A bare .pb graph given with data, or with what only detectors have, is planned as a detector:
    # a classifier's images would need a preset's [preprocess].
    asked = ("data_location", *DETECTORS_ONLY)
    is_detector = any(getattr(request, name) for name in asked)
    task: Task = "detection" if is_detector else "classification"
    return Preset(name=name, task=task, graph={"fp32": graph, "int8": graph})


def placements(preset: Preset, request: Request) -> tuple[Placement, tuple[Placement, ...]]:
    """The placement of a run, and of each of its instances if it has several.

    Raises:
        RequestError: an argument that is invalid on any machine.
        BindingError: one that this process can't honor on this machine.
    """
    from modelzoo_runner.machine import allocator, placement, processor, splitting, topology

    precision = graph_precision(request.precision)
    threads = preset.threads.get(precision, Threads())
    if base.converts(request.runtime or base.name_for(request.weights)):
        # What a preset recommends was found with TensorFlow; OpenVINO aborts with tcmalloc.
        threads = dataclasses.replace(threads, allocator=None)
    here = topology.read()
    choose = functools.partial(
        placement.choose,
        here,
        threads,
        preset.env.get(precision, {}),
        goal="accuracy" if request.kind == "accuracy" else request.goal,
        num_inter_threads=request.num_inter_threads,
        num_intra_threads=request.num_intra_threads,
        allocator=request.allocator,
        binding=request.binding,
        strict=request.strict,
        env=request.env,
        environ=os.environ,
        # What there is in a container's image is seen in there.
        allocators=None if request.docker_image or not threads.allocator else allocator.available(),
    )
    placed = choose(
        socket_id=request.socket_id,
        numa_node=request.numa_node,
        cpus=request.cpus,
        num_cores=request.num_cores,
    )
    if request.precision == "bfloat16":
        said = processor.bfloat16_warnings(processor.flags())
        if said and request.strict:
            raise BindingError("; ".join(said))
        placed = dataclasses.replace(placed, warnings=placed.warnings + said)
    if request.instances is None and request.cores_per_instance is None:
        return placed, ()
    parts = splitting.split(here, placed.cpus, request.instances, request.cores_per_instance)
    each = tuple(choose(cpus=part) for part in parts)
    return splitting.together(here, placed, each), each
