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

from modelzoo_runner.errors import FetchError, RequestError

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


def open_plain(path: Path) -> BinaryIO:
    """A regular file, for reading.

    Raises:
        OSError: it is a link, a pipe or a device.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def is_own(file: BinaryIO) -> bool:
    """Whether an open file is this user's."""
    return os.fstat(file.fileno()).st_uid == os.geteuid()


def open_own(path: Path) -> BinaryIO:
    """A regular file of this user, for reading.

    Raises:
        OSError: it is a link, a pipe or a device, or somebody else's.
    """
    file = open_plain(path)
    if not is_own(file):
        file.close()
        raise OSError(errno.EPERM, "not a file of this user", str(path))
    return file


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone."""
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


TRUSTED = ("files", "folders", "listings", "random", "hashes.json")
"""What of a cache only its owner may be able to write to."""


def refuse_untrusted(cache: Path, *, named: bool) -> None:
    """Refuse a cache whose content somebody else could have written.

    Another user's may be read if it was `named` and this user can't write to it.

    Raises:
        RequestError: saying what to do.
    """
    for path in (cache / name for name in TRUSTED):
        try:
            found = path.lstat()
        except OSError:
            continue  # not there yet, or it says so itself when it is read
        is_foreign = found.st_uid != os.geteuid()
        if stat.S_ISLNK(found.st_mode):
            why = "is a link: put the folder itself there"
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            why = (
                "can be written to by other users. If you trust what they wrote, take their right "
                f"away (chmod -R go-w {cache}); if not, remove it"
            )
        elif is_foreign and (not named or os.access(path, os.W_OK)):
            why = (
                f"belongs to another user (id {found.st_uid}), whose cache is used only where "
                "MODELZOO_RUNNER_CACHE names it and this user can't write to it"
            )
        else:
            continue
        raise RequestError(
            f"the cache {cache} can't be trusted: {path} {why}. Or set MODELZOO_RUNNER_CACHE to a "
            "folder of your own."
        )
