"""ImageNet's labels: from what a data set stores to one class index, and on to a graph's output.

A class index is the position, 0..999, of a class's synset among the 1000 of ILSVRC 2012 in sorted
order. Data sets store it as it is or plus one; graphs give 1000 scores, or 1001 with the background
first; and the ILSVRC devkit numbers the classes in an order of its own. Mixed up, accuracy is wrong
without any sign of it, so everything that can be checked is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from modelzoo_runner.errors import DataError

if TYPE_CHECKING:
    import numpy as np

Variant = Literal["slim", "tfds"]

CLASSES = 1000
FIRST_LABEL: Mapping[Variant, int] = {"slim": 1, "tfds": 0}
"""The label of class 0. Slim's, TensorFlow's and Intel's converters keep 0 for the background."""

ENDS: Mapping[str, int] = {"n01440764": 0, "n15075141": 999}
"""The first and the last synset (tench, toilet tissue), whose class index is beyond doubt."""

IMAGES: Mapping[str, int] = {
    "ILSVRC2012_val_00000001": 65,
    "ILSVRC2012_val_00000002": 970,
    "ILSVRC2012_val_00000003": 230,
    "ILSVRC2012_val_00000004": 809,
    "ILSVRC2012_val_00000005": 516,
}
"""The class indices of the first validation images, as every published list of them begins. The
devkit's numbers for them are 490, 361, 171, 822 and 297."""

SYNSET = re.compile(r"n\d{8}")


_FOREIGN = (
    "labels as the ILSVRC devkit numbers the classes, counted from another number, or made with "
    "some of the 1000 classes left out don't fit the published models"
)


class LabelError(ValueError):
    """A label that can't be right: its `position` among those given, and why."""

    def __init__(self, position: int, why: str) -> None:
        self.position = position
        super().__init__(why)


def label_rule(
    variant: Variant,
    labels: Sequence[int] | np.ndarray[Any, Any],
    *,
    synsets: Sequence[str] = (),
    names: Sequence[str] = (),
    known: Mapping[str, int] = ENDS,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The class index 0..999 of each label, int64.

    Where synsets are known they are the arbiter: class indices must rise as the synsets do. That
    tells the devkit's numbering, a shift by one, and a numbering made with a class left out. The
    first images of the validation set are known by name and tell the same.

    Args:
        variant: which convention the labels follow.
        labels: as the data set stores them.
        synsets: the synset of each label, "" where it isn't known; or none at all.
        names: the file name of each image; or none at all.
        known: class indices by synset, from labels seen before.

    Raises:
        LabelError: for a label that is outside the convention's range or contradicts a synset or
            a known image.

    >>> label_rule("slim", [1, 1000], synsets=["n01440764", "n15075141"])
    array([  0, 999])
    """
    import numpy as np

    first = FIRST_LABEL[variant]
    try:
        indices = np.asarray(labels, np.int64) - first
    except OverflowError:
        large = (each for each in enumerate(labels) if not -(2**63) <= each[1] < 2**63)
        position, label = next(large)
        raise LabelError(position, _outside(variant, label)) from None
    outside = np.flatnonzero((indices < 0) | (indices >= CLASSES))
    if outside.size:
        position = int(outside[0])
        label = int(indices[position]) + first
        raise LabelError(position, _outside(variant, label))
    _check_images(indices.tolist(), names, first)
    _check_order(indices.tolist(), synsets, known, first)
    return indices


def learned(
    indices: Iterable[int], synsets: Iterable[str], known: Mapping[str, int] = ENDS
) -> dict[str, int]:
    """`known` with what these labels tell: the class index of each synset."""
    pairs = dict(zip(synsets, (int(index) for index in indices), strict=False))
    pairs.pop("", None)
    return {**known, **pairs}


def synset_in(name: str) -> str:
    """The synset that a file name begins with, "" when it doesn't.

    >>> synset_in("n01440764_tench.JPEG")
    'n01440764'
    """
    found = SYNSET.match(name)
    return found.group() if found else ""


def score_index(
    class_index: Any, width: int, label_offset: int | None = None, *, is_asked: bool = False
) -> Any:
    """Where the score of a class is in a graph's output: one more when that has a background.

    Args:
        class_index: 0..999; a number or an array of them.
        width: of the output, 1000 or 1001, or with an offset that was asked for, more.
        label_offset: what to add to a label 1..1000 to get the place of its score.
        is_asked: the offset is the caller's, and not the preset's.

    Raises:
        DataError: for another width, or one that contradicts the preset.

    >>> score_index(0, 1000), score_index(0, 1001)
    (0, 1)
    """
    if is_asked and label_offset is not None:
        if not -1 <= label_offset < width - CLASSES:
            raise DataError(
                f"label_offset={label_offset}: the graph gives {width} scores, so that it can be "
                f"-1 to {width - CLASSES - 1}"
            )
        return class_index + 1 + label_offset
    if width not in (CLASSES, CLASSES + 1):
        raise DataError(
            f"the graph gives {width} scores; ImageNet's labels fit 1000, or 1001 with the "
            "background first. If there are more, say with label_offset= what is added to a label "
            "1..1000 to get the place of its score"
        )
    background = width - CLASSES
    if label_offset is not None and label_offset != background - 1:
        raise DataError(
            f"the graph gives {width} scores, which means label_offset = {background - 1}; the "
            f"preset says label_offset = {label_offset}"
        )
    return class_index + background


def _outside(variant: Variant, label: int) -> str:
    first = FIRST_LABEL[variant]
    text = f"label {label} is outside {first}..{first + CLASSES - 1}, as {variant} data has them"
    if label == -1:
        return f"{text}; -1 stands for no label"
    if label in (0, CLASSES):
        other = "0..999" if first else "1..1000"
        return f"{text}; it was made with labels {other}, so every class is off by one"
    return text


def _check_images(indices: Sequence[int], names: Sequence[str], first: int) -> None:
    for position, (name, index) in enumerate(zip(names, indices, strict=False)):
        expected = IMAGES.get(name.rpartition("/")[2].partition(".")[0], index)
        if index != expected:
            raise LabelError(
                position,
                f"label {index + first} can't be: this image has label {expected + first} when "
                f"classes are counted from {first} in the order of their synsets; {_FOREIGN}",
            )


def _check_order(
    indices: Sequence[int], synsets: Sequence[str], known: Mapping[str, int], first: int
) -> None:
    new = {pair for pair in zip(synsets, indices, strict=False) if pair[0]}
    if new <= known.items():
        return
    rows = sorted(new | set(known.items()))
    for (synset, index), (after, index_after) in itertools.pairwise(rows):
        if index_after > index and after != synset:
            continue
        wrong = (after, index_after) if (after, index_after) in new else (synset, index)
        why = (
            f"synset {synset} has label {index + first} and synset {after} has label "
            f"{index_after + first}: labels should rise as the synsets do when sorted, from "
            f"{first} for {min(ENDS)}; {_FOREIGN}"
        )
        position = list(zip(synsets, indices, strict=False)).index(wrong)
        raise LabelError(position, why)
