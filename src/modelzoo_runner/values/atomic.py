"""Files that are there whole or not at all.

What is written goes to a temporary file in the same folder, reaches the disk, and only then gets
its name. An exception, Ctrl-C or a crash in between leaves nothing under that name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from modelzoo_runner.errors import RequestError


def target(argument: str, path: str | os.PathLike[str]) -> Path:
    """The path of a file to write, which the caller took as the value of `argument`.

    To be asked before the work whose result goes there, so that a slip doesn't cost it.

    Raises:
        RequestError: saying why it can't be written.
    """
    found = Path(path).expanduser()
    if found.is_dir() or not os.access(found.parent, os.W_OK):
        reason = "it is a folder" if found.is_dir() else f"no writable folder {found.parent}"
        raise RequestError(f"{argument}={str(path)!r}: can't be written: {reason}")
    return found


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write to, which becomes `path` when the block ends without an exception.

    Raises:
        OSError: the folder is missing or can't be written, or `path` is a folder.
    """
    import tempfile

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


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with writing(path) as file:
        file.write(text.encode("utf-8"))


def _umask() -> int:
    # The umask can only be read by setting it; reading it from /proc sets nothing.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
