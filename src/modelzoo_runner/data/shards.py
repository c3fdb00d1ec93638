"""The files of a sharded data set, by their names: `validation-00000-of-00128` and so on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError

_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<total>\d+)(?P<suffix>\.\w+)?")


@dataclass(frozen=True)
class Shards:
    """The files of one set in the order of their numbers, and the numbers that aren't there."""

    files: tuple[ReadablePath, ...]
    missing: tuple[int, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """That it is a part of the set, if it is."""
        if not self.missing:
            return ()
        return (f"a part of the set: shards {ranges(self.missing)} are missing",)


def in_order(files: Sequence[ReadablePath], *, allow_partial: bool = False) -> Shards:
    """The set that `files` are, each of them named `<stem>-<number>-of-<total><suffix>`.

    Raises:
        DataError: when they belong to several sets, a number is there twice or isn't below the
            total, a file is empty, or, without `allow_partial`, a number is missing.
    """
    folder = files[0].parent
    sets = Counter(set_name(path) for path in files)
    if len(sets) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in sorted(sets.items()))
        raise DataError(f"{folder}: files of several sets together: {listed}. Keep one set.")
    total = int(_match(files[0])["total"])
    numbered: dict[int, ReadablePath] = {}
    for path in sorted(files):
        number = int(_match(path)["number"])
        if number >= total:
            raise DataError(f"{path}: number {number} of {total} files, which count from 0.")
        if number in numbered:
            raise DataError(
                f"{folder}: file number {number} of {total} is there twice: {numbered[number]} and "
                f"{path}. Every image in it would count twice: remove one."
            )
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes): get or convert it again.")
        numbered[number] = path
    missing = tuple(sorted(set(range(total)) - set(numbered)))
    if missing and not allow_partial:
        raise DataError(
            f"{folder}: {len(numbered)} of {total} files are there; missing: {ranges(missing)}. "
            "Get them, or say allow_partial=True to use what is there; the result then says so."
        )
    return Shards(tuple(numbered[number] for number in sorted(numbered)), missing)


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as people write them.

    >>> ranges([0, 1, 2, 7, 9, 10])
    '0-2, 7, 9-10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def listing(folder: ReadablePath, *, most: int = 5) -> str:
    """What is in a folder, in one line, with the numbers of shards taken together.

    >>> from pathlib import Path
    >>> listing(Path("/proc/self/attr/absent"))
    'nothing'
    """
    names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    counted = Counter(_pattern(name) for name in names)
    shown = [f"{count} x {each}" if count > 1 else each for each, count in counted.items()]
    more = f", and {len(shown) - most} more" if len(shown) > most else ""
    return (", ".join(shown[:most]) + more) or "nothing"


def _pattern(name: str) -> str:
    return re.sub(r"-\d+-of-(\d+)", r"-*-of-\1", name)


def is_shard(name: str) -> bool:
    """Whether a file of that name is one of a set."""
    return _NUMBERED.fullmatch(name) is not None


def set_name(path: ReadablePath) -> str:
    """What the files of one set have in common, as `validation-*-of-00128`; else its name."""
    found = _NUMBERED.fullmatch(path.name)
    if found is None:
        return path.name
    return f"{found['stem']}-*-of-{int(found['total']):05}{found['suffix'] or ''}"


def _match(path: ReadablePath) -> re.Match[str]:
    found = _NUMBERED.fullmatch(path.name)
    if found is None:
        raise DataError(f"{path}: should be named <name>-<number>-of-<total>")
    return found
