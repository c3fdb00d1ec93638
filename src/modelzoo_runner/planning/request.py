"""The request of a caller, and which graph of a preset it is for. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelzoo_runner.backends import base
from modelzoo_runner.values import validate
from modelzoo_runner.values.options import (
    Allocator,
    CpuOptions,
    Goal,
    InstancePer,
    Kind,
    RunOptions,
)
from modelzoo_runner.values.preset import Graph, Preset

PATHS = ("weights", "data_location", "annotations", "preprocess_graph", "predictions")
"""The arguments that can be a path."""


@dataclass(frozen=True, kw_only=True)
class Request(RunOptions, CpuOptions):
    """What the caller asked for; `None` leaves the decision to the preset or the library."""

    goal: Goal = "throughput"
    weights: str = "pretrained"
    batch_size: int | None = None
    warmup_steps: int | None = None
    steps: int | None = None
    input: str | None = None
    outputs: Mapping[str, str] | None = None
    preprocess_graph: str | None = None
    socket_id: int | None = None
    numa_node: int | None = None
    cpus: str | Collection[int] | None = None
    num_cores: int | None = None
    instances: int | InstancePer | None = None
    cores_per_instance: int | None = None
    num_inter_threads: int | None = None
    num_intra_threads: int | None = None
    allocator: Allocator | None = None
    docker_image: str | None = None
    label_offset: int | None = None
    runtime: str | None = None

    @classmethod
    def of(cls, kind: Kind, arguments: Mapping[str, Any]) -> Request:
        """The request made of a public function's arguments; unknown names are ignored.

        Raises:
            RequestError: a path of another type.
        """
        names = {each.name for each in dataclasses.fields(cls)}
        given = {name: value for name, value in arguments.items() if name in names}
        for name in given.keys() & set(PATHS):
            given[name] = validate.optional_text(name, given[name])
        if "weights" in arguments:
            given["weights"] = validate.text("weights", arguments["weights"])
        for name in ("env", "min_scores", "feeds"):
            given[name] = {} if given.get(name) is None else given[name]
        return cls(kind=kind, **given)

    def with_absolute_paths(self) -> Request:
        """The request for a process with another working directory."""
        read = [name for name in PATHS if name != "predictions" and getattr(self, name)]
        found: dict[str, Any] = {name: absolute(getattr(self, name)) for name in read}
        return dataclasses.replace(self, **found)


def absolute(location: str) -> str:
    """The absolute path of a file or folder here; other locations and words stay as they are.

    >>> absolute("gs://bucket/images"), absolute("random")
    ('gs://bucket/images', 'random')
    """
    if "://" in location or location in ("pretrained", "random"):
        return location
    return str(Path(location).expanduser().absolute())


def preset_graph(preset: Preset, request: Request) -> Graph:
    """The graph to run. An int8 graph that is made of the float32 one has its tensors."""
    if _makes_int8(request) and "fp32" in preset.graph:
        return preset.graph["fp32"]
    return preset.graph[graph_precision(request.precision)]


def _makes_int8(request: Request) -> bool:
    """Whether an int8 graph is made here: of random weights, or by another runtime's quantizer."""
    if request.weights == "random":
        return True
    return base.converts(request.runtime or base.name_for(request.weights))


def graph_precision(precision: str) -> str:
    """The precision of the graph file behind a run: bfloat16 runs the fp32 graph."""
    return "fp32" if precision == "bfloat16" else precision


def derived_precisions(preset: Preset, request: Request) -> tuple[str, ...]:
    """The precisions made from the float32 graph, where the preset has no graph of them."""
    if "fp32" not in preset.graph:
        return ()
    made = ("bfloat16", "int8") if _makes_int8(request) else ("bfloat16",)
    return tuple(each for each in made if each not in preset.graph)
