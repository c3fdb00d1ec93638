"""The formats in which detectors give boxes, and telling which one is meant.

The format is told by the ground truth: in the right one, detections lie on objects. Whether boxes
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

SAY_IT = f"with box_format= ({', '.join(FORMATS)})."

LARGEST_SHARE = 2.0
"""A coordinate beyond this many times the image's side is no share: unclipped boxes reach over the
border, but hardly by a whole image."""

NOTICEABLE = 0.7
"""By so much IoU another format has to fit better, summed over boxes, before it is considered: less
is an accident; an object hit in a wrong format is hit badly."""

NOTHING = "none of the best detections lies on an object"


def converted(boxes: np.ndarray, form: BoxFormat, sizes: np.ndarray) -> np.ndarray:
    """The boxes as x, y, width, height in pixels, float64 [n, 4].

    Args:
        boxes: [n, 4], in that format.
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

    largest = np.abs(boxes).max(axis=1, initial=0)
    units = {"pixel"} if np.any(largest > 1) or not sized else set()
    if sized and np.count_nonzero(largest > LARGEST_SHARE) <= 0.01 * len(boxes):
        units.add("normalized")
    found = [form for form in FORMATS if form.partition("_")[0] in units and form != prior]
    is_possible = prior.partition("_")[0] in units or prior == COCO
    return (prior, *found) if is_possible else tuple(found)


def decided(
    boxes: np.ndarray,
    prior: BoxFormat,
    pixels: Mapping[BoxFormat, np.ndarray],
    fits: Mapping[BoxFormat, np.ndarray],
    score: Callable[[BoxFormat], float],
) -> tuple[BoxFormat, str]:
    """The format in which boxes lie on the objects, and why.

    Args:
        boxes: [n, 4], of detections that count.
        prior: the usual format where these boxes come from.
        pixels: the boxes read in each possible format, as `converted` gives them.
        fits: how well each box lies on an object when read so, 0..1, float64 [n].
        score: the AP in a format, for the message where it can't be told.

    Raises:
        DataError: several formats could be meant, or the usual one can't be and no other fits.
    """
    import numpy as np

    sums = {form: float(each.sum()) for form, each in fits.items()}
    best = max(sums, key=sums.__getitem__, default=prior)
    if sums.get(prior) and sums[best] - sums[prior] < NOTICEABLE:
        best = prior
    if not sums.get(best):
        if len(boxes) and prior not in fits:
            raise DataError(
                f"the boxes can't be {prior}, which was expected: they go up to "
                f"{np.abs(boxes).max():.6g}; and in no other format do they lie on objects. "
                f"Say what they are {SAY_IT}"
            )
        return prior, NOTHING

    def is_beaten(other: BoxFormat) -> bool:
        """Whether the boxes that the two read otherwise show clearly which is right."""
        apart = ~np.isclose(pixels[best], pixels[other], rtol=0.02, atol=1.0).all(axis=1)
        ours, theirs = (float(fits[form][apart].sum()) for form in (best, other))
        needed = 2 * NOTICEABLE if other == prior else 0
        return not np.any(apart) or (ours >= 2 * theirs and ours - theirs >= needed)

    rivals = [form for form in fits if best not in (form, prior) and not is_beaten(form)]
    if rivals:
        shown = "; ".join(f"{form}: AP {score(form):.3f}" for form in (best, *rivals))
        raise DataError(f"the format of the boxes can't be told. {shown}. Say it {SAY_IT}")
    lies = {form: int(np.count_nonzero(each)) for form, each in fits.items()}
    others = max((count for form, count in lies.items() if form != best), default=0)
    return best, (
        f"{lies[best]} of the {len(boxes)} best detections lie on an object, otherwise {others}"
    )


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
    """What to say where another format than the given one lies on objects far more often."""
    lies = {form: int((each > 0).sum()) for form, each in fits.items()}
    best = max(lies, key=lies.__getitem__, default=given)
    if lies.get(best, 0) < 3 * max(1, lies.get(given, 0)):
        return ()
    return (
        f"boxes are read as {given}, as asked, in which {lies.get(given, 0)} of the best "
        f"detections lie on an object; as {best} {lies[best]} would",
    )
