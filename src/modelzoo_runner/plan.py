"""What one run is, with nothing left to decide.

A `Plan` prints, compares, travels as JSON and sits inside the result. `resolve` decides every default,
in the order *argument > preset > machine*, and `Plan.why` says which of them decided. Pure: no file is
opened and nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelzoo_runner.preset import Preprocess, Task

Isolation = Literal["auto", "none", "child"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which part of the machine a run gets.

    `cpus` are logical CPU ids (empty: leave the process where it is), `memory_nodes` the NUMA nodes
    its memory should come from (empty: no policy), `env` the variables to set for the run.
    `allocator` is the malloc to preload into a child. `why` says who decided each field,
    `warnings` what was asked and can't be had although the run can go on.
    """

    cpus: tuple[int, ...] = ()
    memory_nodes: tuple[int, ...] = ()
    inter_threads: int
    intra_threads: int
    env: Mapping[str, str] = field(default_factory=dict)
    allocator: Literal["system", "tcmalloc", "jemalloc"] = "system"
    binding: Literal["sched_setaffinity", "numactl", "none"] = "sched_setaffinity"
    strict: bool = False
    why: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
