"""The file system: locks between processes, free space, and its errors in words.

A lock only saves work: a process that goes on without it still writes to a file of its own. So a
lock that doesn't work (some network file systems), or whose holder hangs, costs a second download
and never a wrong file or an endless wait. A killed process releases its locks at once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from modelzoo_runner.errors import FetchError

log = logging.getLogger("modelzoo_runner")


@contextlib.contextmanager
def exclusive(
    path: Path, *, progress: Callable[[], object], stalled: float, poll: float = 0.2
) -> Iterator[None]:
    """Run the block while holding the lock `path`, after waiting for whoever has it.

    The wait ends without the lock when `progress()`, any value that changes as the holder gets on,
    has been the same for `stalled` seconds.
    """
    import filelock

    lock = filelock.FileLock(path)
    seen, since = progress(), time.monotonic()
    while True:
        try:
            lock.acquire(timeout=poll)
            break
        except filelock.Timeout:
            now = progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > stalled:
                log.warning("%s: its holder has made no progress for %g s", path, stalled)
                break
    try:
        yield
    finally:
        lock.release()


_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than this process or file system allows",
}


def require_space(folder: Path, needed: int) -> None:
    """Raise OSError, as a full disk would, if `needed` more bytes don't fit."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        error.add_note(f": {needed:,} bytes are needed, {free:,} are free")
        raise error


def explain(error: OSError, cache: Path, location: str) -> FetchError:
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


def open_own(path: Path) -> BinaryIO:
    """A file of this user, for reading.

    Raises:
        OSError: it is a link, a pipe or a device, or somebody else's.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        file.close()
        raise OSError(errno.EPERM, "not a file of this user", str(path))
    return file
