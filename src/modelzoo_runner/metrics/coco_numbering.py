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

from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics.coco_candidates import (
    BY_NAME,
    Categories,
    LabelOptions,
    Match,
    Numbering,
    candidates,
    distinct,
    given,
    renamed,
)
from modelzoo_runner.values.coco_instances import Id

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


def decided(
    classes: Iterable[Id],
    categories: Categories,
    matches: Sequence[Match],
    options: LabelOptions,
    score: Callable[[Numbering], float],
) -> Decision:
    """The numbering of these classes.

    Args:
        classes: of the detections whose score counts.
        categories: of the annotations.
        matches: of the best detections that lie on objects.
        options: what the caller says.
        score: the AP under a numbering, for the message where it can't be told.

    Raises:
        RequestError: an option fits nothing.
        DataError: several numberings could be meant, or none fits; shows what each would score.
    """
    numberings, agree = _compared(classes, categories, matches, options)
    names = renamed(categories, options.category_names)
    best = _likeliest(agree)
    if options.say_numbering:
        return _as_given(numberings, agree, matches)
    rivals = [
        place
        for place, each in enumerate(numberings)
        if place != best and not _is_beaten(numberings[best], each, matches, numberings[0])
    ]
    chosen = numberings[best]
    if not matches:
        return Decision(chosen, "no detection lies on an object")
    odd = _refuse_unlike(chosen, names, matches, score)
    if rivals:
        raise _ambiguous([numberings[place] for place in (best, *rivals)], matches, score)
    why = f"{agree[best]} of the {len(matches)} best detections on an object agree"
    if len(numberings) > 1:
        next_best = max((n for place, n in enumerate(agree) if place != best), default=0)
        why += f", with the next numbering {next_best}"
    warnings = [] if best == 0 else [f"classes are read as {chosen.name}: {why}"]
    if not agree[best]:
        warnings.append(f"{why}. {ADVICE}")
    return Decision(chosen, why, (*warnings, *odd))


def likeliest(
    classes: Iterable[Id],
    categories: Categories,
    matches: Sequence[Match],
    options: LabelOptions,
) -> Numbering:
    """What `decided` would take if it could be told."""
    numberings, agree = _compared(classes, categories, matches, options)
    return numberings[0 if options.say_numbering else _likeliest(agree)]


def _compared(
    classes: Iterable[Id],
    categories: Categories,
    matches: Sequence[Match],
    options: LabelOptions,
) -> tuple[list[Numbering], list[int]]:
    """The numberings that differ for these classes, and how many matches agree with each."""
    seen = sorted(set(classes), key=str)
    asked = given(categories, options)
    others = candidates(renamed(categories, options.category_names), matches)
    numberings = distinct([*([asked] if asked else []), *others], seen)
    return numberings, [sum(_fits(each, match) for match in matches) for each in numberings]


def _likeliest(agree: Sequence[int]) -> int:
    return max(range(len(agree)), key=agree.__getitem__)


def _fits(numbering: Numbering, match: Match) -> bool:
    label, categories = match
    return numbering.categories.get(label) in categories


def _as_given(
    numberings: Sequence[Numbering], agree: Sequence[int], matches: Sequence[Match]
) -> Decision:
    chosen, warnings = numberings[0], tuple[str, ...]()
    best = _likeliest(agree)
    if agree[best] - agree[0] >= DECISIVE and agree[best] >= 3 * agree[0]:
        warnings = (
            f"classes are read by {chosen.name} as asked, in which {agree[0]} of the "
            f"{len(matches)} best detections on an object agree with it; with "
            f"{numberings[best].name} {agree[best]} would",
        )
    why = f"as asked; {agree[0]} of the {len(matches)} best detections on an object agree"
    return Decision(chosen, why, warnings)


def _is_beaten(
    best: Numbering, other: Numbering, matches: Sequence[Match], prior: Numbering
) -> bool:
    """Whether the classes that the two read otherwise show clearly which is right."""
    apart = [
        match
        for match in matches
        if best.categories.get(match[0]) != other.categories.get(match[0])
    ]
    ours = sum(_fits(best, match) and not _fits(other, match) for match in apart)
    theirs = sum(_fits(other, match) and not _fits(best, match) for match in apart)
    if best is prior or not ours + theirs:
        return ours >= 2 * theirs
    needed = 1
    if other is prior:
        unknown = sum(match[0] not in other.categories for match in apart)
        needed = DECISIVE if theirs or 2 * unknown <= len(apart) else FEW + 1
    return ours >= 3 * theirs and ours - theirs >= needed


def _ambiguous(
    numberings: Sequence[Numbering],
    matches: Sequence[Match],
    score: Callable[[Numbering], float],
) -> DataError:
    shown = "; ".join(
        f"{each.name}: AP {score(each):.3f} "
        f"({sum(_fits(each, match) for match in matches)} of {len(matches)} detections agree)"
        for each in numberings
    )
    return DataError(f"how the detector numbers its classes can't be told. {shown}. {ADVICE}")


def _usual(matches: Sequence[Match]) -> dict[Id, tuple[Id, int, int]]:
    """Of each class, the category it lies on most, how often, and how often it lies on any."""
    counts: dict[Id, Counter[Id]] = defaultdict(Counter)
    for label, categories in matches:
        counts[label].update(categories)
    totals = Counter(label for label, _ in matches)
    return {label: (*found.most_common(1)[0], totals[label]) for label, found in counts.items()}


def _refuse_unlike(
    chosen: Numbering,
    names: Categories,
    matches: Sequence[Match],
    score: Callable[[Numbering], float],
) -> tuple[str, ...]:
    """Refuse classes that hardly ever are the category of the object they lie on.

    Or that are another category again and again: of two detections of one class, how often do they
    lie on the same category, and of two on the same category, how often are they of one class?
    Always, if classes are categories at all. Single classes that never lie on their own category
    but again and again on one other are refused if they matter, and else warned about.
    """
    agree = sum(_fits(chosen, match) for match in matches)
    pairs = Counter((label, min(found, key=str)) for label, found in matches)
    together = _two_of(pairs.values())
    alike = [_two_of(Counter(pair[side] for pair in pairs.elements()).values()) for side in (0, 1)]
    permuted = together > FEW and together >= 0.6 * max(alike) and 2 * agree < len(matches)
    usual = _usual(matches)
    right = Counter(label for label, found in matches if chosen.categories.get(label) in found)
    there = frozenset().union(*(found for _, found in matches))
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
            f"the detector's classes fit no numbering known here: {agree} of the {len(matches)} "
            f"best detections on an object agree with {chosen.name} (AP {score(chosen):.3f}); "
            f"{_pairs(odd or usual, names)}. {ADVICE}"
        )
    if not odd:
        return ()
    return (f"some classes lie on other categories than their own: {_pairs(odd, names)}. {ADVICE}",)


def _two_of(counts: Iterable[int]) -> int:
    """How many pairs can be drawn from groups of these sizes."""
    return sum(count * (count - 1) // 2 for count in counts)


def _pairs(usual: Mapping[Id, tuple[Id, int, int]], names: Categories) -> str:
    often = sorted(usual.items(), key=lambda each: -each[1][1])[:3]
    return ", ".join(
        f"class {label} lies on {names[category]!r} ({count} of {total})"
        for label, (category, count, total) in often
    )
