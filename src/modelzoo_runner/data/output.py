"""A folder, here or in a store, that appears whole or not at all.

It is made beside its destination, under a hidden name, and renamed at the end: after an exception,
Ctrl-C or a full disk the destination is as it was, and nothing is left behind. What goes to a store
is made on this machine and sent when it is whole, file by file, without those that were sent if one
can't be.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelzoo_runner.errors import DataError
from modelzoo_runner.values import atomic, remote
from modelzoo_runner.values.remote import RemotePath


@contextmanager
def whole_folder(path: Path | RemotePath | str) -> Iterator[Path]:
    """A new folder to write into that becomes `path` when the block ends well.

    Errors of the block itself pass unchanged.

    Raises:
        DataError: when `path` is there and isn't an empty folder, or can't be made.
    """
    path = remote.path(path)
    check_free(path)
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory(prefix="modelzoo_runner-") as folder:
            yield Path(folder)
            with explained(path):
                _send(Path(folder), path)
        return
    parent = path.absolute().parent
    # Not made from the name: that may be as long as a name can be.
    partial = parent / f".partial-{secrets.token_hex(8)}"
    with explained(path):
        parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    try:
        yield partial
        with explained(path):
            atomic.sync_folder(partial)
            # Renaming onto an empty folder is allowed; onto one that got files meanwhile it isn't.
            partial.rename(path)
            atomic.sync_folder(parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_free(path: Path | RemotePath | str) -> None:
    """Raises a DataError unless `path` is absent or an empty folder."""
    path = remote.path(path)
    with explained(path):
        if path.is_dir():
            first = min((each.name for each in path.iterdir()), default=None)
            if first is not None:
                raise DataError(
                    f"{path}: the output folder has files in it already ({first!r} for one). Give "
                    "a new or an empty folder; nothing is overwritten."
                )
        elif path.exists() or (isinstance(path, Path) and path.is_symlink()):
            raise DataError(f"{path}: the output should be a folder, and this is a file.")


@contextmanager
def explained(path: Path | RemotePath) -> Iterator[None]:
    """Turns the system's error about writing `path` into a DataError."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename not in (None, str(path)) else ""
        raise DataError(f"{path}: can't be written: {error.strerror or error}{where}") from error


def _send(folder: Path, to: RemotePath) -> None:
    """Copy the files of a folder to a store: all of them, or none."""
    sent: list[RemotePath] = []
    try:
        for each in sorted(folder.iterdir()):
            sent.append(to / each.name)
            sent[-1].put(str(each))
    except BaseException:
        for there in sent:
            with suppress(OSError):
                there.unlink()
        raise
