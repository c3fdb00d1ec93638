"""A COCO TFRecord: an image and the objects in it, read and written.

The features are those of the TensorFlow Object Detection API's `create_coco_tf_record.py`, in its
older form (categories by name only) and its newer one. They hold boxes as shares of the image in
single precision, so records written here also carry each annotation as it was, in a feature of
their own that other readers pass over.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.data.examples import Features, serialized
from modelzoo_runner.data.images import kind
from modelzoo_runner.errors import did_you_mean
from modelzoo_runner.values.coco_categories import NAMES
from modelzoo_runner.values.coco_instances import Id, identifier

EXACT = "annotation"
"""The feature of our own, below `image/object/`: each annotation as JSON."""

_KEPT = ("id", "category_id", "bbox", "area", "iscrowd")
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def read_image(
    features: Features, known: Mapping[Id, Id] | None = None
) -> tuple[bytes, dict[str, Any]]:
    """The encoded image of a record, and what COCO's JSON would say of it.

    Its id is `image/source_id`, as a number or as text, or its file name where that is empty.

    Args:
        features: of the record.
        known: id of an image in the JSON beside the records, by itself and by its file name.

    Raises:
        DataError: a feature is missing or can't be.
    """
    source = str(features.optional("image/source_id", "bytes") or "").strip()
    name = features.optional("image/filename", "bytes") or source
    if not name:
        raise features.error(
            "neither 'image/source_id' nor 'image/filename' says which image it is"
        )
    found = identifier(source or name)
    if known:
        found = known.get(found, known.get(name, found))
    image = {
        "id": found,
        "file_name": name,
        "width": features.value("image/width", "int64"),
        "height": features.value("image/height", "int64"),
    }
    if min(image["width"], image["height"]) < 1:
        raise features.error(f"the image is {image['width']} x {image['height']} pixels")
    return features.encoded(), image


def read_objects(
    features: Features, image: Mapping[str, Any], label_map: Mapping[str, int]
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The annotations of a record as in COCO's JSON, and the names of their categories by id.

    An annotation has an `id` if the record gives it. Without an area it is the box's, and without a
    crowd flag none is a crowd.

    Args:
        features: of the record.
        image: what `read_image` found.
        label_map: category name -> id, for records with names only.

    Raises:
        DataError: lists of different lengths, a name that isn't in the label map, a number that
            isn't finite.
    """
    sides = [features.per_object(f"bbox/{side}", "float") for side in _SIDES]
    count = max(map(len, sides))
    if any(len(side) != count for side in sides):
        lengths = ", ".join(f"{len(side)} {name}" for name, side in zip(_SIDES, sides, strict=True))
        raise features.error(f"the lists of the boxes' sides differ in length: {lengths}")
    texts = features.per_object("class/text", "bytes", count)
    labels = features.per_object("class/label", "int64", count)
    if not labels and count:
        labels = [_label(each, label_map, features) for each in texts]
        if not labels:
            raise features.error(
                "neither 'image/object/class/label' nor 'image/object/class/text' says what is in "
                "the boxes"
            )
    names = {label: NAMES.get(label, str(label)) for label in labels}
    names |= dict(zip(labels, texts, strict=False))
    exact = features.per_object(EXACT, "bytes", count)
    if exact:
        found = [_exact(each, features) for each in exact]
    else:
        found = _annotations(features, image, sides, labels)
    return [{"image_id": image["id"], **each} for each in found], names


def _annotations(
    features: Features, image: Mapping[str, Any], sides: Sequence[list[float]], labels: list[int]
) -> list[dict[str, Any]]:
    areas = features.per_object("area", "float", len(labels))
    crowds = features.per_object("is_crowd", "int64", len(labels))
    found = []
    for place, (ymin, xmin, ymax, xmax) in enumerate(zip(*sides, strict=True)):
        width, height = (xmax - xmin) * image["width"], (ymax - ymin) * image["height"]
        area = areas[place] if areas else width * height
        box = [xmin * image["width"], ymin * image["height"], width, height]
        if not all(map(math.isfinite, (*box, area))):
            raise features.error(f"the box or area of object {place} isn't finite: {box}, {area}")
        found.append(
            {
                "category_id": labels[place],
                "bbox": box,
                "area": area,
                "iscrowd": int(crowds[place]) if crowds else 0,
            }
        )
    return found


def _label(name: str, label_map: Mapping[str, int], features: Features) -> int:
    if name not in label_map:
        near = did_you_mean(name, label_map, otherwise=f"The map's {len(label_map)} names")
        raise features.error(
            f"'image/object/class/text' has {name!r}, which isn't in the label map. {near} Give "
            "label_map=, that which the records were made with"
        )
    return label_map[name]


def _exact(annotation: str, features: Features) -> dict[str, Any]:
    try:
        found = json.loads(annotation)
        return {key: found[key] for key in _KEPT}
    except (ValueError, KeyError, TypeError):
        raise features.error(
            f"'image/object/{EXACT}' has {annotation[:60]!r}: not an annotation as JSON"
        ) from None


class Collected:
    """The ground truth of the records read so far: of the JSON file if there is one, or their own.

    `annotations` grows as records are added; a JSON file's are all there from the beginning.
    """

    def __init__(self, known: Annotations | None, label_map: Mapping[str, int]) -> None:
        self.image_ids: set[Id] = set()
        self.annotations: Annotations = known or {"images": [], "annotations": [], "categories": []}
        self._known = known and {image["id"] for image in known["images"]}
        self._label_map = label_map
        self._names: dict[int, str] = {}
        self._numbers = itertools.count(1)

    def add(self, features: Features, image: Mapping[str, Any]) -> None:
        """Take in a record and the image that `read_image` found in it.

        Raises:
            DataError: its image was there before, or isn't in the JSON file; or its objects can't
                be.
        """
        if image["id"] in self.image_ids:
            raise features.error(f"image {image['id']} was in an earlier record already")
        self.image_ids.add(image["id"])
        if self._known is not None:
            if image["id"] not in self._known:
                raise features.error(
                    f"image {image['id']} is not in the annotations: they are of other images. "
                    "Give those of these images"
                )
            return
        objects, names = read_objects(features, image, self._label_map)
        found = self.annotations
        found["images"].append(image)
        found["annotations"].extend({"id": next(self._numbers), **each} for each in objects)
        self._names |= {key: name for key, name in names.items() if key not in self._names}
        found["categories"][:] = (
            {"id": each, "name": self._names[each]} for each in sorted(self._names)
        )


def to_record(
    encoded: bytes,
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    names: Mapping[int, str],
) -> bytes:
    """The record of an image: `read_image` and `read_objects` give back exactly what went in.

    Boxes are clipped at the border in the features that other readers use.

    Args:
        encoded: the bytes of the image's file.
        image: `id`, `file_name`, `width` and `height`.
        annotations: of this image, as in COCO's JSON.
        names: category id -> name.
    """
    width, height = image["width"], image["height"]
    boxes = [clipped(each["bbox"], width, height) for each in annotations]
    categories = [each["category_id"] for each in annotations]
    of = "image/object"
    return serialized(
        {
            "bytes": {
                "image/encoded": [encoded],
                "image/format": [(kind(encoded) or "unknown").lower().encode()],
                "image/filename": [image["file_name"].encode()],
                "image/source_id": [str(image["id"]).encode()],
                "image/key/sha256": [hashlib.sha256(encoded).hexdigest().encode()],
                f"{of}/class/text": [names.get(each, str(each)).encode() for each in categories],
                f"{of}/{EXACT}": [
                    json.dumps({key: each[key] for key in _KEPT}).encode() for each in annotations
                ],
            },
            "int64": {
                "image/height": [height],
                "image/width": [width],
                f"{of}/class/label": categories,
                f"{of}/is_crowd": [each["iscrowd"] for each in annotations],
            },
            "float": {
                f"{of}/bbox/xmin": [left / width for left, _, _, _ in boxes],
                f"{of}/bbox/xmax": [right / width for _, _, right, _ in boxes],
                f"{of}/bbox/ymin": [top / height for _, top, _, _ in boxes],
                f"{of}/bbox/ymax": [bottom / height for _, _, _, bottom in boxes],
                f"{of}/area": [each["area"] for each in annotations],
            },
        }
    )


def clipped(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box (x, y, width, height), moved into the image.

    >>> clipped([-5, 10, 20, 100], 640, 100)
    (0, 10, 15, 100)
    """
    x, y, across, down = box
    left, right = (min(max(edge, 0), width) for edge in (x, x + across))
    top, bottom = (min(max(edge, 0), height) for edge in (y, y + down))
    return left, top, right, bottom
