"""Get the files that a plan names onto this machine: fetched, built, or already here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from modelzoo_runner.backends import base
from modelzoo_runner.errors import GraphError, RequestError, nearest
from modelzoo_runner.planning import converted, frozen, random_graph
from modelzoo_runner.planning.request import graph_precision
from modelzoo_runner.values import files
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import GraphFile, Plan
from modelzoo_runner.values.preset import Preset


def localize(plan: Plan, preset: Preset, context: Context) -> Plan:
    """The plan with its graphs and data on this machine, and the SHA-256 of each graph.

    Data to be streamed stays where it is.

    Raises:
        RequestError: data is to be streamed offline, or the preset has no network to build.
        FetchError: a file can't be fetched, or a built graph can't be cached.
        GraphError: the graph's file doesn't exist.
        ContainerError: the container image isn't available.
    """
    if plan.stream:
        _require_network(plan, context)
    image = plan.docker_image
    if image is not None:
        from modelzoo_runner.execution import images

        image = images.local(image.name, context)
    # Other runtimes' int8 is made of the float32 graph.
    is_converted = base.converts(plan.runtime)
    of_graph = dataclasses.replace(plan, precision="fp32") if is_converted else plan
    here = dataclasses.replace(
        plan,
        docker_image=image,
        graph=_graph(of_graph, preset, context),
        preprocess_graph=_preprocess_graph(plan, preset, context),
    )
    return converted.kept(with_data(here, context), context)


def with_data(plan: Plan, context: Context) -> Plan:
    """The plan with its data on this machine.

    Raises:
        FetchError: a file can't be fetched.
    """
    data, annotations = (
        None if location is None else _data(location, plan, context)
        for location in (plan.data_location, plan.annotations)
    )
    # Of a bucket no more is fetched than `limit` needs, so what isn't there isn't missed.
    is_remote = plan.data_location is not None and "://" in plan.data_location
    in_part = plan.limit is not None and is_remote and not plan.stream
    return dataclasses.replace(
        plan,
        data_location=data,
        annotations=annotations,
        allow_partial=plan.allow_partial or in_part,
    )


def _graph(plan: Plan, preset: Preset, context: Context) -> GraphFile:
    """The model's graph on this machine, with its SHA-256."""
    if plan.signature is not None and plan.graph.source != "path":
        raise _no_signature(plan, f"weights={plan.graph.source!r}")
    if plan.graph.source == "random":
        built, sha256 = random_graph.cached(plan, preset, context)
        return dataclasses.replace(plan.graph, path=str(built), sha256=sha256)
    if plan.graph.source == "path":
        path = _given(plan.graph.path, context)
        if not path.exists() and not Path(plan.graph.path).suffix:
            near = nearest(plan.graph.path, ("pretrained", "random"))
            hint = f"Did you mean {near[0]!r}?" if near else "Give 'pretrained', 'random' or a path"
            raise RequestError(f"weights={plan.graph.path!r}: there is no such file. {hint}")
        known = preset.graph[graph_precision(plan.precision)]
        graph = frozen.cached(plan, path, known, context)
        if graph is not None:
            return graph
        if plan.signature is not None:
            raise _no_signature(plan, str(path))
    else:
        from modelzoo_runner.storage import fetch

        with context.phase("fetch"):
            known = preset.graph[graph_precision(plan.precision)]
            path = fetch.first_of(known.files, context=context)
    return dataclasses.replace(plan.graph, path=str(path), sha256=_sha256(path))


def _no_signature(plan: Plan, what: str) -> RequestError:
    return RequestError(
        f"signature={plan.signature!r}: only a SavedModel has signatures, and {what} is none: "
        "leave it out"
    )


def _given(location: str, context: Context) -> Path:
    """A file that the user named, on this machine."""
    from modelzoo_runner.storage import fetch, locations

    place = locations.parse(location)
    if isinstance(place, Path):
        return place.absolute()
    with context.phase("fetch"):
        return fetch.local(location, context=context)


def _preprocess_graph(plan: Plan, preset: Preset, context: Context) -> GraphFile | None:
    """The graph that prepares the images, if the plan has one."""
    graph = plan.preprocess_graph
    if graph is None:
        return None
    known = preset.graph[graph_precision(plan.precision)].preprocess_graph
    if graph.source == "pretrained" and known is not None:
        from modelzoo_runner.storage import fetch

        advice = "Give the path of the file, as preprocess_graph=, if you have it."
        with context.phase("fetch"):
            path = fetch.first_of(known.files, advice, context=context)
    else:
        path = _given(graph.path, context)
    return dataclasses.replace(graph, path=str(path), sha256=_sha256(path))


def _require_network(plan: Plan, context: Context) -> None:
    from modelzoo_runner.storage import settings

    if settings.resolve_settings(context=context).offline:
        raise RequestError(
            f"stream=True: offline, {plan.data_location} can't be read where it is; leave stream "
            "out to use what was fetched of it before"
        )


def _data(location: str, plan: Plan, context: Context) -> str:
    from modelzoo_runner.storage import fetch, locations

    place = locations.parse(location)
    if isinstance(place, Path):
        return str(place.absolute())
    if plan.stream and isinstance(place, locations.BucketPlace):
        return location
    enough = None
    if plan.limit is not None and plan.task == "classification":
        enough = _holds(plan.limit)
    with context.phase("fetch"):
        return str(fetch.local(location, enough=enough, context=context))


def _holds(limit: int) -> Callable[[Path], bool]:
    """Whether the first `limit` examples are in the record files so far, asked after each file.

    A few files are read in turn, a record each: so all files but the last few of a round have to
    hold as many.
    """
    from modelzoo_runner.data import pipeline, records

    counts: list[int] = []

    def enough(path: Path) -> bool:
        counts.append(len(records.index(path)))
        in_turn = pipeline.INTERLEAVED_FILES
        return len(counts) >= in_turn and sum(counts[: len(counts) - in_turn + 1]) >= limit

    return enough


def _sha256(path: Path) -> str:
    try:
        return files.known_sha256(path)
    except OSError as error:
        raise GraphError(f"{path}: the graph can't be read: {error.strerror}") from None
