"""The forms in which detectors give boxes, and telling which one is meant.

The form is told by the ground truth: in the right one, detections lie on objects. Whether boxes
reach over the border of the image (are clipped or not) doesn't matter for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, get_args

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.values.options import BoxFormat

if TYPE_CHECKING:
    import numpy as np

COCO: BoxFormat = "pixel_xywh"
"""Of COCO's results format."""

TENSORFLOW: BoxFormat = "normalized_yxyx"
"""Of a graph exported by the TensorFlow Object Detection API."""

FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)

LARGEST_SHARE = 2.0
"""A coordinate beyond this many times the image's side is no share: unclipped boxes reach over the
border, but hardly by a whole image."""


NOTICEABLE = 0.7
"""By so much IoU another form has to fit better, summed over boxes, before it is considered: less
is an accident; an object hit in a wrong form is hit badly."""


NOTHING = "none of the best detections lies on an object"


def converted(boxes: np.ndarray, form: BoxFormat, sizes: np.ndarray) -> np.ndarray:
    """The boxes as x, y, width, height in pixels, float64 [n, 4].

    Args:
        boxes: [n, 4], in that form.
        form: of the boxes.
        sizes: [n, 2], width and height in pixels of the image that each box is in.

    >>> import numpy as np
    >>> converted(np.array([[0, 0.5, 1, 1]]), "normalized_yxyx", np.array([[80, 40]]))
    array([[40.,  0., 40., 40.]])
    """
    import numpy as np

    if form == COCO:
        return np.asarray(boxes, np.float64)
    unit, _, order = form.partition("_")
    first, second = np.hsplit(np.asarray(boxes, np.float64), 2)
    if order == "yxyx":
        first, second = first[:, ::-1], second[:, ::-1]
    if unit == "normalized":
        first, second = first * sizes, second * sizes
    if order in ("yxyx", "xyxy"):
        second = second - first
    elif order == "cxcywh":
        first = first - second / 2
    return np.hstack([first, second])


def possible(boxes: np.ndarray, prior: BoxFormat, *, sized: bool) -> tuple[BoxFormat, ...]:
    """The formats that boxes can be in by their values, the usual one first.

    Args:
        boxes: [n, 4], of detections that count.
        prior: the usual format where these boxes come from.
        sized: whether the images' sizes are known, without which shares mean nothing.
    """
    import numpy as np

    largest = np.abs(boxes).max(axis=1) if len(boxes) else np.zeros(0)
    units = {"pixel"} if np.any(largest > 1) or not sized else set()
    if sized and np.count_nonzero(largest > LARGEST_SHARE) <= 0.01 * len(boxes):
        units.add("normalized")
    found = [form for form in FORMATS if form.partition("_")[0] in units and form != prior]
    is_possible = prior.partition("_")[0] in units or prior == COCO
    return (prior, *found) if is_possible else tuple(found)


def decided(
    boxes: np.ndarray,
    prior: BoxFormat,
    candidates: tuple[BoxFormat, ...],
    quality: Callable[[BoxFormat], np.ndarray],
    pixels: Callable[[BoxFormat], np.ndarray],
    score: Callable[[BoxFormat], float],
) -> tuple[BoxFormat, str]:
    """The form of boxes that lies on the objects, and why.

    Args:
        boxes: [n, 4], of detections that count.
        prior: the usual form where these boxes come from.
        candidates: from `possible`.
        quality: how well each of these boxes lies on an object in a form, 0..1, float64 [n].
        pixels: the boxes read in a form, as `converted` gives them.
        score: the AP in a form, for the message where it can't be told.

    Raises:
        DataError: several forms could be meant, or the usual one can't be and no other fits.
    """
    import numpy as np

    fits = {form: quality(form) for form in candidates}
    sums = {form: float(each.sum()) for form, each in fits.items()}
    best = max(sums, key=sums.__getitem__, default=prior)
    usual = sums.get(prior, 0.0)
    if prior in candidates and usual and sums[best] - usual < NOTICEABLE:
        best = prior
    if not sums.get(best):
        if len(boxes) and prior not in candidates:
            raise DataError(
                f"the boxes can't be {prior}, which was expected: they go up to "
                f"{np.abs(boxes).max():.6g}; and in no other form do they lie on objects. "
                f"Say what they are with box_format= ({', '.join(FORMATS)})."
            )
        return prior, NOTHING
    drawn = {form: pixels(form) for form in candidates}
    rivals = [
        form
        for form in candidates
        if form != best and best != prior and not _is_beaten(best, form, fits, drawn, prior)
    ]
    if rivals:
        shown = "; ".join(f"{form}: AP {score(form):.3f}" for form in (best, *rivals))
        raise DataError(
            f"the form of the boxes can't be told. {shown}. Say it with box_format= "
            f"({', '.join(FORMATS)})."
        )
    lies = int(np.count_nonzero(fits[best]))
    others = max((int(np.count_nonzero(fits[each])) for each in fits if each != best), default=0)
    return best, f"{lies} of the {len(boxes)} best detections lie on an object, otherwise {others}"


def need_sizes(form: BoxFormat) -> None:
    """Refuse shares of images whose sizes aren't known.

    Raises:
        RequestError: the boxes are shares.
    """
    if form.startswith("normalized"):
        raise RequestError(
            f"box_format={form!r}: shares need the images' width and height, which the annotations "
            "don't say."
        )


def contradicted(given: BoxFormat, fits: Mapping[BoxFormat, np.ndarray]) -> tuple[str, ...]:
    """What to say where another form than the given one lies on objects far more often."""
    lies = {form: int((each > 0).sum()) for form, each in fits.items()}
    best = max(lies, key=lies.__getitem__, default=given)
    if lies.get(best, 0) < 3 * max(1, lies.get(given, 0)):
        return ()
    return (
        f"boxes are read as {given}, as asked, in which {lies.get(given, 0)} of the best "
        f"detections lie on an object; as {best} {lies[best]} would",
    )


def _is_beaten(
    best: BoxFormat,
    other: BoxFormat,
    fits: dict[BoxFormat, np.ndarray],
    drawn: dict[BoxFormat, np.ndarray],
    prior: BoxFormat,
) -> bool:
    """Whether the boxes that the two read otherwise show clearly which is right."""
    import numpy as np

    apart = ~np.isclose(drawn[best], drawn[other], rtol=0.02, atol=1.0).all(axis=1)
    ours, theirs = (float(fits[form][apart].sum()) for form in (best, other))
    needed = 2 * NOTICEABLE if other == prior else 0
    return not np.any(apart) or (ours >= 2 * theirs and ours - theirs >= needed)


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union, [n, m], of boxes as x, y, width, height; 0 for one without area."""
    import numpy as np

    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    ends, other_ends = boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:]
    overlap = np.minimum(ends[:, None], other_ends[None]) - low
    shared = np.clip(overlap, 0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:], 0, None).prod(axis=1) for each in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - shared
    result: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
