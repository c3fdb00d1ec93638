"""Which worker fetches which record files of a folder in a store.

To know where a part begins, all files have to have been read once: each is fetched and counted by
one worker. Then a worker fetches what it still lacks of the part that it is to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import cast

from modelzoo_runner.backends import base
from modelzoo_runner.data import manifest, records, shards
from modelzoo_runner.data.manifest import ListedFile, ListedPath
from modelzoo_runner.planning.request import Request
from modelzoo_runner.storage import listed
from modelzoo_runner.storage.listed import ListedFolder
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan


@dataclass(frozen=True, kw_only=True)
class RecordFiles:
    """The record files of a run in the order of the data, by name, and their numbers of records.

    `others` are the objects of the folder that every worker needs, such as annotations.
    """

    found: ListedFolder
    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def look(request: Request, context: Context) -> RecordFiles | None:
    """The folder of a request, with all that isn't a shard fetched; `names` are still open.

    `None`: each worker fetches what it needs for itself, or has it on its disk.

    Raises:
        FetchError: the folder can't be listed, or an object can't be fetched.
    """
    runtime = request.runtime or base.name_for(request.weights)
    is_calibrated = request.precision == "int8" and base.converts(runtime)
    if request.data_location is None or request.limit is not None or is_calibrated:
        return None
    found = listed.look(request.data_location, context=context)
    if found is None:
        return None
    others = tuple(name for name in found.sizes if not shards.is_shard(name))
    if len(found.sizes) - len(others) < 2:
        return None
    listed.fetch(found, others, context=context)
    return RecordFiles(found=found, others=others)


def with_names(files: RecordFiles, plan: Plan, context: Context) -> RecordFiles | None:
    """The same with the names of the record files; `None` if the examples are in others.

    Raises:
        DataError: the data isn't there or isn't what it should be.
    """
    names = _needed(files, plan, context)
    return None if names is None else replace(files, names=names)


def count(files: RecordFiles, names: Iterable[str], context: Context) -> dict[str, int]:
    """The numbers of records in some of the files, which are fetched for it.

    Raises:
        FetchError: one can't be fetched.
        DataError: one is broken.
    """
    names = tuple(names)
    listed.fetch(files.found, {*files.others, *names}, context=context)
    places = listed.paths(files.found, context=context)
    return {name: records.count(places[name]) for name in names}


def fetch(files: RecordFiles, plan: Plan, context: Context) -> None:
    """Have the files here that the plan's examples are read from.

    Raises:
        FetchError: one can't be fetched.
    """
    needed = _needed(files, plan, context) or files.names
    listed.fetch(files.found, {*files.others, *needed}, context=context)


def write(files: RecordFiles, folder: Path, context: Context) -> Path:
    """The list of the files in a folder, as a location of data; written once they are counted."""
    path = folder / f"data{manifest.SUFFIX}"
    if files.counts:
        manifest.write(path, _folder(files, context))
    return path


def homes(files: RecordFiles, counted_by: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The number of the first example in the files of each worker, by the files that it counted."""
    ends = accumulate(files.counts[name] for name in files.names)
    begins = {name: end - files.counts[name] for name, end in zip(files.names, ends, strict=True)}
    return {worker: min(begins[name] for name in names) for worker, names in counted_by.items()}


def _needed(files: RecordFiles, plan: Plan, context: Context) -> tuple[str, ...] | None:
    found = tasks.record_files(plan, _folder(files, context))
    return None if found is None else tuple(cast(ListedPath, each).in_tree for each in found)


def _folder(files: RecordFiles, context: Context) -> ListedPath:
    places, sizes = listed.paths(files.found, context=context), files.found.sizes
    return manifest.folder(
        files.found.folder,
        {
            name: ListedFile(path=str(path), size=sizes[name], records=files.counts.get(name))
            for name, path in places.items()
        },
    )
