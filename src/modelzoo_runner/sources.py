"""From what a plan names to files that are on this machine.

A graph is published, built here with random weights, or given as a file; data is a local path or at
gs://. The stores and the topologies know how; this only knows which of them to ask.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

from modelzoo_runner import random_graph
from modelzoo_runner.errors import GraphError
from modelzoo_runner.execution.progress import Progress
from modelzoo_runner.plan import Plan
from modelzoo_runner.preset import Preset
from modelzoo_runner.resolve import graph_precision


def localize(
    plan: Plan, preset: Preset, *, offline: bool = False, progress: Progress | None = None
) -> Plan:
    """The plan with its graph and its data on this machine, and the hash of the graph's bytes.

    Raises:
        RequestError: random weights were asked for, and the preset names no network.
        FetchError: a file can't be had, or a graph that was built can't be kept.
        GraphError: the graph's file isn't there.
    """
    path, sha256 = _graph(plan, preset, offline, progress)
    graph = dataclasses.replace(plan.graph, path=str(path), sha256=sha256)
    return with_data(dataclasses.replace(plan, graph=graph), offline=offline, progress=progress)


def with_data(plan: Plan, *, offline: bool = False, progress: Progress | None = None) -> Plan:
    """The plan with its data on this machine.

    Raises:
        FetchError: a file can't be had.
    """
    data, annotations = (
        None if location is None else str(_data(location, plan, offline, progress))
        for location in (plan.data_location, plan.annotations)
    )
    # Of a bucket no more is fetched than `limit` needs, so what isn't there isn't missed.
    in_part = plan.limit is not None and _is_remote(plan.data_location)
    return dataclasses.replace(
        plan,
        data_location=data,
        annotations=annotations,
        allow_partial=plan.allow_partial or in_part,
    )


def _graph(
    plan: Plan, preset: Preset, offline: bool, progress: Progress | None
) -> tuple[Path, str]:
    if plan.graph.source == "random":
        return random_graph.kept(plan, preset, progress=progress)
    if plan.graph.source == "path":
        path = Path(plan.graph.path).expanduser().absolute()
    else:
        from modelzoo_runner.storage import fetch

        path = fetch.first_of(
            preset.graph[graph_precision(plan.precision)].files, offline=offline, progress=progress
        )
    return path, _sha256(path)


def _data(location: str, plan: Plan, offline: bool, progress: Progress | None) -> Path:
    if not _is_remote(location):
        return Path(location).expanduser().absolute()
    from modelzoo_runner.storage import fetch

    enough = None
    if plan.limit is not None and plan.task == "classification":
        enough = _holds(plan.limit)
    return fetch.local(location, enough=enough, offline=offline, progress=progress)


def _holds(limit: int) -> Callable[[Path], bool]:
    """Asked after each record file whether the first `limit` examples are in those so far.

    Files are read a few in turn, one record each: so they are once all files but the last few of a
    round hold as many.
    """
    from modelzoo_runner.data import pipeline, records

    counts: list[int] = []

    def enough(path: Path) -> bool:
        counts.append(len(records.index(path)))
        in_turn = pipeline.INTERLEAVED_FILES
        return len(counts) >= in_turn and sum(counts[: len(counts) - in_turn + 1]) >= limit

    return enough


def _is_remote(location: str | None) -> bool:
    return location is not None and "://" in location


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GraphError(f"{path}: the graph can't be read: {error.strerror}") from None
