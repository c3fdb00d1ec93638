"""Which of this machine's files a container gets, and where it finds them.

A file is below `OUTSIDE` there, at its own path: nothing of the image is covered, and every path
that comes back in a result or a message is this machine's again once `OUTSIDE` is cut off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelzoo_runner.data import coco_find
from modelzoo_runner.errors import DataError
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.plan import GraphFile, Plan

OUTSIDE = "/outside-of-the-container"


def inside(path: str) -> str:
    """Where a container finds the file or folder that has this absolute path here.

    >>> outside(f"{inside('/data/val2017')}/1.jpg: the image is empty")
    '/data/val2017/1.jpg: the image is empty'
    """
    return OUTSIDE + path


def outside(text: str) -> str:
    """A text from a container with this machine's paths in it."""
    return text.replace(f"{OUTSIDE}/", "/")


def as_inside(plan: Plan) -> Plan:
    """The plan with the paths that a container finds its files at."""

    def moved(graph: GraphFile) -> GraphFile:
        return dataclasses.replace(graph, path=inside(graph.path))

    return dataclasses.replace(
        plan,
        graph=moved(plan.graph),
        preprocess_graph=None if plan.preprocess_graph is None else moved(plan.preprocess_graph),
        data_location=plan.data_location and inside(plan.data_location),
        annotations=plan.annotations and inside(plan.annotations),
        predictions=plan.predictions and inside(plan.predictions),
    )


def needed(plan: Plan) -> tuple[Path, ...]:
    """The files and folders that the plan reads, none of them in another of them.

    What isn't there is left out: the run says so, in its own words.

    Raises:
        DataError: the data is links to what the container wouldn't have.
    """
    wanted = [Path(plan.graph.path)]
    if plan.preprocess_graph is not None:
        wanted.append(Path(plan.preprocess_graph.path))
    if plan.annotations is not None:
        wanted.append(Path(plan.annotations))
    if plan.data_location is not None:
        location = Path(plan.data_location)
        wanted += _of_data(location, plan) if location.exists() else ()
    return tuple(_outermost(path for path in wanted if path.exists()))


def _of_data(location: Path, plan: Plan) -> Iterator[Path]:
    if not location.is_dir():
        yield location
        # One file may stand for a set of them.
        location = location.parent
        if location == location.parent:
            return  # the root of all files is more than a run needs
    yield location
    if tasks.find(plan.task).HAS_ANNOTATIONS:
        yield from coco_find.annotations_above(location)
    _refuse_links_out(location)


def _refuse_links_out(folder: Path) -> None:
    whole = folder.resolve()
    for path in (*folder.glob("*"), *folder.glob("*/*")):
        if path.is_symlink() and not path.resolve().is_relative_to(whole):
            raise DataError(
                f"{path}: a link to {path.resolve()}, which is outside of the folder that the "
                "container gets. Give the folder that the files themselves are in"
            )


def _outermost(paths: Iterable[Path]) -> Iterator[Path]:
    seen: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in seen):
            seen.append(path)
            yield path
