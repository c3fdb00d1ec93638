"""Which graphs may be opened in this process: those built here, and those that have run well here.

A graph can end the process that opens it, or keep it busy for ever: TensorFlow has operations with
numbers that it doesn't check. So any other graph is opened in a child. When its run has ended well,
that is recorded, and the next run may be in this process.

    <cache>/ran/<hash of the graph's SHA-256 and of the runtime's version>     an empty file

The folder is this user's, and nobody else can write to it, or it isn't believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import stat
from pathlib import Path

from modelzoo_runner.backends import base
from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine import facts
from modelzoo_runner.storage import disk, settings
from modelzoo_runner.values.plan import GraphFile, Plan

UNKNOWN = "the graph comes from elsewhere, and no run of it has ended well here yet"
"""Why a run is in a child process, as its result says."""


def known(plan: Plan) -> bool:
    """Whether the plan's graphs are known to open well in this runtime."""
    with contextlib.suppress(*_NOT_KEPT):
        records = _records(plan)
        return all(each is not None and _is_own(each.parent) and _is_own(each) for each in records)
    return False


def remember(plan: Plan) -> None:
    """Record that a run of the plan's graphs ended well; where nothing can be written, nothing."""
    with contextlib.suppress(*_NOT_KEPT):
        for path in filter(None, _records(plan)):
            disk.make_private(path.parent)
            if _is_own(path.parent):
                os.close(os.open(path, os.O_CREAT | os.O_NOFOLLOW, 0o600))


_NOT_KEPT = (OSError, RequestError, importlib.metadata.PackageNotFoundError)
"""No cache folder can be had, or it isn't known which version the runtime is."""


def _records(plan: Plan) -> list[Path | None]:
    """The record of each of the plan's graphs that weren't built here; `None`: there can't be one.

    The hash of a file that was made for another runtime doesn't cover what is in others beside it;
    one that was converted here has the hash of the graph that it was made from.
    """
    graphs = [each for each in (plan.graph, plan.preprocess_graph) if each is not None]
    is_foreign = base.converts(plan.runtime)
    return [
        settings.cache_folder() / "ran" / _name(graph, plan.runtime)
        if graph.sha256 and (graph.origin or not is_foreign)
        else None
        for graph in graphs
        if graph.source != "random"
    ]


def _name(graph: GraphFile, runtime: str) -> str:
    packages = getattr(base.find(runtime), "PACKAGES", ())
    versions = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    said = (graph.sha256 or "", runtime, facts.tensorflow_version() or "", *versions)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _is_own(path: Path) -> bool:
    """Whether it is a file or folder, no link, that only this user can write."""
    found = path.lstat()
    is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return is_plain and found.st_uid == os.geteuid() and not found.st_mode & 0o022
