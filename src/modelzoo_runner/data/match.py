"""Matches the entries of a list or a JSON file to files, by path rather than by base name.

Lists are made on other machines: with absolute paths, with the folder's own name in front, with
backslashes, or with accents composed otherwise. What counts is how many parts of the path agree,
from the end. A base name alone counts only where it is unique, and no file serves two entries.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from modelzoo_runner.data import paths
from modelzoo_runner.data.paths import ReadablePath

P = TypeVar("P")

Parts = tuple[str, ...]

SUFFIXES = (".jpeg", ".jpg", ".png")
"""Of the images that are read, in lower case."""


@dataclass(frozen=True)
class Matches(Generic[P]):
    """The file of each entry that has one, by the entry's place, and why others have none."""

    files: dict[int, P]
    problems: dict[int, str]


def is_image(name: str) -> bool:
    """Whether a file is an image by its name; a `._x.jpg` of macOS is none.

    >>> is_image("1.JPEG"), is_image("._1.JPEG")
    (True, False)
    """
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def parts(name: str) -> Parts:
    r"""The parts of an entry's path, as they are compared.

    >>> parts("C:\\images\\val\\1.jpg"), parts("../val/./1.jpg")
    (('images', 'val', '1.jpg'), ('val', '1.jpg'))
    """
    text = re.sub(r"^[A-Za-z]:(?=[\\/])", "", unicodedata.normalize("NFC", name.strip()))
    return tuple(each for each in re.split(r"[\\/]+", text) if each not in ("", ".", ".."))


def matched(entries: Sequence[str], root: Parts, files: Iterable[tuple[Parts, P]]) -> Matches[P]:
    """The file that each entry means.

    Args:
        entries: paths or names; one without the suffix of an image may mean `<name>.JPEG`.
        root: the parts of the path of the folder that the files are in.
        files: the parts of each file's path below the root, and the file.

    >>> found = matched(["/data/train/1.jpg", "1.jpg"], ("x",), [(("train", "1.jpg"), "a")])
    >>> found.files, found.problems
    ({0: 'a'}, {1: 'it is listed before, under another path'})
    """
    root = tuple(unicodedata.normalize("NFC", each) for each in root)
    by_name: dict[str, list[tuple[Parts, P]]] = defaultdict(list)
    for below, path in files:
        key = tuple(unicodedata.normalize("NFC", each) for each in below)
        by_name[key[-1]].append((key, path))
        if is_image(key[-1]):
            by_name[PurePosixPath(key[-1]).stem].append((key, path))
    wanted = [parts(entry) for entry in entries]
    listed = Counter(each[-1] for each in wanted if each)
    problems: dict[int, str] = {}
    chosen: dict[int, tuple[int, Parts, P]] = {}
    for place, each in enumerate(wanted):
        agree = [
            (_agreement(each, root, key), key, path) for key, path in by_name.get(_name(each), ())
        ]
        best = max((length for length, _, _ in agree), default=0)
        nearest = [one for one in agree if one[0] == best]
        if not nearest:
            problems[place] = "there is no such file"
        elif len(nearest) > 1:
            problems[place] = f"it could be any of {len(nearest)} files of that name"
        elif best == 1 and len(each) > 1 and listed[each[-1]] > 1:
            problems[place] = "there is no such file, and its name alone is not unique in the list"
        else:
            chosen[place] = nearest[0]
    return Matches(*_each_once(chosen, problems))


def _name(wanted: Parts) -> str:
    return wanted[-1] if wanted else ""


def _agreement(wanted: Parts, root: Parts, below: Parts) -> int:
    """How many parts of two paths agree, from the end; most where all below the root do."""
    if wanted == below:
        return len(root) + len(below) + 1
    whole = (*root, *below)
    length = 1  # the name, or what comes before its suffix
    for one, other in zip(wanted[-2::-1], whole[-2::-1], strict=False):
        if one != other:
            break
        length += 1
    return length


def _each_once(
    chosen: dict[int, tuple[int, Parts, P]], problems: dict[int, str]
) -> tuple[dict[int, P], dict[int, str]]:
    """Keep for each file the entry that agrees best with its path; of several, the first."""
    takers: dict[Parts, int] = {}
    for place, (length, key, _) in chosen.items():
        other = takers.setdefault(key, place)
        if other == place:
            continue
        if chosen[other][0] >= length:
            problems[place] = "it is listed before, under another path"
        else:
            problems[other], takers[key] = "it is listed again, under another path", place
    files = {place: path for place, (_, _, path) in chosen.items() if place not in problems}
    return files, problems


def below(folder: ReadablePath, parts: Parts) -> ReadablePath:
    """The file of that path below a folder."""
    return folder / PurePosixPath(*parts)


def in_folder(
    folder: ReadablePath, entries: list[str]
) -> tuple[dict[int, ReadablePath], dict[int, str]]:
    """The file of each entry, by its place; and why others have none."""
    paths_below = [parts(entry) for entry in entries]
    plain = {
        place: below(folder, parts)
        for place, parts in enumerate(paths_below)
        if parts and ".." not in PurePosixPath(entries[place]).parts
    }
    once = len(set(paths_below)) == len(paths_below) == len(plain)
    if once and all(path.is_file() for path in plain.values()):
        return plain, {}
    literal = {entry: folder / PurePosixPath(entry) for entry in entries if "\\" in entry}
    found = matched(entries, PurePosixPath(str(folder)).parts, _walk(folder))
    for place, entry in enumerate(entries):
        if place in found.problems and entry in literal and literal[entry].is_file():
            found.files[place] = literal[entry]
            del found.problems[place]
    return found.files, found.problems


def _walk(folder: ReadablePath, above: Parts = ()) -> Iterator[tuple[Parts, ReadablePath]]:
    """All images in a folder and the folders in it, with their paths below it."""
    for each in paths.listing(folder):
        if is_image(each.name):
            yield (*above, each.name), each
        elif each.is_dir():
            yield from _walk(each, (*above, each.name))
