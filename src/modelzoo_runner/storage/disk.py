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
    errno.EFBIG: "a file would be larger than this process or file system allows",
}


def need_room(folder: Path, needed: int) -> None:
    """Raise OSError, as a full disk would, if `needed` more bytes don't fit."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        error.add_note(f": {needed:,} bytes are needed, {free:,} are free")
        raise error


def trouble(error: OSError, cache: Path, location: str) -> FetchError:
    """The error for a cache that doesn't take a file."""
    if error.errno in _FULL:
        room = "".join(getattr(error, "__notes__", ()))
        return FetchError(
            f"{location}: {_FULL[error.errno]} at {cache}{room}. Make room (`modelzoo-runner cache "
            "clear`), or set MODELZOO_RUNNER_CACHE to a folder on another disk. Nothing was left."
        )
    return FetchError(
        f"{location}: the cache folder {cache} can't be written: {error.strerror or error}. "
        "Set MODELZOO_RUNNER_CACHE to a folder you may write to."
    )
