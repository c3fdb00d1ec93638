"""Graphs that were built here: made once, kept with their hash, used only as they were made.

<cache>/random/<what it was made by>/<name>.pb          the graph
<cache>/random/<what it was made by>/<name>.pb.sha256   its hash: written after it, removed before
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import disk
from modelzoo_runner.values import atomic
from modelzoo_runner.values.files import known_sha256, sha256_of

log = logging.getLogger("modelzoo_runner")

_LONGEST_WAIT = 900.0
"""Seconds to wait for another process that builds the same graph."""


def folder(root: Path) -> Path:
    """Where in a cache the built graphs are."""
    return root / "random"


def files(root: Path) -> tuple[Path, ...]:
    """The built graphs in a cache, and what was made with them; not their hashes and locks."""
    return tuple(
        sorted(
            path
            for path in folder(root).rglob("*")
            if path.is_file() and path.suffix not in (".lock", ".sha256")
        )
    )


def get_or_build(path: Path, build: Callable[[Path], None]) -> str:
    """The SHA-256 of the graph at `path`; `build` makes it there unless it is as it was made.

    Raises:
        FetchError: it can't be kept there.
        RunnerError: what `build` raises; then there is no graph.
    """
    found = _whole(path)
    if found is not None:
        return found
    try:
        disk.make_private(path.parent)
        lock = path.with_name(f"{path.name}.lock")
        with disk.exclusive(lock, progress=lambda: None, stalled=_LONGEST_WAIT):
            # Another process may have built it meanwhile.
            return _whole(path) or _built(path, build)
    except OSError as error:
        raise FetchError(
            f"{path}: the graph that was built can't be kept there: {error.strerror}. "
            "MODELZOO_RUNNER_CACHE names another folder"
        ) from None


def clear(root: Path) -> None:
    """Remove all graphs that were built."""
    if folder(root).is_dir():
        shutil.rmtree(folder(root))


def _whole(path: Path) -> str | None:
    """The hash of a graph that is as it was made; None if it isn't, or isn't there."""
    try:
        recorded = _record(path).read_text(encoding="ascii").strip()
        found = known_sha256(path)
    except (OSError, UnicodeDecodeError):
        return None
    return found if found == recorded else None


def _built(path: Path, build: Callable[[Path], None]) -> str:
    if path.exists():
        log.warning("%s: isn't as it was built: building it again", path)
    _record(path).unlink(missing_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)  # of a process that was killed as it wrote
    build(path)
    sha256 = sha256_of(path)
    atomic.write_text(_record(path), f"{sha256}\n")
    return sha256


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
