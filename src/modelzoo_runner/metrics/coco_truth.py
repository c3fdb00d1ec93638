"""The annotations of a COCO dict, as columns.

This is where COCO's rules for odd annotations are applied, and said. Whether a file is sound JSON
with the keys it should have is not known here.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics import coco_masks
from modelzoo_runner.metrics.coco_masks import Segmentation

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What there is to find.

    Attributes:
        image_ids: int64 [m], ascending.
        names: category id -> name, by id.
        images: int64 [n], each annotation's image, as its place in `image_ids`.
        categories: int64 [n].
        boxes: float64 [n, 4]: x, y, width, height in pixels.
        areas: float64 [n], in square pixels: the segmented area, mostly less than the box's.
        crowd: bool [n].
        masks: run-length encoded, n of them, or none where only boxes matter.
        warnings: which annotations are odd, and what COCO makes of them.
    """

    image_ids: np.ndarray
    names: Mapping[int, str]
    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    masks: tuple[Segmentation, ...] = ()
    warnings: tuple[str, ...] = ()


def read_truth(annotations: Mapping[str, Any], *, with_masks: bool = False) -> Truth:
    """The columns of a COCO `instances` dict.

    Annotations of an image or a category that isn't listed are ignored, and boxes without an
    area are objects that can't be found: both are COCO's rules, and are warned about.

    Raises:
        DataError: naming the key that is missing, or the annotation whose mask can't be.
    """
    import numpy as np

    try:
        image_ids = np.array(sorted(image["id"] for image in annotations["images"]), np.int64)
        names = {
            category["id"]: category["name"]
            for category in sorted(annotations["categories"], key=lambda each: int(each["id"]))
        }
        objects = annotations["annotations"]
        columns = {
            key: np.array([each[key] for each in objects], dtype) for key, dtype in _COLUMNS.items()
        }
    except KeyError as error:
        raise DataError(
            f"annotations: the key {error} is missing. They should be as in a COCO instances file: "
            "images (id), annotations (image_id, category_id, bbox, area, iscrowd) and categories "
            "(id, name)."
        ) from None
    places = np.searchsorted(image_ids, columns["image_id"])
    placed = np.isin(columns["image_id"], image_ids)
    named = np.isin(columns["category_id"], list(names))
    kept = placed & named
    boxes = columns["bbox"].reshape(-1, 4)[kept]
    return Truth(
        image_ids=image_ids,
        names=names,
        images=places[kept],
        categories=columns["category_id"][kept],
        boxes=boxes,
        areas=columns["area"][kept],
        crowd=columns["iscrowd"][kept].astype(bool),
        masks=_masks(annotations, itertools.compress(objects, kept)) if with_masks else (),
        warnings=_odd(
            {
                "of images that aren't listed: ignored, as COCO does": ~placed,
                "in categories that aren't listed: ignored, as COCO does": placed & ~named,
                "without width or height: kept, as COCO does, though no detection can match them": (
                    kept & (columns["bbox"].reshape(-1, 4)[:, 2:] <= 0).any(axis=1)
                ),
            }
        ),
    )


def as_legacy(truth: Truth, sizes: np.ndarray) -> Truth:
    """The same ground truth as the Model Zoo's scripts saw it.

    Their records left out boxes of zero size or reaching outside the image; boxes and areas were in
    shares of the image, and crowd regions counted as objects.

    Args:
        truth: what there is to find.
        sizes: float64 [m, 2], width and height of each image.
    """
    import numpy as np

    scale = np.tile(sizes[truth.images], 2)
    low, high = truth.boxes[:, :2], truth.boxes[:, :2] + truth.boxes[:, 2:]
    kept = ((truth.boxes[:, 2:] > 0) & (low >= 0) & (high <= scale[:, :2])).all(axis=1)
    boxes = (truth.boxes / scale)[kept]
    return dataclasses.replace(
        truth,
        images=truth.images[kept],
        categories=truth.categories[kept],
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=np.zeros(len(boxes), bool),
        warnings=truth.warnings,
    )


def _masks(
    annotations: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]
) -> tuple[Segmentation, ...]:
    sizes = sizes_by_id(annotations)
    found = []
    for each in objects:
        try:
            found.append(coco_masks.read(each.get("segmentation"), sizes[each["image_id"]]))
        except ValueError as error:
            raise DataError(
                f"annotations: the segmentation of {each.get('id', each)} can't be read: {error}. "
                "Masks are scored against those of COCO's own instances file"
            ) from None
    return tuple(found)


def sizes_by_id(annotations: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
    """Height and width of each image in pixels.

    Raises:
        DataError: an image has none.
    """
    widths_and_heights = image_sizes(annotations).astype(int).tolist()
    ids = sorted(image["id"] for image in annotations["images"])
    return {
        image_id: (height, width)
        for image_id, (width, height) in zip(ids, widths_and_heights, strict=True)
    }


def image_sizes(annotations: Mapping[str, Any]) -> np.ndarray:
    """Width and height of each image in pixels, float64 [m, 2], by ascending image id.

    Raises:
        DataError: an image has none.
    """
    import numpy as np

    sizes = []
    for image in sorted(annotations["images"], key=lambda each: int(each["id"])):
        width, height = image.get("width") or 0, image.get("height") or 0
        if width <= 0 or height <= 0:
            raise DataError(
                f"annotations: image {image['id']} has no width and height, and masks and the "
                "legacy scores are made with them."
            )
        sizes.append((width, height))
    return np.array(sizes, np.float64).reshape(-1, 2)


_COLUMNS = {
    "image_id": "int64",
    "category_id": "int64",
    "bbox": "float64",
    "area": "float64",
    "iscrowd": "int64",
}


def _odd(kinds: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    counts = {what: int(mask.sum()) for what, mask in kinds.items()}
    return tuple(f"{count} annotations {what}" for what, count in counts.items() if count)
