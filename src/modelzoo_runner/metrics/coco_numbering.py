"""Decides how a detector numbers its classes: which class is which ground-truth category.

A detector trained on COCO gives COCO's own ids, 1 to 90 with ten unused; others count the
categories through, from 0 or from 1, in the order of their ids or of their names; and a data set of
one's own may number the same names otherwise. Scored in the wrong numbering a good detector looks
nearly worthless. So each numbering that could be meant is held against the ground truth: in the
right one, the classes of detections are the categories of the objects they lie on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics.coco_candidates import (
    BY_NAME,
    Categories,
    LabelOptions,
    Match,
    Numbering,
    candidates,
    given,
    renamed,
)
from modelzoo_runner.values.coco_instances import Id

if TYPE_CHECKING:
    import numpy as np

DECISIVE = 5
"""So many more detections must agree with a numbering, and three times as many, before it is taken
instead of the annotations' own ids; a few agree with one of a dozen numberings by accident."""

FEW = 2
"""Fewer detections on objects show nothing about a numbering that fits none of them."""

LEAST_AGREEMENT = 0.4
"""The share of the best detections on an object that even a poor detector has right: a MobileNet
SSD with an AP of 0.28 has 0.86."""

ADVICE = (
    "Give label_map= (a .pbtxt, a list of names from class 0 on, or class -> name); label_offset=0 "
    "insists on the annotations' own ids."
)


@dataclass(frozen=True)
class Decision:
    """The numbering that was taken, why, and what is doubtful about it."""

    numbering: Numbering
    why: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Compared:
    """The numberings that could be meant, and which matches agree with each.

    Attributes:
        names: of the annotations' categories, as the caller renames them.
        matches: of the best detections that lie on objects.
        numberings: k that differ for the classes that are there; the usual one, or the one that the
            caller says, first.
        agree: bool [k, matches].
        is_asked: the caller says the numbering.
    """

    names: Categories
    matches: Sequence[Match]
    numberings: Sequence[Numbering]
    agree: np.ndarray
    is_asked: bool

    @property
    def counts(self) -> list[int]:
        """How many matches agree with each numbering."""
        return [int(each) for each in self.agree.sum(axis=1)]

    @property
    def best(self) -> int:
        """The number of the numbering that most matches agree with, the first of equal ones."""
        return int(self.agree.sum(axis=1).argmax())

    @property
    def likeliest(self) -> Numbering:
        """What `decided` takes, or would take if it could be told."""
        return self.numberings[0 if self.is_asked else self.best]

    def said(self, number: int) -> str:
        """How many matches agree with a numbering, in words."""
        return (
            f"{self.counts[number]} of the {len(self.matches)} best detections on an object agree"
        )


def compared(
    classes: Iterable[Id], categories: Categories, matches: Sequence[Match], options: LabelOptions
) -> Compared:
    """What the detections show about each numbering of their classes.

    Args:
        classes: of the detections whose score counts.
        categories: of the annotations.
        matches: of the best detections that lie on objects.
        options: what the caller says.

    Raises:
        RequestError: an option fits nothing.
    """
    import numpy as np

    seen = sorted(set(classes), key=str)
    asked = given(categories, options)
    names = renamed(categories, options.category_names)
    distinct: dict[tuple[Id | None, ...], Numbering] = {}
    for each in (*([asked] if asked else []), *candidates(names, matches)):
        distinct.setdefault(tuple(map(each.categories.get, seen)), each)
    numberings = list(distinct.values())
    agree = [[each.categories.get(label) in own for label, own in matches] for each in numberings]
    return Compared(names, matches, numberings, np.array(agree, bool), options.say_numbering)


def decided(found: Compared, score: Callable[[Numbering], float]) -> Decision:
    """The numbering of the classes; `score` is the AP under one, for the messages.

    Raises:
        DataError: several numberings could be meant, or none fits; shows what each would score.
    """
    counts, best = found.counts, found.best
    chosen = found.likeliest
    if found.is_asked:
        why = f"as asked; {found.said(0)}"
        if counts[best] - counts[0] < DECISIVE or counts[best] < 3 * counts[0]:
            return Decision(chosen, why)
        said = (
            f"classes are read by {chosen.name} as asked, in which {found.said(0)} with it; with "
            f"{found.numberings[best].name} {counts[best]} would"
        )
        return Decision(chosen, why, (said,))
    if not found.matches:
        return Decision(chosen, "no detection lies on an object")
    odd = _refuse_unlike(found, score)
    others = [number for number in range(len(counts)) if number != best]
    rivals = [number for number in others if not _is_beaten(found, number)]
    if rivals:
        shown = "; ".join(
            f"{found.numberings[each].name}: AP {score(found.numberings[each]):.3f} "
            f"({counts[each]} of {len(found.matches)} detections agree)"
            for each in (best, *rivals)
        )
        raise DataError(f"how the detector numbers its classes can't be told. {shown}. {ADVICE}")
    why = found.said(best)
    if others:
        why += f", with the next numbering {max(counts[each] for each in others)}"
    warnings = [] if best == 0 else [f"classes are read as {chosen.name}: {why}"]
    if not counts[best]:
        warnings.append(f"{why}. {ADVICE}")
    return Decision(chosen, why, (*warnings, *odd))


def _is_beaten(found: Compared, other: int) -> bool:
    """Whether the classes that another numbering reads otherwise show clearly that it is wrong."""
    best, agree = found.best, found.agree
    ours = int((agree[best] & ~agree[other]).sum())
    theirs = int((agree[other] & ~agree[best]).sum())
    if best == 0 or not ours + theirs:
        return ours >= 2 * theirs
    needed = 1
    if other == 0:
        own, usual = (found.numberings[each].categories for each in (best, 0))
        apart = [label for label, _ in found.matches if own.get(label) != usual.get(label)]
        unknown = sum(label not in usual for label in apart)
        needed = DECISIVE if theirs or 2 * unknown <= len(apart) else FEW + 1
    return ours >= 3 * theirs and ours - theirs >= needed


def _usual(matches: Sequence[Match]) -> dict[Id, tuple[Id, int, int]]:
    """Of each class, the category it lies on most, how often, and how often it lies on any."""
    counts: dict[Id, Counter[Id]] = defaultdict(Counter)
    for label, categories in matches:
        counts[label].update(categories)
    totals = Counter(label for label, _ in matches)
    return {label: (*found.most_common(1)[0], totals[label]) for label, found in counts.items()}


def _refuse_unlike(found: Compared, score: Callable[[Numbering], float]) -> tuple[str, ...]:
    """Refuse classes that hardly ever are the category of the object they lie on.

    Or that are another category again and again: of two detections of one class, how often do they
    lie on the same category, and of two on the same category, how often are they of one class?
    Always, if classes are categories at all. Single classes that never lie on their own category
    but again and again on one other are refused if they matter, and else warned about.
    """
    chosen, agree, matches = found.likeliest, found.counts[found.best], found.matches
    pairs = Counter((label, min(categories, key=str)) for label, categories in matches)
    together = _two_of(pairs.values())
    alike = [_two_of(Counter(pair[side] for pair in pairs.elements()).values()) for side in (0, 1)]
    permuted = together > FEW and together >= 0.6 * max(alike) and 2 * agree < len(matches)
    usual = _usual(matches)
    right = Counter(label for label, own in matches if chosen.categories.get(label) in own)
    there = frozenset().union(*(categories for _, categories in matches))
    odd = {
        label: (category, count, total)
        for label, (category, count, total) in usual.items()
        if 10 * right[label] <= total
        and count > FEW
        # Of a category without objects all lie on others, but hardly on one again and again.
        and (
            count >= 0.6 * total
            if chosen.categories.get(label) in there
            else count >= 0.9 * total and count > 0.2 * len(matches) and len(there) > 1
        )
    }
    lost = sum(total for _, _, total in odd.values())
    # In the order of names, a numbering of nobody's easily has half of its classes.
    least = 1.5 * LEAST_AGREEMENT if chosen.name.startswith(BY_NAME) else LEAST_AGREEMENT
    poor = len(matches) >= FEW and agree < least * len(matches)
    if permuted or poor or 10 * lost > len(matches):
        raise DataError(
            f"the detector's classes fit no numbering known here: {found.said(found.best)} with "
            f"{chosen.name} (AP {score(chosen):.3f}); {_pairs(odd or usual, found.names)}. {ADVICE}"
        )
    if not odd:
        return ()
    said = f"some classes lie on other categories than their own: {_pairs(odd, found.names)}"
    return (f"{said}. {ADVICE}",)


def _two_of(counts: Iterable[int]) -> int:
    """How many pairs can be drawn from groups of these sizes."""
    return sum(count * (count - 1) // 2 for count in counts)


def _pairs(usual: Mapping[Id, tuple[Id, int, int]], names: Categories) -> str:
    often = sorted(usual.items(), key=lambda each: -each[1][1])[:3]
    return ", ".join(
        f"class {label} lies on {names[category]!r} ({count} of {total})"
        for label, (category, count, total) in often
    )
