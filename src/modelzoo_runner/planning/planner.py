"""From a model and a request to a plan that can be run on this machine: the order of the steps."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning import request as requested
from modelzoo_runner.planning import resolve
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values import preset as presets
from modelzoo_runner.values import validate as arguments
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Graph, Preset
from modelzoo_runner.values.progress import Progress

Model = str | Path | Preset


def plan(
    preset: Preset, request: Request, *, offline: bool = False, progress: Progress | None = None
) -> Plan:
    """The plan of a request, with its graph and its data on this machine.

    Raises:
        RequestError: an argument that can't be; nothing has been fetched.
        BindingError: this machine can't honour it.
        FetchError, GraphError: its files can't be had.
    """
    from modelzoo_runner.planning import localize as sources

    arguments.flag("offline", offline)
    arguments.callback("progress", progress)
    return sources.localize(resolved(preset, request), preset, offline=offline, progress=progress)


def resolved(preset: Preset, request: Request) -> Plan:
    """The plan of a request before anything is fetched.

    Raises:
        RequestError, BindingError: as `plan` does.
    """
    from modelzoo_runner.planning import placement as places

    request = requested.check(request, preset)
    placed, instances = places.placements(preset, request)
    return resolve.resolve(preset, request, placed, instances)


def preset_for(model: Model, request: Request) -> tuple[Preset, Request]:
    """The preset behind `model`, and the request with the graph's path if `model` is one."""
    if isinstance(model, Preset):
        return model, request
    if not isinstance(model, (str, os.PathLike)):
        raise RequestError(
            f"model={model!r}: should be a model's name, a path to a frozen graph (.pb) or to a "
            "preset (.toml), or a Preset"
        )
    path = Path(model).expanduser()
    if path.suffix == ".toml":
        return presets.read(path), request
    if path.suffix not in (".pb", ".pbtxt") and os.sep not in str(model):
        return presets.find(str(model)), request
    if request.weights != "pretrained":
        raise RequestError(
            f"weights={request.weights!r}: model={str(model)!r} is a graph's path already; give "
            "either a model's name with weights=, or the path alone"
        )
    outputs = request.outputs if isinstance(request.outputs, Mapping) else {}
    graph = Graph(input=request.input or "", outputs=outputs)
    # Of which precision it is, it says itself when it is read.
    bare = Preset(name=path.stem, task="classification", graph={"fp32": graph, "int8": graph})
    weights = str(model if "://" in str(model) else path)
    return bare, dataclasses.replace(request, weights=weights)
