"""Paths in a tree that is known by the names of its files: what reading uses of `pathlib.Path`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Generic, Self, TypeVar

TOP = PurePosixPath()

File = TypeVar("File")


@dataclass(frozen=True)
class Size:
    """The size of a file in bytes, as `os.stat` calls it."""

    st_size: int


@dataclass(frozen=True)
class Tree(Generic[File]):
    """What is known of each file, by name, and what is in each of the folders of these names."""

    files: Mapping[PurePosixPath, File]
    folders: Mapping[PurePosixPath, set[PurePosixPath]]

    @classmethod
    def of(cls, files: Mapping[str, File]) -> Tree[File]:
        """The tree of files with these names, `/` between folders.

        >>> sorted(Tree.of({"a/b": 1, "a/c/d": 2}).folders)
        [PurePosixPath('.'), PurePosixPath('a'), PurePosixPath('a/c')]
        """
        by_name = {PurePosixPath(name): file for name, file in files.items()}
        folders: defaultdict[PurePosixPath, set[PurePosixPath]] = defaultdict(set)
        for below in by_name:
            for parent in below.parents:
                folders[parent].add(below)
                below = parent
        return cls(by_name, dict(folders))


@dataclass(frozen=True, order=True)
class TreePath(Generic[File]):
    """A file or a folder of a tree."""

    _name: PurePosixPath
    _tree: Tree[File] = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        return self._name.name

    @property
    def stem(self) -> str:
        return self._name.stem

    @property
    def suffix(self) -> str:
        return self._name.suffix

    @property
    def parent(self) -> Self:
        return replace(self, _name=self._name.parent)

    @property
    def in_tree(self) -> str:
        """Its whole name in the tree."""
        return str(self._name)

    def __truediv__(self, name: str | PurePosixPath) -> Self:
        return replace(self, _name=self._name / name)

    def is_file(self) -> bool:
        return self._name in self._tree.files

    def is_dir(self) -> bool:
        return self._name in self._tree.folders

    def iterdir(self) -> Iterator[Self]:
        return (replace(self, _name=each) for each in self._tree.folders.get(self._name, ()))

    def glob(self, pattern: str) -> Iterator[Self]:
        """What is in the folder and fits the pattern, each part between slashes its own."""
        first, _, rest = pattern.partition("/")
        for each in self.iterdir():
            if fnmatchcase(each.name, first):
                yield from each.glob(rest) if rest else (each,)
