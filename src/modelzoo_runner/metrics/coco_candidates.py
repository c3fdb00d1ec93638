"""The ways in which a detector may number its classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.values.coco_categories import NAMES, ORDERED
from modelzoo_runner.values.coco_instances import Id, identifier
from modelzoo_runner.values.plan import Plan

Categories = Mapping[Id, str]
"""Category id -> name, sorted by id."""

Match = tuple[Id, frozenset[Id]]
"""The class of a detection, and the categories of the object it lies on."""

BACKGROUND = frozenset({"background", "bg", "none", "unlabeled"})

ALIASES: Mapping[str, str] = {
    "motorbike": "motorcycle", "aeroplane": "airplane", "airplanes": "airplane", "sofa": "couch",
    "tvmonitor": "tv", "television": "tv", "hairdryer": "hairdrier", "doughnut": "donut",
    "mobilephone": "cellphone",
}  # fmt: skip
"""Other names of COCO's categories, as Pascal VOC and others have them."""

BY_NAME = "the categories sorted by name"


@dataclass(frozen=True)
class Numbering:
    """A way to read classes: its name, and the category of each class that has one."""

    name: str
    categories: Mapping[Any, Id]


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """What a caller says about classes.

    `label_map` is class -> name, `label_offset` what is added to a category's id to get its class,
    `category_names` gives categories, by name or id, the names that the label map has. Keys are
    ids, as text too.
    """

    label_map: Mapping[str, str] | None = None
    label_offset: int | None = None
    category_names: Mapping[str, str] | None = None

    @property
    def say_numbering(self) -> bool:
        """Whether they say how classes are numbered."""
        return self.label_map is not None or self.label_offset is not None

    @classmethod
    def of(cls, plan: Plan) -> LabelOptions:
        """What a plan says about classes."""
        return cls(**{each.name: getattr(plan, each.name) for each in fields(cls)})


def normal(name: str) -> str:
    """A name as it is compared: `Hot_dog` is `hot dog`.

    >>> normal("Hot_dog"), normal("tvmonitor")
    ('hotdog', 'tv')
    """
    text = re.sub(r"[\W_]+", "", name.casefold())
    return ALIASES.get(text, text)


def candidates(names: Categories, matches: Sequence[Match]) -> list[Numbering]:
    """The numberings that could be meant; the annotations' own ids first."""
    used = frozenset().union(*(categories for _, categories in matches))
    ids = [each for each in names if each in used or normal(names[each]) not in BACKGROUND]
    by_name = {normal(names[each]): each for each in reversed(ids)}
    alphabetical = sorted(ids, key=names.__getitem__)
    whole = [each for each in ids if isinstance(each, int)]
    coco = _coco(ids, names, by_name)
    found: dict[str, Mapping[Any, Id]] = {
        "the annotations' category ids": {each: each for each in ids},
        "names": {names[each]: each for each in ids},
    }
    if coco:
        found["COCO's ids, by name"] = coco
        found |= _counted("COCO's 80 categories", [coco.get(each) for each in ORDERED])
        found["COCO's ids less 1, by name"] = {each - 1: known for each, known in coco.items()}
    found |= _counted("the annotations' categories", ids)
    found["the annotations' ids less 1"] = {each - 1: each for each in whole}
    found["the annotations' ids plus 1"] = {each + 1: each for each in whole}
    found |= _counted(BY_NAME, alphabetical)
    return [Numbering(*each) for each in found.items()]


def _counted(what: str, ids: Sequence[Id | None]) -> dict[str, Mapping[Any, Id]]:
    return {
        f"{what} counted from {start}": {
            place: each for place, each in enumerate(ids, start) if each is not None
        }
        for start in (0, 1)
    }


def _coco(ids: Sequence[Id], names: Categories, by_name: Mapping[str, Id]) -> dict[int, Id]:
    """COCO id -> category, where most of the annotations' names are COCO's."""
    found = {k: by_name[normal(name)] for k, name in NAMES.items() if normal(name) in by_name}
    if 2 * len(found) < len(ids) or not found:
        return {}
    # What COCO calls otherwise keeps its id: "tvmonitor" 72.
    left = set(ids) - set(found.values())
    return found | {each: each for each in left if isinstance(each, int) and each not in found}


def renamed(categories: Categories, names: Mapping[str, str] | None) -> Categories:
    """The categories, some of them under other names.

    Raises:
        RequestError: a name or id is no category's.
    """
    if not names:
        return categories
    known: dict[str, Id] = {str(each): each for each in categories}
    known |= {name: each for each, name in categories.items()}
    strange = [each for each in names if each not in known]
    if strange:
        raise RequestError(
            f"category_names={dict(names)!r}: {strange[0]!r} is no category of the annotations. "
            f"{did_you_mean(str(strange[0]), categories.values(), otherwise='There are')}"
        )
    return {**categories, **{known[each]: name for each, name in names.items()}}


def given(categories: Categories, options: LabelOptions) -> Numbering | None:
    """The numbering that the caller says, if they do.

    Raises:
        RequestError: it fits no category.
    """
    names = renamed(categories, options.category_names)
    offset = options.label_offset
    if options.label_map is None:
        if offset is None:
            return None
        own = {each + offset: each for each in names if isinstance(each, int)}
        return Numbering(f"the annotations' ids plus label_offset={offset}", own)
    by_name = {normal(name): each for each, name in names.items()}
    labels = {identifier(label): name for label, name in options.label_map.items()}
    found = {
        (label + (offset or 0) if isinstance(label, int) else label): by_name[normal(name)]
        for label, name in labels.items()
        if normal(name) in by_name
    }
    if not found:
        raise RequestError(
            f"label_map: none of its {len(options.label_map)} names is a category of the "
            f"annotations ({', '.join(list(names.values())[:5])}, ...). category_names= renames "
            "those."
        )
    return Numbering("label_map=", found)
