"""Masks as COCO has them: run-length encoded, of the whole image.

COCO's form is `{"size": [height, width], "counts": text}`; a detection graph gives each mask within
its box, as shares of 0..1 on a small grid, and annotations have polygons, too. The encoding is
hotcoco's, which gives what pycocotools gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Segmentation: TypeAlias = dict[str, Any]

INSIDE = 0.5
"""A pixel is of the object where its share is above this, as the Object Detection API has it."""


def encoded(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int]
) -> tuple[Segmentation, ...]:
    """The masks of one image, each moved from its box into the image.

    Args:
        masks: [n, rows, columns], shares of 0..1.
        boxes: [n, 4]: ymin, xmin, ymax, xmax as shares of the image.
        size: height and width of the image in pixels.

    >>> import numpy as np
    >>> whole = encoded(np.ones((1, 3, 3)), np.array([[0, 0, 1, 1]]), (2, 5))
    >>> whole, box(whole[0])
    (({'size': [2, 5], 'counts': '0:'},), [0.0, 0.0, 5.0, 2.0])
    """
    import numpy as np
    from hotcoco import mask as rle

    found = []
    for mask, (ymin, xmin, ymax, xmax) in zip(masks, boxes, strict=True):
        rows = _weights(ymin, ymax, mask.shape[0], size[0])
        columns = _weights(xmin, xmax, mask.shape[1], size[1])
        shares = rows @ mask.astype(np.float64) @ columns.T
        run_lengths = rle.encode(shares > INSIDE)
        found.append({"size": list(size), "counts": run_lengths["counts"].decode("ascii")})
    return tuple(found)


def _weights(start: float, end: float, cells: int, pixels: int) -> np.ndarray:
    """How much of each cell is in each pixel of a row or a column, float64 [pixels, cells].

    Bilinear between the centres of the cells, which lie from the box's one edge to the other, and
    nothing outside: what `crop_and_resize` does where the Object Detection API moves masks.
    """
    import numpy as np

    if end <= start:
        return np.zeros((pixels, cells))
    # Of a single pixel the middle counts.
    places = np.linspace(0, 1, pixels) if pixels > 1 else np.array([0.5])
    cell = (places - start) / (end - start) * (cells - 1)
    weights: np.ndarray = np.maximum(0.0, 1 - np.abs(cell[:, None] - np.arange(cells)))
    weights[(cell < 0) | (cell > cells - 1)] = 0
    return weights


def read(segmentation: Any, size: tuple[int, int]) -> Segmentation:
    """A mask of an image of that height and width, from polygons or run lengths in any form.

    Raises:
        ValueError: saying what it is instead.

    >>> read([[0, 0, 2, 0, 2, 1, 0, 1]], (2, 4))
    {'size': [2, 4], 'counts': b'01104'}
    """
    from hotcoco import mask as rle

    if not segmentation:
        raise ValueError("there is none")
    is_run_lengths = isinstance(segmentation, Mapping)
    whole = dict(segmentation) if is_run_lengths else segmentation
    try:
        found = rle.fr_py_objects(whole, *size)
        mask: Segmentation = found if is_run_lengths else rle.merge(found)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{str(segmentation)[:60]}: {error}") from None
    if tuple(mask["size"]) != size:
        height, width = mask["size"]
        raise ValueError(f"it is {width} x {height} pixels, the image {size[1]} x {size[0]}")
    return mask


def box(segmentation: Segmentation) -> list[float]:
    """The smallest box around a mask: x, y, width, height in pixels.

    Raises:
        ValueError, TypeError, KeyError: it isn't a run-length encoded mask.
    """
    from hotcoco import mask as rle

    found: list[float] = rle.to_bbox(segmentation).tolist()
    return found
