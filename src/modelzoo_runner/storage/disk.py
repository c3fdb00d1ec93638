"""What a disk says no to, in words: full, over quota, read-only, not allowed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from modelzoo_runner.errors import FetchError

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this file system or process allows",
}


def need_room(folder: Path, needed: int) -> None:
    """Raise OSError, as a full disk would, if `needed` bytes don't fit."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def trouble(error: OSError, cache: Path, location: str, needed: int | None) -> FetchError:
    """The error for a cache that doesn't take a file of `needed` bytes."""
    if error.errno in _FULL:
        free = f", {shutil.disk_usage(_existing(cache)).free:,} are free"
        size = f" It needs {needed:,} bytes{free}." if needed else ""
        return FetchError(
            f"{location}: {_FULL[error.errno]} at {cache}.{size} Make room (`modelzoo-runner cache "
            "clear`), or set MODELZOO_RUNNER_CACHE to a folder on another disk. Nothing was left."
        )
    return FetchError(
        f"{location}: the cache folder {cache} can't be written: {error.strerror or error}. "
        "Set MODELZOO_RUNNER_CACHE to a folder you may write to."
    )


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.is_dir())
