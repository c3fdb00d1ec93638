"""A data set by a list of its files: not all of them have to be on this machine.

Who reads a part of the examples needs the files of that part, and of the others the number of their
records: where the part begins depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from modelzoo_runner.errors import DataError
from modelzoo_runner.values import atomic
from modelzoo_runner.values.trees import Size, Tree, TreePath

SUFFIX = ".files.json"
"""Of a location that is such a list."""


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """Where a file is, or will be; its size in bytes; and its number of records, where known."""

    path: str
    size: int
    records: int | None = None


@dataclass(frozen=True, order=True)
class ListedPath(TreePath[ListedFile]):
    """A file or a folder of such a list, to be read like a `pathlib.Path`."""

    def __str__(self) -> str:
        return self.__fspath__()

    def __fspath__(self) -> str:
        file = self._tree.files.get(self._name)
        return str(self._name) if file is None else file.path

    @property
    def records(self) -> int | None:
        """The number of records in the file, where known."""
        return self._tree.files[self._name].records

    def stat(self) -> Size:
        """The file's size, as `st_size`."""
        return Size(self._tree.files[self._name].size)

    def open(self, mode: Literal["rb"], buffering: int = -1) -> BinaryIO:
        return Path(self).open(mode, buffering)

    def read_bytes(self) -> bytes:
        return Path(self).read_bytes()


def folder(name: str, files: Mapping[str, ListedFile]) -> ListedPath:
    """The folder of that name, `files` being by name all there are, in it or beside it."""
    return ListedPath(PurePosixPath(name), Tree.of(files))


def write(path: Path, listed: ListedPath) -> None:
    """Write the list of a folder's files."""
    files = {str(name): asdict(file) for name, file in listed._tree.files.items()}
    record = {"folder": listed.in_tree, "files": files}
    atomic.write_text(path, json.dumps(record, indent=1) + "\n")


def read(path: Path) -> ListedPath:
    """The folder that was written.

    Raises:
        DataError: it can't be read, or isn't such a list.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        files = {name: ListedFile(**each) for name, each in record["files"].items()}
        return folder(record["folder"], files)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a list of files as this library writes it: {error}") from None
