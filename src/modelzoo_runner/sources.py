"""From what a plan names to files that are on this machine.

A graph is published, built here with random weights, or given as a file; data is a local path or at
gs://. The stores and the topologies know how; this only knows which of them to ask.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from modelzoo_runner import atomic
from modelzoo_runner.errors import FetchError, GraphError, RequestError
from modelzoo_runner.execution.progress import Progress
from modelzoo_runner.plan import GraphFile, Image, Plan
from modelzoo_runner.preset import Preset
from modelzoo_runner.resolve import graph_precision


def localize(
    plan: Plan, preset: Preset, *, offline: bool = False, progress: Progress | None = None
) -> Plan:
    """The plan with its graphs and its data on this machine, and the hash of each graph's bytes.

    Data to be streamed stays where it is.

    Raises:
        RequestError: data is to be streamed, offline.
        FetchError: a file can't be had.
        GraphError: the graph's file isn't there.
        ContainerError: the image of a container can't be had.
    """
    if plan.stream:
        _require_network(plan, offline)
    image = None if plan.docker_image is None else _image(plan.docker_image, offline, progress)
    path = _graph(plan, preset, offline, progress)
    graph = dataclasses.replace(plan.graph, path=str(path), sha256=_sha256(path))
    data, annotations = (
        None if location is None else _data(location, plan, offline, progress)
        for location in (plan.data_location, plan.annotations)
    )
    # Of a bucket no more is fetched than `limit` needs, so what isn't there isn't missed.
    in_part = plan.limit is not None and _is_remote(plan.data_location) and not plan.stream
    return dataclasses.replace(
        plan,
        docker_image=image,
        graph=graph,
        preprocess_graph=_preprocess_graph(plan, preset, offline, progress),
        data_location=data,
        annotations=annotations,
        allow_partial=plan.allow_partial or in_part,
    )


def _image(image: Image, offline: bool, progress: Progress | None) -> Image:
    from modelzoo_runner.storage import images

    return images.local(image.name, offline=offline, progress=progress)


def _graph(plan: Plan, preset: Preset, offline: bool, progress: Progress | None) -> Path:
    graph: GraphFile = plan.graph
    if graph.source == "path":
        return Path(graph.path).expanduser().absolute()
    if graph.source == "random":
        return _random(plan, preset)
    from modelzoo_runner.storage import fetch

    return fetch.first_of(
        preset.graph[graph_precision(plan.precision)].files, offline=offline, progress=progress
    )


def _preprocess_graph(
    plan: Plan, preset: Preset, offline: bool, progress: Progress | None
) -> GraphFile | None:
    """The graph that prepares the images, if the plan has one."""
    graph = plan.preprocess_graph
    if graph is None:
        return None
    path = Path(graph.path).expanduser().absolute()
    known = preset.graph[graph_precision(plan.precision)].preprocess_graph
    if graph.source == "pretrained" and known is not None:
        from modelzoo_runner.storage import fetch

        by_hand = "Give the path of the file, as preprocess_graph=, if you have it."
        path = fetch.first_of(known.files, by_hand, offline=offline, progress=progress)
    return dataclasses.replace(graph, path=str(path), sha256=_sha256(path))


def _random(plan: Plan, preset: Preset) -> Path:
    """The preset's topology with seeded weights: built once, then kept in the cache."""
    if preset.topology is None:
        raise RequestError(
            f'weights="random": the preset {preset.name!r} names no topology to build'
        )
    from modelzoo_runner.graphs.topologies import catalog
    from modelzoo_runner.machine import environment
    from modelzoo_runner.storage import settings

    folder = settings.cache_folder() / "random" / _fingerprint(catalog)
    path = folder / f"{preset.topology}_seed{plan.seed}.pb"
    if not path.exists():
        # TensorFlow is loaded by this, and reads once what the run is to have.
        with environment.variables(plan.placement.env):
            graph = catalog.build(preset.topology, seed=plan.seed)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic.writing(path) as file:
                file.write(graph.SerializeToString(deterministic=True))
        except OSError as error:
            raise FetchError(
                f"{path}: the graph that was built can't be kept there: {error.strerror}. "
                "MODELZOO_RUNNER_CACHE names another folder"
            ) from None
    return path


def _fingerprint(module: ModuleType) -> str:
    """A name for what the topologies build: another one when their code is another."""
    digest = hashlib.sha256()
    for source in sorted(Path(module.__file__ or "").parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _require_network(plan: Plan, offline: bool) -> None:
    from modelzoo_runner.storage import settings

    if settings.decide(offline=offline).offline:
        raise RequestError(
            f"stream=True: offline, {plan.data_location} can't be read where it is; leave stream "
            "out to use what was fetched of it before"
        )


def _data(location: str, plan: Plan, offline: bool, progress: Progress | None) -> str:
    if not _is_remote(location):
        return str(Path(location).expanduser().absolute())
    if plan.stream and location.lower().startswith("gs://"):
        return location
    from modelzoo_runner.storage import fetch

    enough = None
    if plan.limit is not None and plan.task == "classification":
        enough = _holds(plan.limit)
    return str(fetch.local(location, enough=enough, offline=offline, progress=progress))


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
