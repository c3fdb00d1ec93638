"""Whether the files that presets name are where they should be, without fetching them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Unpack

from modelzoo_runner.errors import FetchError, RequestError
from modelzoo_runner.storage import gcs, https, locations
from modelzoo_runner.storage.access import Access
from modelzoo_runner.storage.locations import BucketPlace, WebFile
from modelzoo_runner.storage.settings import Options, Settings, decide
from modelzoo_runner.values.preset import Preset, RemoteFile

_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class LocationStatus:
    """What became of asking for one location of a preset.

    `precision` is the graph's, with "preprocess_graph" after it where it is that graph's file.
    `status` is the http status, None without an answer. `size` and `expected_size` are in bytes.
    `problem` says in words what is wrong, None if nothing is.
    """

    model: str
    precision: str
    url: str
    status: int | None
    size: int | None
    expected_size: int | None
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether the file can be had there."""
        return self.problem is None


def verify_locations(
    presets: Iterable[Preset], **options: Unpack[Options]
) -> tuple[LocationStatus, ...]:
    """What each location of each preset answers: its status and the size of its file.

    Raises:
        RequestError: offline, where nobody can be asked.
    """
    settings = decide(**options)
    if settings.offline:
        raise RequestError(
            "offline: the locations can't be asked; call without offline=True and with "
            "MODELZOO_RUNNER_OFFLINE unset."
        )
    files = [each for preset in presets for each in _files(preset)]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="verify") as pool:
        under_way = [pool.submit(_status, *each, settings) for each in files]
        return tuple(each.result() for each in under_way)


def _files(preset: Preset) -> Iterator[tuple[str, str, RemoteFile]]:
    for precision, graph in preset.graph.items():
        for file in graph.files:
            yield preset.name, precision, file
        for file in graph.preprocess_graph.files if graph.preprocess_graph else ():
            yield preset.name, f"{precision} preprocess_graph", file


def _status(model: str, precision: str, file: RemoteFile, settings: Settings) -> LocationStatus:
    status, size, problem = None, None, None
    try:
        status, size, problem = _asked(file, settings)
    except (FetchError, RequestError) as error:
        problem = str(error)
    if problem is None and file.size is not None and size is not None and size != file.size:
        problem = f"its file is {size:,} bytes and should be {file.size:,}"
    return LocationStatus(
        model=model,
        precision=precision,
        url=file.url,
        status=status,
        size=size,
        expected_size=file.size,
        problem=problem,
    )


def _asked(file: RemoteFile, settings: Settings) -> tuple[int | None, int | None, str | None]:
    """Status, size and problem of one location."""
    place = locations.parse(file.url)
    if isinstance(place, WebFile):
        found = https.look(locations.stand_in(place.url, settings.endpoint), settings)
        return found.status, found.size, found.problem
    if isinstance(place, BucketPlace):
        listing = gcs.resolve(place, Access(settings))
        return 200, sum(each.size for each in listing.objects), None
    size = place.stat().st_size if place.is_file() else None
    return None, size, None if size is not None else "no such file"
