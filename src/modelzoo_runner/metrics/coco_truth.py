"""The ground truth of a COCO dict, as columns, by COCO's rules for odd annotations."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics import coco_masks
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.values import coco_instances
from modelzoo_runner.values.coco_instances import Annotations, Id, order

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The ground truth, with images and categories as places in their sorted ids.

    Attributes:
        image_ids: place of each of the `m` images, by id, in ascending order of the ids.
        sizes: float64 [m, 2], width and height of each image in pixels; NaN where unknown.
        names: category id -> name, by id.
        images: int64 [n], the place of each annotation's image.
        categories: int64 [n], the place of its category in `names`.
        boxes: float64 [n, 4]: x, y, width, height in pixels.
        areas: float64 [n], in square pixels: the segmented area, mostly less than the box's.
        crowd: bool [n].
        masks: run-length encoded, n of them, or none where only boxes matter.
        warnings: which annotations are odd, and what COCO makes of them.
    """

    image_ids: Mapping[Id, int]
    sizes: np.ndarray
    names: Mapping[Id, str]
    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    masks: tuple[Segmentation, ...] = ()
    warnings: tuple[str, ...] = ()

    def category_places(self, ids: Iterable[Id | None]) -> np.ndarray:
        """The place of each category in `names`, int64; -1 for what is no category."""
        import numpy as np

        places = {category: place for place, category in enumerate(self.names)}
        return np.array([-1 if each is None else places.get(each, -1) for each in ids], np.int64)

    def known_sizes(self) -> np.ndarray:
        """Height and width of each image in pixels, int64 [m, 2].

        Raises:
            DataError: an image has none.
        """
        import numpy as np

        unknown = np.flatnonzero(np.isnan(self.sizes).any(axis=1))
        if len(unknown):
            raise DataError(
                f"annotations: image {list(self.image_ids)[unknown[0]]} has no width and height, "
                "and masks, shares of the image and the legacy scores are made with them."
            )
        return self.sizes[:, ::-1].astype(np.int64)


def read_truth(annotations: Annotations, *, with_masks: bool = False) -> Truth:
    """The columns of a COCO dict, which is validated.

    Annotations of an image or a category that isn't listed are ignored, and boxes without an
    area are objects that can't be found: both are COCO's rules, and are warned about.

    Raises:
        DataError: naming the entry that can't be, or the annotation whose mask can't be read.
    """
    import numpy as np

    annotations = coco_instances.validated(annotations, "annotations", with_masks=with_masks)
    listed = sorted(annotations["images"], key=lambda image: order(image["id"]))
    image_ids = {image["id"]: place for place, image in enumerate(listed)}
    nan = float("nan")
    sizes = [(image.get("width", nan), image.get("height", nan)) for image in listed]
    names = {
        category["id"]: category["name"]
        for category in sorted(annotations["categories"], key=lambda each: order(each["id"]))
    }
    places = {category: place for place, category in enumerate(names)}
    objects = annotations["annotations"]
    images = np.array([image_ids.get(each["image_id"], -1) for each in objects], np.int64)
    categories = np.array([places.get(each["category_id"], -1) for each in objects], np.int64)
    boxes = np.array([each["bbox"] for each in objects], np.float64).reshape(-1, 4)
    kept = (images >= 0) & (categories >= 0)
    odd = {
        "of images that aren't listed: ignored, as COCO does": images < 0,
        "in categories that aren't listed: ignored, as COCO does": (images >= 0) & (categories < 0),
        "without width or height: kept, as COCO does, though no detection can match them": (
            kept & (boxes[:, 2:] <= 0).any(axis=1)
        ),
    }
    counts = {what: int(mask.sum()) for what, mask in odd.items()}
    truth = Truth(
        image_ids=image_ids,
        sizes=np.array(sizes, np.float64).reshape(-1, 2),
        names=names,
        images=images[kept],
        categories=categories[kept],
        boxes=boxes[kept],
        areas=np.array([each["area"] for each in objects], np.float64)[kept],
        crowd=np.array([each["iscrowd"] for each in objects], bool)[kept],
        warnings=(
            *annotations.get("warnings", ()),
            *(f"{count} annotations {what}" for what, count in counts.items() if count),
        ),
    )
    if not with_masks:
        return truth
    kept_objects = list(itertools.compress(objects, kept))
    masks = read_masks(
        (each.get("segmentation") for each in kept_objects),
        truth.known_sizes()[truth.images],
        lambda number: (
            f"annotations: the segmentation of {kept_objects[number]['id']} (which masks need, and "
            "COCO's own instances file has)"
        ),
    )
    return dataclasses.replace(truth, masks=masks)


def as_legacy(truth: Truth) -> Truth:
    """The same ground truth as the Model Zoo's scripts saw it.

    Their records left out boxes of zero size or reaching outside the image; boxes and areas were in
    shares of the image, and crowd regions counted as objects.
    """
    import numpy as np

    scale = np.tile(truth.sizes[truth.images], 2)
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
    )


def read_masks(
    segmentations: Iterable[Any], sizes: np.ndarray, name: Callable[[int], str]
) -> tuple[Segmentation, ...]:
    """The masks of objects or detections, run-length encoded.

    Args:
        segmentations: polygons or run lengths, in any form.
        sizes: height and width of the image that each is in, int64 [n, 2].
        name: what to call each in a message, by its number.

    Raises:
        DataError: one can't be read, or isn't of its image's size.
    """
    found = []
    for number, (each, size) in enumerate(zip(segmentations, sizes.tolist(), strict=True)):
        try:
            found.append(coco_masks.read(each, tuple(size)))
        except ValueError as error:
            raise DataError(f"{name(number)} can't be read: {error}") from None
    return tuple(found)
