"""Which image is of which class, before there are record files.

People have folders named by synset, images named by synset, or lists: Caffe's and MLPerf's of file
names and numbers, TF-slim's of one synset for each image, Kaggle's of synsets and boxes, the script
that moves images into folders, Keras's and torchvision's JSON.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner.data import labels, match, paths
from modelzoo_runner.data.labels import CLASSES, SYNSET, LabelError
from modelzoo_runner.errors import DataError, did_you_mean

WANTED = (
    "the 1000 synsets, one a line ('n01440764' or 'n01440764 tench, Tinca tinca'); or a list with "
    "'<file name> <label>' in each line, where the label is 0..999 or a synset; or the synset of "
    "each image in the order of their names, one a line"
)

_MOVE = re.compile(rf"mv\s+(\S+)\s+(?:\S*/)?({SYNSET.pattern})/?")
_SYNSET_LINE = re.compile(rf"({SYNSET.pattern})(?:[\s:,]+(.*))?")
_LIST_LINE = re.compile(rf"(.+?)[\s,]+(\d+|{SYNSET.pattern})")


@dataclass(frozen=True)
class LabelledImage:
    """An image file and its class index 0..999; synset and words ("tench, ...") where known."""

    path: Path
    class_index: int
    synset: str = ""
    text: str = ""


@dataclass(frozen=True)
class _Classes:
    """The synsets in their order, and the words of those that have some."""

    synsets: tuple[str, ...]
    texts: dict[str, str]

    def index(self, synset: str, of: object) -> int:
        try:
            return self.synsets.index(synset)
        except ValueError:
            near = did_you_mean(synset, self.synsets[:3], otherwise="they begin with")
            raise DataError(
                f"{of}: synset {synset} isn't one of the {CLASSES} of ILSVRC 2012 in the labels "
                f"file; {near}"
            ) from None


def labelled_images(folder: Path, labels_file: Path) -> tuple[list[LabelledImage], int]:
    """The images that `labels_file` gives a class, and how many others are in `folder`.

    Args:
        folder: folders named by synset with images in them, or images; those that aren't named
            by their synset either need a list.
        labels_file: the 1000 synsets, a list of file names and labels, or the synset of each image
            in the order of their names.

    Raises:
        DataError: for an image whose class can't be told or a line that can't be used; and for
            labels that are outside 0..999 or count the classes in another order.
    """
    files = _image_files(folder)
    lines = _entries(labels_file)
    synset_lines = [_SYNSET_LINE.fullmatch(line) for _, line in lines]
    if all(synset_lines):
        found = _by_synset(files, labels_file, [line for line in synset_lines if line])
    elif all(line.isdigit() for _, line in lines):
        raise DataError(
            f"{labels_file}: numbers without file names, as the ILSVRC devkit's "
            "validation_ground_truth.txt has them. The devkit numbers the classes in an order of "
            "its own, which no published model uses, so accuracy would be near zero. Give a list "
            "'<file name> <label>' with labels 0..999 in the order of the sorted synsets (Caffe's "
            "val.txt), or with synsets."
        )
    else:
        found = _by_list(files, folder, labels_file, lines)
    _check(found, labels_file)
    return found, len(files) - len(found)


def _image_files(folder: Path) -> dict[str, Path]:
    """The images by their path inside the folder, sorted."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of images.")
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if match.is_image(path.name) and path.is_file()
    }
    if not files:
        raise DataError(f"{folder}: no images in it (looked for *{', *'.join(match.SUFFIXES)}).")
    return files


def _entries(path: Path) -> list[tuple[int, str]]:
    """The lines with something in them, and their numbers from 1, as one of the `WANTED` forms."""
    text = _text(path)
    if path.suffix == ".json":
        return _from_json(path, text)
    found = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [(number, line) for number, line in found if line]
    if not found:
        raise DataError(f"{path}: nothing in it. Needed: {WANTED}.")
    first = found[0][1].casefold().replace(" ", "")
    if first == "imageid,predictionstring":  # Kaggle's: "<name>,<synset> <box> <synset> <box> ..."
        return [(number, _kaggle(path, number, line)) for number, line in found[1:]]
    is_plain = _SYNSET_LINE.fullmatch(found[0][1]) or _LIST_LINE.fullmatch(found[0][1])
    if not is_plain and "," in found[0][1]:
        return _from_csv(path, found)
    moves = [(number, _MOVE.fullmatch(line)) for number, line in found]
    if any(move for _, move in moves):
        return [(number, f"{move[1]} {move[2]}") for number, move in moves if move]
    return found


def _text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 as Windows writes it with a byte order mark."""
    data = paths.read_bytes(path)
    is_utf_16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file. Needed: {WANTED}.") from None


def _kaggle(path: Path, number: int, line: str) -> str:
    name, _, objects = line.partition(",")
    synsets = set(SYNSET.findall(objects))
    if len(synsets) != 1:
        raise DataError(f"{path}: line {number}: {line[:60]!r} should name one synset.")
    return f"{name.strip()} {synsets.pop()}"


def _from_csv(path: Path, lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first two columns of a CSV file; without its header, if it has one."""
    rows = list(zip((n for n, _ in lines), csv.reader(line for _, line in lines), strict=True))
    pairs = [(number, [cell.strip() for cell in row[:2]]) for number, row in rows]
    if len(pairs) > 1 and not _is_label(pairs[0][1][-1]):
        del pairs[0]
    return [(number, " ".join(cells)) for number, cells in pairs]


def _is_label(text: str) -> bool:
    return text.isdigit() or SYNSET.fullmatch(text) is not None


def _from_json(path: Path, text: str) -> list[tuple[int, str]]:
    """A list as JSON: Keras's class -> [synset, word], or file name -> label."""
    try:
        content = json.loads(text)
        pairs = [
            f"{value[0]} {value[1]}" if isinstance(value, list) else f"{key} {value}"
            for key, value in content.items()
        ]
    except (ValueError, AttributeError, IndexError, RecursionError):
        raise DataError(f"{path}: not JSON of labels. Needed: {WANTED}.") from None
    if all(key.isdigit() and isinstance(value, list) for key, value in content.items()):
        pairs = [pair for _, pair in sorted(zip(map(int, content), pairs, strict=True))]
    return list(enumerate(pairs, start=1))


def _by_synset(
    files: dict[str, Path], labels_file: Path, lines: Sequence[re.Match[str]]
) -> list[LabelledImage]:
    """The class of each image from its folder's or its own name."""
    synsets = [line[1] for line in lines]
    if len(synsets) == len(files) and len(set(synsets)) < len(synsets):
        # TF-slim's list: the classes repeat, one line for each image.
        classes = _classes(labels_file, sorted(set(synsets)))
        pairs = zip(files.values(), synsets, strict=True)
        return [LabelledImage(path, classes.index(each, path), each) for path, each in pairs]
    classes = _classes(labels_file, synsets, [line[2] or "" for line in lines])
    found = []
    for path in files.values():
        synset = _synset_of(path)
        if not synset:
            raise DataError(
                f"{path}: its class can't be told: neither its folder nor its name begins with a "
                f"synset such as n01440764. Give a list as labels: '<file name> <label>'."
            )
        index = classes.index(synset, path)
        found.append(LabelledImage(path, index, synset, classes.texts[synset]))
    return found


def _by_list(
    files: dict[str, Path], folder: Path, labels_file: Path, lines: Sequence[tuple[int, str]]
) -> list[LabelledImage]:
    """The class of each image that the list names."""
    entries = []
    for number, line in lines:
        parts = _LIST_LINE.fullmatch(line)
        if parts is None:
            raise DataError(f"{labels_file}: line {number}: {line[:60]!r}. Needed: {WANTED}.")
        entries.append((number, parts[1], parts[2]))
    below = [(tuple(Path(name).parts), path) for name, path in files.items()]
    found = match.matched([name for _, name, _ in entries], folder.absolute().parts, below)
    for place, why in found.problems.items():
        if "listed" in why:
            number, name, _ = entries[place]
            raise DataError(f"{labels_file}: line {number}: {name}: {why}.")
    if found.problems:
        said = [f"{entries[place][1]} ({why})" for place, why in found.problems.items()]
        raise DataError(
            f"{labels_file}: {len(said)} of {len(lines)} listed images aren't in {folder}: "
            f"{', '.join(said[:3])}{' ...' if len(said) > 3 else ''}"
        )
    pairs = {path: entries[place][2] for place, path in found.files.items()}
    if all(label.isdigit() for label in pairs.values()):
        return [LabelledImage(path, int(label), _synset_of(path)) for path, label in pairs.items()]
    if any(label.isdigit() for label in pairs.values()):
        raise DataError(f"{labels_file}: some labels are numbers and some synsets. Use one kind.")
    classes = _classes(labels_file, sorted(set(pairs.values())))
    return [LabelledImage(path, classes.index(s, path), s) for path, s in pairs.items()]


def _classes(labels_file: Path, synsets: Sequence[str], texts: Sequence[str] = ()) -> _Classes:
    distinct = sorted(set(synsets))
    if len(distinct) != CLASSES or len(synsets) != CLASSES:
        raise DataError(
            f"{labels_file}: {len(distinct)} different synsets in {len(synsets)} lines, should be "
            f"{CLASSES}: a class index is a synset's position among all of them, sorted. "
            f"Needed: {WANTED}."
        )
    words = texts or ("",) * len(synsets)
    return _Classes(tuple(distinct), dict(zip(synsets, words, strict=True)))


def _synset_of(path: Path) -> str:
    return path.parent.name if SYNSET.fullmatch(path.parent.name) else labels.synset_in(path.name)


def _check(found: Sequence[LabelledImage], labels_file: Path) -> None:
    """Hold the labels against what is known of synsets and images."""
    try:
        labels.label_rule(
            "tfds",  # whose labels are class indices
            [each.class_index for each in found],
            synsets=[each.synset for each in found],
            names=[each.path.name for each in found],
        )
    except LabelError as error:
        raise DataError(f"{labels_file}: {found[error.position].path.name}: {error}.") from None
