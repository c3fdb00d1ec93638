"""A frozen graph as a file of another runtime: converted once, by a child, and kept."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING

from modelzoo_runner.backends import base, own_files
from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine import processor
from modelzoo_runner.planning import random_graph
from modelzoo_runner.values import codec
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from modelzoo_runner.planning.request import Request

VERSION = 2
"""Raised with every change after which the same graph becomes another file."""


def check(request: Request) -> None:
    """Refuse what the runtime can't do, before anything is fetched.

    Raises:
        RequestError: there is no such runtime, or it doesn't have the precision.
        MissingDependency: it isn't installed; names the extra.
    """
    name = request.runtime or base.name_for(request.weights)
    if not base.converts(name):
        return
    converter = base.converter(name)
    if request.precision not in converter.CONVERTERS:
        raise RequestError(
            f"precision={request.precision!r}: runtime={name!r} has "
            f"{', '.join(converter.CONVERTERS)} on CPUs"
        )
    for argument in ("docker_image", "preprocess_graph"):
        if getattr(request, argument):
            raise RequestError(f"{argument}: only with TensorFlow, not with runtime={name!r}")
    if request.allocator in converter.ABORTS_WITH:
        raise RequestError(
            f'allocator="{request.allocator}": {name} aborts in a process with it; leave it out'
        )
    packages = converter.PACKAGES
    if Path(request.weights).suffix not in converter.READS:
        packages += converter.CONVERTERS[request.precision]
    own_files.require(name, packages)


def kept(plan: Plan, context: Context) -> Plan:
    """The plan with its graph in a format that its runtime reads.

    Raises:
        RequestError: the preset's images are prepared by a graph.
        GraphError: the graph can't be converted.
        FetchError: it can't be kept in the cache.
        WorkerError: the child that converted it died.
    """
    if not base.converts(plan.runtime):
        return plan
    if plan.preprocess_graph is not None and plan.data_location is not None:
        raise RequestError(
            f"runtime={plan.runtime!r}: the images of {plan.model} are prepared by a graph, which "
            "only TensorFlow runs"
        )
    plan = dataclasses.replace(plan, preprocess_graph=None)
    converter = base.converter(plan.runtime)
    path = Path(plan.graph.path)
    if path.suffix in converter.READS:
        return plan
    from modelzoo_runner.execution import launch, protocol
    from modelzoo_runner.storage import built

    # NNCF runs OpenVINO, which aborts in a process with tcmalloc.
    placement = dataclasses.replace(plan.placement, allocator="system")
    asked = dataclasses.replace(
        plan, placement=placement, instances=(), timeout=None, predictions=None
    )

    def convert(out: Path) -> None:
        with context.phase("convert"):
            launch.write(asked, protocol.CONVERT, out, context)

    packages = (*converter.PACKAGES, *converter.CONVERTERS[plan.precision])
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    said = codec.to_dict(plan)
    about = ("precision", "preprocess", "input_shape", "feeds", "allow_unsafe_ops", "seed")
    data = ("data_location", "annotations", "stream") if plan.precision == "int8" else ()
    key = {name: said[name] for name in (*about, *data)}
    if plan.precision == "int8":
        key["saturates"] = processor.saturates_int8(processor.flags())
    key["graph"] = {name: each for name, each in said["graph"].items() if name != "path"}
    folder = random_graph.folder(f"converter {VERSION}", *versions, json.dumps(key, sort_keys=True))
    out = folder / f"{path.stem}_{plan.precision}{converter.CONVERTED}"
    built.get_or_build(out, convert)
    found = own_files.description(out)
    # The hash stays that of the frozen graph, which all runtimes share.
    graph = dataclasses.replace(
        plan.graph,
        path=str(out),
        input=found["input"],
        outputs=found["outputs"],
        optional={},
        origin=f"{plan.graph.origin or path}, converted by {', '.join(versions)}",
    )
    return dataclasses.replace(plan, graph=graph)
