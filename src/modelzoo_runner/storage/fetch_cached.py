"""One file, from the cache or from its source: the order of the steps that make it trusted.

Look in the cache; wait for whoever fetches it just now, and look again; write it under a name of
its own; compare it with what is known of it; only then give it its name, and record it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import cache, disk, partials, pinned_hashes
from modelzoo_runner.storage.cache import Expected
from modelzoo_runner.storage.partials import Partial
from modelzoo_runner.storage.settings import Settings

log = logging.getLogger("modelzoo_runner")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one file comes from: its location, its name on disk, and what writes it to a part.

    `derived` files are made of another file here: without the network, and without a hash of their
    own to be held to.
    """

    location: str
    name: str
    write: Callable[[Partial], None]
    derived: bool = False


def fetch_cached(source: Source, expected: Expected, settings: Settings) -> Path:
    """The file, from the cache if it is there.

    Raises:
        FetchError: it isn't in the cache and can't be fetched, or the cache can't be written.
        HashMismatch: what came is not what is known of it.
    """
    if (found := _find(source, expected, settings)) is not None:
        return found
    if settings.offline and not source.derived:
        raise FetchError(
            f"{source.location}: not in the cache {settings.cache}, and offline nothing is "
            "fetched. Fetch it once without offline=True and MODELZOO_RUNNER_OFFLINE, or give "
            "the path of a file."
        )
    try:
        return _fetched(source, expected, settings)
    except OSError as error:
        raise disk.explain(error, settings.cache, source.location) from None


def _known(source: Source, expected: Expected, settings: Settings) -> Expected | None:
    """What the file has to be: as it was published, or else as it was the first time."""
    if expected.sha256 is not None:
        return expected
    return None if source.derived else pinned_hashes.expected(settings.cache, source.location)


def _find(source: Source, expected: Expected, settings: Settings) -> Path | None:
    """The file in the cache, if it is the one that it has to be."""
    known = _known(source, expected, settings)
    wanted = replace(expected, sha256=known.sha256 if known else None)
    return cache.find(settings.cache, source.location, wanted)


def _fetched(source: Source, expected: Expected, settings: Settings) -> Path:
    folder = cache.folder_of(settings.cache, source.location)
    lock = settings.cache / "locks" / f"{folder.name}.lock"
    disk.make_private(lock.parent)
    with disk.exclusive(
        lock, progress=lambda: partials.total_size(folder), stalled=settings.retry.stalled
    ):
        if (found := _find(source, expected, settings)) is not None:
            return found
        if folder.is_symlink():
            folder.unlink()  # it would lead the file elsewhere
        disk.make_private(folder)
        try:
            return _written(source, expected, settings, folder)
        finally:
            cache.remove_if_empty(folder)


def _written(source: Source, expected: Expected, settings: Settings, folder: Path) -> Path:
    log.info("%s: fetching", source.location)

    def report(done: int, total: int | None) -> None:
        if settings.progress is not None:
            settings.progress(source.name, done, total)

    largest = settings.largest if expected.size is None else expected.size
    with partials.create(folder, location=source.location, largest=largest, report=report) as part:
        source.write(part)
        known = _known(source, expected, settings)
        if known is not None:
            _compare(source, part, known, settings, published=known is expected)
        elif not source.derived:
            pinned_hashes.pin(settings.cache, source.location, sha256=part.sha256, size=part.done)
        return cache.store(settings.cache, source.location, source.name, part)


def _compare(
    source: Source, part: Partial, known: Expected, settings: Settings, *, published: bool
) -> None:
    if part.sha256 == known.sha256:
        return
    why = "as published for this location"
    if not published:
        why = (
            f"as it was the first time (kept in {pinned_hashes.path_in(settings.cache)}; "
            "`modelzoo-runner cache clear --hashes` takes a change that is meant)"
        )
    # The size first: it says more about what happened than two hashes do.
    size = f"{known.size:,} bytes, " if known.size is not None else ""
    raise HashMismatch(
        f"{source.location}: not the file it should be. "
        f"Expected: {size}sha256 {known.sha256}, {why}. "
        f"Found: {part.done:,} bytes, sha256 {part.sha256}. "
        "What came was removed; what was in the cache before is still there."
    )
