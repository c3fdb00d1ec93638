"""Files and folders to read, on the disk or in a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, Protocol, Self

from modelzoo_runner.errors import DataError


class Size(Protocol):
    """The size of a file, as `os.stat` calls it."""

    @property
    def st_size(self) -> int:
        """Bytes."""


class ReadablePath(Protocol):
    """A file or a folder: the part of `pathlib.Path` that reading needs, with the same meaning."""

    @property
    def name(self) -> str: ...
    @property
    def stem(self) -> str: ...
    @property
    def suffix(self) -> str: ...
    @property
    def parent(self) -> Self: ...
    def __truediv__(self, name: str | PurePosixPath) -> Self: ...
    def __lt__(self, other: Any) -> bool: ...
    def is_dir(self) -> bool: ...
    def is_file(self) -> bool: ...
    def iterdir(self) -> Iterator[Self]: ...
    def glob(self, pattern: str) -> Iterator[Self]: ...
    def stat(self) -> Size: ...
    def open(self, mode: Literal["rb"], buffering: int = -1) -> BinaryIO: ...
    def read_bytes(self) -> bytes: ...


def of(location: ReadablePath | str) -> ReadablePath:
    """The file or folder a user named; a `~` in a name of this machine is filled in."""
    return Path(location).expanduser() if isinstance(location, (str, Path)) else location


def read_bytes(path: ReadablePath) -> bytes:
    """What is in a file.

    Raises:
        DataError: it can't be read; says why.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def listing(folder: ReadablePath) -> list[ReadablePath]:
    """What is in a folder, by name, without hidden files: macOS leaves a `._x` beside every `x`."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def fingerprint(files: Iterable[ReadablePath]) -> str:
    """A hash of the files' names and sizes, in their order; where they are doesn't matter."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()[:16]
