"""Files, here or in a store, that are there whole or not at all.

What is written goes to a temporary file in the same folder, reaches the disk, and only then gets
its name. An exception, Ctrl-C or a crash in between leaves nothing under that name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import remote
from modelzoo_runner.values.remote import RemotePath


def target(argument: str, path: str | os.PathLike[str]) -> Path | RemotePath:
    """The place of a file to write, which the caller took as the value of `argument`.

    To be asked before the work whose result goes there, so that a slip doesn't cost it.

    Raises:
        RequestError: saying why it can't be written.
        MissingDependency: it is in a store whose package isn't installed.
    """
    try:
        found = remote.path(path)
        if isinstance(found, RemotePath) and found.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
    except OSError as error:
        raise RequestError(
            f"{argument}={str(path)!r}: can't be written: {error.strerror or error}"
        ) from None
    if isinstance(found, RemotePath) or _is_device(found):
        return found
    if found.is_dir() or not os.access(found.parent, os.W_OK):
        reason = "it is a folder" if found.is_dir() else f"no writable folder {found.parent}"
        raise RequestError(f"{argument}={str(path)!r}: can't be written: {reason}")
    return found


@contextlib.contextmanager
def writing(path: Path | RemotePath) -> Iterator[IO[bytes]]:
    """A binary file to write to, which becomes `path` when the block ends without an exception.

    A device, a pipe or this process's own output (`/dev/stdout`) is written to, never replaced.
    What goes to a store is written here first, and sent when it is whole.

    Raises:
        OSError: the folder is missing or can't be written, or `path` is a folder.
    """
    import tempfile

    if isinstance(path, RemotePath):
        with tempfile.NamedTemporaryFile() as file:
            yield file
            file.flush()
            path.put(file.name)
        return
    if _is_device(path):
        with _device(path) as file:
            yield file
        return
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder", str(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as any file the user makes.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _is_device(path: Path) -> bool:
    """Whether `path` is no regular file, or is what this process prints to."""
    return path.exists() and not path.is_dir() and (not path.is_file() or bool(_own(path)))


def _own(path: Path) -> list[int]:
    """Standard output or standard error, where `path` is that very file."""
    found = []
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(number)):
                found.append(number)
    return found


def _device(path: Path) -> IO[bytes]:
    """Opened for writing. An output of this process is shared, so that what is printed before and
    after stays in its place.
    """
    for number in _own(path):
        (sys.stdout, sys.stderr)[number - 1].flush()
        return os.fdopen(os.dup(number), "wb")
    return path.open("wb")


def write_text(path: Path | RemotePath, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with writing(path) as file:
        file.write(text.encode("utf-8"))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    # The umask can only be read by setting it; reading it from /proc sets nothing.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
