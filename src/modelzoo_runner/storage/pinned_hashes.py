"""Hashes nobody published: what a file was when it first came here, held against it ever after.

They are kept in one file of the cache, `hashes.json`, which outlives the files themselves and can
be copied to another machine::

    {"https://example.org/resnet50.pb": {"sha256": "7c18...", "size": 102170160}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage.cache import Expected
from modelzoo_runner.values import atomic

_NAME = "hashes.json"
_LOCKED_AT_MOST = 30.0
_SHA256 = re.compile("[0-9a-f]{64}")


def path_in(cache: Path) -> Path:
    """The file the hashes are in."""
    return cache / _NAME


def expected(cache: Path, location: str) -> Expected | None:
    """What came from `location` the first time; None if nothing did.

    Raises:
        FetchError: the file of hashes can't be read: it is never skipped.
    """
    seen = _read(path_in(cache)).get(location)
    if seen is None:
        return None
    match seen:
        case {"sha256": str(sha256), "size": int(size)}:
            if _SHA256.fullmatch(sha256) and size >= 0:
                return Expected(sha256=sha256, size=size)
    raise _unreadable(path_in(cache), f"the entry of {location}")


def locations(cache: Path) -> tuple[str, ...]:
    """The locations something came from."""
    return tuple(_read(path_in(cache)))


def pin(cache: Path, location: str, *, sha256: str, size: int) -> None:
    """Note what came from `location`, unless something was noted before."""
    if expected(cache, location) is None:
        _change(cache, location, {"sha256": sha256, "size": size})


def unpin(cache: Path, location: str) -> None:
    """Take whatever comes next from `location` as its first file."""
    if expected(cache, location) is not None:
        _change(cache, location, None)


def _change(cache: Path, location: str, known: dict[str, Any] | None) -> None:
    import filelock

    path = path_in(cache)
    try:
        with filelock.FileLock(path.with_suffix(".lock"), timeout=_LOCKED_AT_MOST):
            seen = {location: known, **_read(path)}
            if known is None:
                del seen[location]
            atomic.write_text(path, json.dumps(seen, indent=1, sort_keys=True) + "\n")
            path.chmod(0o644)  # whatever the umask: see disk.refuse_untrusted
    except filelock.Timeout:
        raise FetchError(
            f"{path}: another process has held its lock for {_LOCKED_AT_MOST:g} s; end that "
            f"process, or remove {path.with_suffix('.lock')} if there is none."
        ) from None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        seen = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None
    if not isinstance(seen, dict):
        raise _unreadable(path, "it should be one table of locations")
    return seen


def _unreadable(path: Path, reason: str) -> FetchError:
    return FetchError(
        f"{path}: the hashes of what was fetched before can't be read: {reason}. Repair the file, "
        "or remove it to take the next files as they come."
    )
