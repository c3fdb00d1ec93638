"""An accuracy run in parts: what each part is of, and where it was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
