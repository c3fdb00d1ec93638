"""COCO's annotations as JSON: reading them, and seeing that they are sound.

The value that comes out is a plain COCO dict, as everyone knows it, with what finding boxes needs
and no more: licences are left behind, and so are segmentations unless they are asked for. What the
annotations say is not judged here: COCO has rules for odd ones, and scoring applies them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from modelzoo_runner.data import paths
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError

Annotations = Mapping[str, Any]
"""A COCO dict: `images` (`id`, `file_name`, `width`, `height`), `annotations` (`id`, `image_id`,
`category_id`, `bbox` as x, y, width, height in pixels, `area`, `iscrowd`) and `categories` (`id`,
`name`)."""


def read_annotations(path: ReadablePath | str, *, with_masks: bool = False) -> Annotations:
    """The annotations of a COCO `instances_*.json` file, with their `segmentation` if asked for.

    Raises:
        DataError: the file can't be read, is cut short, isn't about objects, or an entry lacks
            something or has the id of another; says which.
    """
    path = paths.of(path)
    try:
        text = path.read_bytes()
        content = json.loads(text)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON, or cut short at {len(text)} bytes: {error}. Get the file again."
        ) from None
    if not _has_lists(content):
        found = ", ".join(sorted(content)[:9]) if isinstance(content, dict) else "a list"
        raise DataError(
            f"{path}: not COCO annotations of objects, which hold the lists images, annotations "
            f"and categories; found: {found or 'nothing'}. The file of val2017 is "
            "instances_val2017.json, in annotations_trainval2017.zip."
        )
    read = {key: _entries(content[key], f"{path}: {key}", _FIELDS[key]) for key in _FIELDS}
    if with_masks:
        for entry, record in zip(read["annotations"], content["annotations"], strict=True):
            entry["segmentation"] = record.get("segmentation")
    return read


def restricted(annotations: Annotations, image_ids: Iterable[int]) -> Annotations:
    """The annotations of these images only.

    Raises:
        DataError: an image isn't in the annotations.

    >>> restricted({"images": [{"id": 1}, {"id": 2}], "annotations": [], "categories": []}, [2])
    {'images': [{'id': 2}], 'annotations': [], 'categories': []}
    """
    wanted = set(image_ids)
    images = [image for image in annotations["images"] if image["id"] in wanted]
    strange = wanted - {image["id"] for image in images}
    if strange:
        listed = ", ".join(map(str, sorted(strange)[:3]))
        raise DataError(
            f"{len(strange)} images are not in the annotations ({listed}): the annotations are of "
            "other images. Give those of these images."
        )
    return {
        **annotations,
        "images": images,
        "annotations": [each for each in annotations["annotations"] if each["image_id"] in wanted],
    }


def joined(parts: Sequence[Annotations]) -> Annotations:
    """The annotations of all the images of several parts.

    Categories that have another name in a later part keep the first.

    Raises:
        DataError: an image is in two parts.

    >>> part = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    >>> joined([part, {**part, "images": [{"id": 2}]}])["images"]
    [{'id': 1}, {'id': 2}]
    """
    images = [image for part in parts for image in part["images"]]
    twice = [each for each, count in Counter(image["id"] for image in images).items() if count > 1]
    if twice:
        listed = ", ".join(map(str, twice[:3]))
        raise DataError(
            f"{len(twice)} images are there more than once ({listed}): the records hold copies. "
            "What is counted twice spoils the scores."
        )
    names: dict[int, str] = {}
    for part in parts:
        for category in part["categories"]:
            names.setdefault(category["id"], category["name"])
    return {
        "images": images,
        "annotations": [each for part in parts for each in part["annotations"]],
        "categories": [{"id": each, "name": names[each]} for each in sorted(names)],
    }


class _Field(NamedTuple):
    """How the value of a key is read, and what it should be."""

    read: Callable[[Any], Any]
    expected: str


def _has_lists(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in _FIELDS)


def _entries(records: list[Any], where: str, fields: Mapping[str, _Field]) -> list[dict[str, Any]]:
    found = []
    for number, record in enumerate(records):
        try:
            found.append({key: field.read(record[key]) for key, field in fields.items()})
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f"{where}: entry {number}: {_fault(record, fields)}") from None
    counts = Counter(entry["id"] for entry in found)
    repeated = [each for each, count in counts.items() if count > 1]
    if repeated:
        listed = ", ".join(map(str, repeated[:3]))
        raise DataError(
            f"{where}: {len(repeated)} ids are there more than once ({listed}): was the file "
            "merged from parts? What is counted twice spoils the scores."
        )
    return found


def _fault(record: Any, fields: Mapping[str, _Field]) -> str:
    """What is wrong with an entry, in words."""
    if not isinstance(record, dict):
        return f"{str(record)[:60]!r} should be an object"
    missing = [key for key in fields if key not in record]
    if missing:
        return f"{missing[0]!r} is missing; it has {', '.join(sorted(record)) or 'nothing'}"
    for key, field in fields.items():
        try:
            field.read(record[key])
        except (TypeError, ValueError, OverflowError):
            break
    return f"{key!r} is {str(record[key])[:60]!r} and should be {field.expected}"


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _side(value: Any) -> int:
    side = _whole(value)
    if side < 1:
        raise ValueError
    return side


def _number(value: Any) -> float:
    if isinstance(value, str) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _box(value: Any) -> list[float]:
    x, y, width, height = value
    return [_number(x), _number(y), _number(width), _number(height)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


# Some tools write ids as text, which is no reason to refuse them.
_ID = _Field(_whole, "a whole number")
_SIDE = _Field(_side, "a whole number of pixels from 1")
_NAME = _Field(_text, "text")

_FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "images": {"id": _ID, "file_name": _NAME, "width": _SIDE, "height": _SIDE},
    "annotations": {
        "id": _ID,
        "image_id": _ID,
        "category_id": _ID,
        "bbox": _Field(_box, "four numbers: x, y, width, height in pixels"),
        "area": _Field(_number, "a number"),
        "iscrowd": _Field(_whole, "0 or 1"),
    },
    "categories": {"id": _ID, "name": _NAME},
}
