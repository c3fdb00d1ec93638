"""What was found where: the surroundings of a run, and the parts of an accuracy run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Host = Literal["process", "child", "container"]
"""Where a run was: in the process that asked, in a child of it, or in a container."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a run found besides its durations, to be compared with what the plan asked for.

    `host` is where it ran and `host_reason` why. `graph` describes the graph that ran: the number
    of its nodes, and what the preparation changed. `threads` counts threads by pool, with their
    CPUs. `machine` holds the facts of the machine, the process and TensorFlow. `setup_seconds` are
    the parts of the cold start. `interference` is what disturbed the measured steps, and the
    verdict on it. `started` is the date and time in UTC.
    """

    host: Host = "process"
    host_reason: str = ""
    graph: Mapping[str, Any] = field(default_factory=dict)
    threads: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    setup_seconds: Mapping[str, float] = field(default_factory=dict)
    interference: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The data that a part is of: how many `examples`, and a `fingerprint` of their files.

    Two places have the same data if theirs are equal. `available` is how many examples are
    there, which may be more than are asked for.
    """

    examples: int
    fingerprint: str
    available: int = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """Where and when one part of the examples was done; `examples` is from the first to before the
    last.

    `machine` holds the facts of the node, `threads` counts by thread pool. `setup_seconds` are the
    parts of the cold start, and empty where the graph was open already.
    """

    examples: tuple[int, int]
    cpus: tuple[int, ...]
    started: str
    threads: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    setup_seconds: Mapping[str, float] = field(default_factory=dict)
