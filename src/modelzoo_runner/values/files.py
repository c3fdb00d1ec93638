"""Open a file that a caller or a preset named, whatever it turns out to be."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from io import BufferedReader
from pathlib import Path


def opened(path: Path, *, pipes: bool = False) -> BufferedReader:
    """A file, for reading; with `pipes`, also a pipe that somebody writes to.

    Raises:
        OSError: it can't be read, or is a folder or a device.
    """
    # A pipe without a writer would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode)):
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
    raise OSError(errno.EINVAL, f"it is {what}, and no file", str(path))


def read(path: Path, *, most: int = 1 << 31) -> bytes:
    """All bytes of a file, or of a pipe that somebody writes to.

    Raises:
        OSError: it can't be opened, or has more bytes than `most`.
    """
    with opened(path, pipes=True) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content


SETTLED_NS = 2 * 10**9
"""How long ago a file has to have changed: a second change within a tick of the clock leaves its
times as they were. The coarsest clock of a file system (FAT's) ticks every 2 s."""

_hashed: dict[str, tuple[tuple[int, ...], str]] = {}
"""By path: what the file was when this process hashed it, and its hash."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it can't be read, or is a folder or a device.
    """
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """As `sha256_of`, but a file that this process has hashed isn't read again.

    That is while its inode, size and times stay: a change time can't be set back.

    Raises:
        OSError: it can't be read, or is a folder or a device.
    """
    with opened(path) as file:
        status = os.fstat(file.fileno())
        times = (status.st_mtime_ns, status.st_ctime_ns)
        identity = (status.st_dev, status.st_ino, status.st_size, *times)
        hashed_as, found = _hashed.get(str(path), ((), ""))
        if hashed_as != identity:
            is_settled = max(times) < time.time_ns() - SETTLED_NS
            found = hashlib.file_digest(file, "sha256").hexdigest()
            _hashed[str(path)] = (identity if is_settled else (), found)
        return found
