"""From a location to a local path that is whole and verified.

A location is a path, an https:// URL, or gs://bucket/... (an object, a folder, a pattern). What was
fetched once is in the cache, and no server is asked again until it is cleared.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from modelzoo_runner.errors import FetchError, HashMismatch, MissingDependency, did_you_mean
from modelzoo_runner.storage import archive, folders, locations, web
from modelzoo_runner.storage.cache import Expected
from modelzoo_runner.storage.fetch_cached import Source, fetch_cached
from modelzoo_runner.storage.folders import Enough
from modelzoo_runner.storage.locations import WebFile
from modelzoo_runner.storage.partials import Partial
from modelzoo_runner.storage.settings import Options, Settings, resolve_settings
from modelzoo_runner.values.files import sha256_of
from modelzoo_runner.values.preset import RemoteFile

log = logging.getLogger("modelzoo_runner")

ADVICE = (
    'Give the path of the file if you have it, or weights="random" to measure speed with the same '
    "topology."
)
"""What to do where a model's graph can't be had."""


def local(
    location: str | Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    member: str | None = None,
    enough: Enough | None = None,
    **options: Unpack[Options],
) -> Path:
    """The local path of a location: a file, or a folder with the tree of a bucket.

    Args:
        location: a path, an https:// URL, or gs://bucket/object, gs://bucket/folder/ or
            gs://bucket/folder/validation-*.
        sha256: what the file has to be, in hexadecimal. Without it, what came the first time is
            what has to come ever after.
        size: how large the file has to be, in bytes.
        member: a file-name pattern: the location is a tar archive, and this is wanted out of it.
        enough: for a folder in a bucket: asked after each file, in the order of their names,
            whether it was the last one needed.
        options: see `settings.Options`.

    Raises:
        RequestError: the location can't be one.
        FetchError: it can't be had, in words.
        HashMismatch: it isn't the file it should be.
        UnsafeArchive: the archive has a member that must not be unpacked.
    """
    file = RemoteFile(url=str(location), sha256=sha256, size=size, member=member)
    return _local(file, resolve_settings(**options), enough)


def first_of(files: Sequence[RemoteFile], advice: str = ADVICE, **options: Unpack[Options]) -> Path:
    """The local path of a file that is published in several places: the first place that works.

    Whatever is in the cache already is taken before any server is asked. `advice` says what to do
    where none works.

    Raises:
        FetchError: none works; each is listed with what was wrong there.
    """
    settings = resolve_settings(**options)
    failures: list[FetchError | MissingDependency] = []
    rounds = (replace(settings, offline=True),) + (() if settings.offline else (settings,))
    for here in rounds:
        failures = []
        for file in files:
            try:
                return _local(file, here)
            except (FetchError, MissingDependency) as error:
                failures.append(error)
                if not here.offline:
                    log.warning("%s", error)
    raise _none_works(failures, advice)


def _local(file: RemoteFile, settings: Settings, enough: Enough | None = None) -> Path:
    if file.member is not None:
        return _member(file, file.member, settings)
    expected = Expected(sha256=file.sha256 and file.sha256.lower(), size=file.size)
    place = locations.parse(file.url)
    if isinstance(place, Path):
        return _on_disk(place.absolute(), expected)
    if isinstance(place, WebFile):
        return _from_web(place, expected, settings)
    return folders.local(place, expected, settings, enough)


def _from_web(place: WebFile, expected: Expected, settings: Settings) -> Path:
    url = locations.with_endpoint(place.url, settings.endpoint)
    if not place.encrypted and expected.sha256 is None:
        raise FetchError(
            f"{place.url}: without encryption anybody on the way can change the file, and no "
            "sha256 is known to notice. Give an https:// URL, or sha256."
        )
    source = Source(
        location=place.url,
        name=place.name,
        write=lambda part: web.download(url, part, settings, size=expected.size),
    )
    return fetch_cached(source, expected, settings)


def _member(file: RemoteFile, pattern: str, settings: Settings) -> Path:
    """The member of an archive, taken out once and kept beside it in the cache."""
    whole = replace(file, member=None)
    version = file.sha256

    def write(part: Partial) -> None:
        archive.extract(_local(whole, settings), pattern, part)
        part.version = version

    place = locations.parse(file.url)
    if isinstance(place, Path):
        # An archive of the user's own may be replaced at any time.
        status = _on_disk(place.absolute(), Expected()).stat()
        version = f"{status.st_size}-{status.st_mtime_ns}"
    name = re.sub(r"[*?\[\]]", "_", pattern.rpartition("/")[2])
    source = Source(
        location=f"{file.url}#{pattern}",
        name=name if locations.unsafe_reason(name) is None else "member",
        write=write,
        derived=True,
    )
    return fetch_cached(source, Expected(version=version), settings)


def _on_disk(path: Path, expected: Expected) -> Path:
    if not path.exists():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings[:1000], otherwise="There are")
        raise FetchError(f"{path}: no such file or folder. {hint if siblings else ''}".rstrip())
    if not path.is_file() and not path.is_dir():
        raise FetchError(f"{path}: a device or a pipe, and no file.")
    if expected == Expected():
        return path
    if path.is_dir():
        raise FetchError(f"{path}: a folder, and sha256 and size are of a file.")
    if expected.size not in (None, found_size := path.stat().st_size):
        raise HashMismatch(f"{path}: it is {found_size:,} bytes and should be {expected.size:,}.")
    if expected.sha256 is not None and (found := sha256_of(path)) != expected.sha256:
        raise HashMismatch(f"{path}: its sha256 is {found} and should be {expected.sha256}.")
    return path


def _none_works(
    failures: Sequence[FetchError | MissingDependency], advice: str
) -> FetchError | MissingDependency:
    """One error for all the places, of the class they share."""
    if not failures:
        return FetchError(f"This graph is published nowhere. {advice}")
    classes = {type(each) for each in failures}
    shared: type[FetchError | MissingDependency] = (
        classes.pop() if len(classes) == 1 else FetchError
    )
    lines = "\n".join(f"  {failure}" for failure in failures)
    many = len(failures) > 1
    head = f"none of the {len(failures)} places has the file:" if many else "no file:"
    return shared(f"{head}\n{lines}\n{advice}")
