"""How a detector numbers its classes.

A detector trained on COCO gives COCO's own ids, 1 to 90 with ten unused; some tools count the 80
categories through instead, from 0 or from 1. Scored in the wrong numbering a good detector looks
nearly worthless, so the numbering is told from the ids themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.errors import DataError
from modelzoo_runner.values.coco_categories import NAMES, ORDERED

if TYPE_CHECKING:
    import numpy as np

STRAY = 0.01
"""The largest share of detections in ids unknown to COCO that is taken for noise.

A detector with 90 outputs gives such an id now and then, with a low score; one that counts the
categories through gives about one in ten of its detections in them.
"""

COUNTED: Mapping[int, str] = {
    number: NAMES[category] for number, category in enumerate(ORDERED, start=1)
}
"""COCO's categories counted through from 1: number -> name."""


def as_categories(
    classes: np.ndarray, names: Mapping[int, str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The category of each detection, and what there is to say about it.

    Classes that are no category at all are left as they are: COCO's rule is to ignore them.

    Args:
        classes: int64 [n], as the detector numbers them.
        names: category id -> name, of the annotations.

    Raises:
        DataError: the annotations are of COCO's categories, but detections and annotations don't
            number them alike, and how the detections do can't be told.

    >>> import numpy as np
    >>> categories, warnings = as_categories(np.array([0, 11, 79]), NAMES)
    >>> categories.tolist(), warnings[0][:28]
    ([1, 13, 90], 'classes are numbered 0 to 79')
    """
    import numpy as np

    strange = classes[~np.isin(classes, list(names))]
    if not strange.size:
        return classes, ()
    if names.items() <= NAMES.items():
        unused = classes[~np.isin(classes, ORDERED)]
        if unused.size > STRAY * classes.size:
            return _counted_through(classes, unused)
    elif names.items() <= COUNTED.items() and classes.max() > len(COUNTED):
        raise DataError(
            f"the annotations count COCO's 80 categories through (12 is {COUNTED[12]!r}), and the "
            f"detections don't: their classes go up to {classes.max()}. Give annotations with "
            f"COCO's own ids (13 is {NAMES[13]!r})."
        )
    return classes, (
        f"{strange.size} of {classes.size} detections are in classes that are no category of the "
        f"annotations ({_listed(strange)}): ignored, as COCO does",
    )


def _counted_through(classes: np.ndarray, unused: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The categories of detections that have too many ids unknown to COCO to be in COCO's ids."""
    import numpy as np

    first, last = int(classes.min()), int(classes.max())
    start = 0 if first == 0 else 1
    end = start + len(ORDERED) - 1
    share = f"{unused.size} of {classes.size} detections are in ids that COCO doesn't use"
    if first < start or last > end:
        raise DataError(
            f"{share} ({_listed(unused)}), so the classes, {first} to {last}, are not COCO's ids; "
            "nor are they its 80 categories counted through. Give detections with COCO's ids."
        )
    return np.asarray(ORDERED)[classes - start], (
        f"classes are numbered {start} to {end}: taken as COCO's 80 categories counted through, "
        f"because {share} ({_listed(unused)})",
    )


def _listed(ids: np.ndarray) -> str:
    distinct = sorted({int(each) for each in ids})
    return ", ".join(map(str, distinct[:5])) + (", ..." if len(distinct) > 5 else "")
