"""Label maps of the TensorFlow Object Detection API: category name -> id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import DataError


def read_label_map(path: Path | str) -> Mapping[str, int]:
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
        text_format.Parse(path.read_text(encoding="utf-8"), label_map, allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise DataError(f"{path}: can't be read as a label map: {error}") from None
    ids: dict[str, int] = {}
    for item in label_map.item:
        name = item.display_name or item.name
        if not name or item.id < 1:
            raise DataError(
                f"{path}: the item {name!r} with id {item.id} needs a name and an id from 1"
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
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="label_map.proto", package="label_map")
    item = file.message_type.add(name="Item")
    for number, (name, kind) in enumerate(
        {"name": "STRING", "id": "INT32", "display_name": "STRING"}.items(), start=1
    ):
        item.field.add(name=name, number=number, label="LABEL_OPTIONAL", type=f"TYPE_{kind}")
    file.message_type.add(name="LabelMap").field.add(
        name="item",
        number=1,
        label="LABEL_REPEATED",
        type="TYPE_MESSAGE",
        type_name=".label_map.Item",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("label_map.LabelMap"))
