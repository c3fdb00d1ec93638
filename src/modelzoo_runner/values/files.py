"""Open a file that a caller or a preset named, whatever it turns out to be."""

from __future__ import annotations

import errno
import os
import stat
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
