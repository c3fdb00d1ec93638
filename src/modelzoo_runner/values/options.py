"""The options of a run, in groups. What a caller asks for and what is decided share them.

A group lists each of its options once: `Request` and `Plan` inherit them, so that an attribute is
`plan.data_location` and not `plan.data.data_location`. What each option means is said in
`arguments`. Options that are decided, or that are decided upon, are in the class that has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

Kind = Literal["benchmark", "accuracy"]
Precision = Literal["fp32", "int8", "bfloat16"]
Goal = Literal["throughput", "latency", "accuracy"]
Isolation = Literal["auto", "none", "child"]
Binding = Literal["sched_setaffinity", "numactl", "none"]
Allocator = Literal["system", "tcmalloc", "jemalloc"]
StopWhen = Literal["end", "decided"]
Arrivals = Literal["poisson", "constant"]
InstancePer = Literal["socket", "node", "core"]
BoxFormat = Literal[
    "normalized_yxyx",
    "normalized_xyxy",
    "normalized_xywh",
    "normalized_cxcywh",
    "pixel_yxyx",
    "pixel_xyxy",
    "pixel_xywh",
    "pixel_cxcywh",
]
"""How boxes are given: shares of the image's sides or its pixels; two corners, or a corner or the
center (`cx`, `cy`) and the size."""

LabelMap = str | Path | Sequence[str] | Mapping[int, str] | Mapping[str, int]
"""A label map as a caller gives it: a `.pbtxt`, names in the order of the classes, or a mapping."""


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """How the graph is loaded. A preset of one's own may have other precisions than `Precision`."""

    precision: str = "fp32"
    optimize: bool = True
    allow_unsafe_ops: bool = False
    input_shape: tuple[int, ...] | None = None
    feeds: Mapping[str, Any] = field(default_factory=dict)
    signature: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What is read, how much of it, how outputs compare with it, where predictions are written."""

    data_location: str | None = None
    annotations: str | None = None
    stream: bool = False
    allow_partial: bool = False
    limit: int | None = None
    seed: int = 0
    predictions: str | None = None
    label_map: Mapping[str, str] | None = None
    category_names: Mapping[str, str] | None = None
    box_format: BoxFormat | None = None


@dataclass(frozen=True, kw_only=True)
class HostOptions:
    """Which process does the run, how many do it anew, and for how long it measures."""

    isolation: Isolation = "auto"
    processes: int = 1
    timeout: float | None = None
    min_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """When queries come; without arrivals each comes when the one before is done."""

    arrivals: Arrivals | None = None
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """How high scores have to be, and whether to end when that is clear."""

    min_scores: Mapping[str, float] = field(default_factory=dict)
    max_drop: float | None = None
    stop_when: StopWhen = "end"


@dataclass(frozen=True, kw_only=True)
class CpuOptions:
    """How a process is put on its CPUs; shared by `Request` and `Placement`."""

    binding: Binding = "sched_setaffinity"
    strict: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunOptions(GraphOptions, DataOptions, HostOptions, LoadOptions, GateOptions):
    """What `Request` and `Plan` share."""

    kind: Kind


def run_options(source: RunOptions) -> dict[str, Any]:
    """The values of the shared options, by name."""
    return {each.name: getattr(source, each.name) for each in fields(RunOptions)}
