"""Label maps: which of a detector's classes has which name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.values import files
from modelzoo_runner.values.coco_instances import identifier

WANTED = (
    "a .pbtxt, a file or list of names (the first is class 0), or a mapping class -> name, also as "
    ".json"
)


def read(value: Any) -> dict[str, str] | None:
    """A label map in any form as the text of each class -> its name; `None` stays `None`.

    A file may be a `.pbtxt` of the TensorFlow Object Detection API, `.json`, or text with one name
    in each line.

    Raises:
        RequestError: the value is none of these.
        DataError: the file can't be read, or isn't what its name says.

    >>> read(["background", "dog"]), read({"dog": 18}), read({18: "dog"})
    ({'0': 'background', '1': 'dog'}, {'18': 'dog'}, {'18': 'dog'})
    """
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        return _names(value, f"label_map={str(value)[:60]!r}")
    path = Path(value).expanduser()
    if path.suffix == ".pbtxt":
        return {str(number): name for name, number in read_pbtxt(path).items()}
    try:
        text = files.read(path).decode("utf-8-sig")
        content = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a label map, which is {WANTED}: {error}") from None
    if isinstance(content, list) and path.suffix != ".json":
        content = [line.strip() for line in content]
        while content and not content[-1]:
            content.pop()
    return _names(content, f"label_map: {path}")


def _names(value: Any, where: str) -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = list(value.items())
        if all(isinstance(name, int) and not isinstance(name, bool) for _, name in pairs):
            pairs = [(label, name) for name, label in pairs]
    else:
        is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        pairs = list(enumerate(value)) if is_list else []
    try:
        found = {str(identifier(label)): name for label, name in pairs}
    except (TypeError, ValueError):
        found = {}
    if not found or not all(isinstance(name, str) for name in found.values()):
        raise RequestError(f"{where}: should be {WANTED}")
    return found


def read_pbtxt(path: Path | str) -> dict[str, int]:
    """The ids in a label map file (`mscoco_label_map.pbtxt`) by name.

    The name is an item's `display_name`, which is what converters write into records, or the `name`
    of an item that has none.

    Raises:
        DataError: the file can't be read, isn't a label map, or gives a name or an id twice.
    """
    from google.protobuf import text_format

    path = Path(path)
    label_map = _message_class()()
    try:
        text = files.read(path).decode("utf-8-sig")
        text_format.Parse(text, label_map, allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise DataError(f"{path}: can't be read as a label map: {error}") from None
    ids: dict[str, int] = {}
    for item in label_map.item:
        name = item.display_name or item.name
        if not name or not item.HasField("id") or item.id < 0:
            raise DataError(
                f"{path}: the item {name!r} with id {item.id} needs a name and an id from 0"
            )
        if name in ids or item.id in ids.values():
            raise DataError(f"{path}: the name {name!r} or the id {item.id} is there twice")
        ids[name] = item.id
    if not ids:
        raise DataError(
            f'{path}: not a label map: it has no item {{ id: 1 display_name: "person" }}'
        )
    return ids


def _message_class() -> Any:
    """The part of `object_detection/protos/string_int_label_map.proto` that is needed here."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_PROTO, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("LabelMap"))


_PROTO = """
name: "label_map.proto"
message_type {
  name: "Item"
  field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "id" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "display_name" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type {
  name: "LabelMap"
  field { name: "item" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".Item" }
}
"""
