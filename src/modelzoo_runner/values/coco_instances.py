"""A COCO `instances` dict, validated: the same numbers whether it came from a file or a caller.

Ids may be any JSON value that can name something: a whole number of any size, also as text or as a
float (`139`, `"000000000139"` and `139.0` are one id), or other text. Nothing is truncated.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from modelzoo_runner.errors import DataError

Annotations: TypeAlias = Mapping[str, Any]
"""A COCO dict: `images` (`id`, and where known `file_name`, `width`, `height`), `annotations`
(`id`, `image_id`, `category_id`, `bbox` as x, y, width, height in pixels, `area`, `iscrowd`) and
`categories` (`id`, `name`); where something is odd, `warnings` that say so."""

Id: TypeAlias = int | str

LISTS = ("images", "annotations", "categories")

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")


class Readable(Protocol):
    """A file: the part of `pathlib.Path` that is needed to read it whole."""

    def read_bytes(self) -> bytes: ...


def read_json(path: Readable) -> Any:
    """What a JSON file holds, in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises:
        DataError: it can't be read, is cut short or isn't JSON.
    """
    try:
        text = path.read_bytes()
        return json.loads(text)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    except RecursionError:
        raise DataError(f"{path}: not JSON of data: it is nested too deeply.") from None
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON, or cut short at {len(text)} bytes: {error}. Get the file again."
        ) from None


def identifier(value: Any) -> Id:
    """An id as a key: a whole number as `int`, in whichever form it comes; other text as it is.

    Raises:
        ValueError, TypeError: it can't name anything: a fraction, a truth value, empty, `None`.

    >>> [identifier(each) for each in (139, 139.0, "000000000139", "dog.jpg", 2**64)]
    [139, 139, 139, 'dog.jpg', 18446744073709551616]
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            raise ValueError
        return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else text
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        return int(value)
    return operator.index(value)


def order(value: Id) -> tuple[bool, int, str]:
    """A key that sorts ids: numbers first, by value, then text.

    >>> sorted(["b", 10, 2, "a"], key=order)
    [2, 10, 'a', 'b']
    """
    return (True, 0, value) if isinstance(value, str) else (False, value, "")


def validated(content: Any, where: str, *, with_masks: bool = False) -> Annotations:
    """A COCO dict with what scoring boxes needs and no more; with `segmentation` if asked for.

    Images may lack names and sizes, annotations `id` (they are numbered), `iscrowd` (no crowd) and
    `area` (the box's). Which of them are odd isn't judged here: COCO has rules for that.

    Args:
        content: the dict, or what a JSON file held.
        where: begins the error messages.
        with_masks: keep each annotation's `segmentation`.

    Raises:
        DataError: naming the entry that lacks something, can't be, or has the id of another.
    """
    if not isinstance(content, Mapping) or not all(_is_list(content.get(key)) for key in LISTS):
        found = ", ".join(sorted(content)[:9]) if isinstance(content, Mapping) else "a list"
        raise DataError(
            f"{where}: not COCO annotations of objects, which hold the lists images, annotations "
            f"and categories; found: {found or 'nothing'}. The file of val2017 is "
            "instances_val2017.json, in annotations_trainval2017.zip."
        )
    read = {key: _entries(content[key], f"{where}: {key}", _FIELDS[key]) for key in LISTS}
    without_area = sum("area" not in entry for entry in read["annotations"])
    for number, entry in enumerate(read["annotations"], start=1):
        entry.setdefault("id", number)
        entry.setdefault("area", abs(entry["bbox"][2] * entry["bbox"][3]))
        entry.setdefault("iscrowd", 0)
    for entry in read["categories"]:
        entry.setdefault("name", str(entry["id"]))
    for key in LISTS:
        _refuse_repeated([entry["id"] for entry in read[key]], f"{where}: {key}")
    if with_masks:
        for entry, record in zip(read["annotations"], content["annotations"], strict=True):
            entry["segmentation"] = record.get("segmentation")
    if without_area:
        said = f"{without_area} annotations without area: that of their box decides which are small"
        return {**read, "warnings": (said,)}
    return read


class _Field(NamedTuple):
    """How the value of a key is read, what it should be, and whether it may be absent."""

    read: Callable[[Any], Any]
    expected: str
    optional: bool = False


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _entries(records: Any, where: str, fields: Mapping[str, _Field]) -> list[dict[str, Any]]:
    needed = {key for key, field in fields.items() if not field.optional}
    found = []
    for number, record in enumerate(records):
        try:
            entry = {
                key: field.read(record[key])
                for key, field in fields.items()
                if key in needed or key in record
            }
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f"{where}: entry {number}: {_fault(record, fields)}") from None
        found.append(entry)
    return found


def _fault(record: Any, fields: Mapping[str, _Field]) -> str:
    """What is wrong with an entry, in words."""
    if not isinstance(record, Mapping):
        return f"{str(record)[:60]!r} should be an object"
    for key, field in fields.items():
        if key not in record:
            if field.optional:
                continue
            return f"{key!r} is missing; it has {', '.join(sorted(map(str, record))) or 'nothing'}"
        try:
            field.read(record[key])
        except (TypeError, ValueError, OverflowError):
            return f"{key!r} is {str(record[key])[:60]!r} and should be {field.expected}"
    return "can't be read"


def _refuse_repeated(ids: list[Id], where: str) -> None:
    repeated = [each for each, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DataError(
            f"{where}: {len(repeated)} ids are there more than once "
            f"({', '.join(map(str, repeated[:3]))}): was the file merged from parts? What is "
            "counted twice spoils the scores."
        )


def _side(value: Any) -> int:
    side = identifier(value)
    if isinstance(side, str) or side < 1:
        raise ValueError
    return side


def _crowd(value: Any) -> int:
    flag = 0 if value is None else int(value) if isinstance(value, bool) else identifier(value)
    if flag not in (0, 1):
        raise ValueError
    return int(flag)


def number(value: Any) -> float:
    """A finite number, numpy's too; not one written as text.

    Raises:
        TypeError, ValueError, OverflowError: it isn't.
    """
    if isinstance(value, (str, bool)) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _box(value: Any) -> list[float]:
    x, y, width, height = value
    return [number(x), number(y), number(width), number(height)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_ID = _Field(identifier, "a whole number or text")
_SIDE = _Field(_side, "a whole number of pixels from 1", optional=True)

_FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "images": {
        "id": _ID,
        "file_name": _Field(_text, "text", optional=True),
        "width": _SIDE,
        "height": _SIDE,
    },
    "annotations": {
        "id": _ID._replace(optional=True),
        "image_id": _ID,
        "category_id": _ID,
        "bbox": _Field(_box, "four numbers: x, y, width, height in pixels"),
        "area": _Field(number, "a number", optional=True),
        "iscrowd": _Field(_crowd, "0 or 1", optional=True),
    },
    "categories": {"id": _ID, "name": _Field(_text, "text", optional=True)},
}
