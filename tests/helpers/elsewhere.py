"""Files that TensorFlow can't open: they have no name on a disk, as what is in a bucket."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO


@dataclass(order=True)
class Elsewhere:
    """A path whose files are read forward only; `opened` are their names, each time."""

    path: Path
    opened: list[str] = field(default_factory=list, compare=False)
    files: list[io.BufferedReader] = field(default_factory=list, compare=False)

    def __str__(self) -> str:
        return str(self.path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.path, name)

    @property
    def parent(self) -> Elsewhere:
        return self._other(self.path.parent)

    def __truediv__(self, name: Any) -> Elsewhere:
        return self._other(self.path / name)

    def iterdir(self) -> Iterator[Elsewhere]:
        return map(self._other, self.path.iterdir())

    def glob(self, pattern: str) -> Iterator[Elsewhere]:
        return map(self._other, self.path.glob(pattern))

    def open(self, mode: str, buffering: int = -1) -> BinaryIO:
        self.opened.append(self.path.name)
        self.files.append(io.BufferedReader(_Forward(self.path.open(mode, buffering=0))))
        return self.files[-1]

    def _other(self, path: Path) -> Elsewhere:
        return Elsewhere(path, self.opened, self.files)


class _Forward(io.RawIOBase):
    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))

    def close(self) -> None:
        self._file.close()
        super().close()
