"""Recognize the format of a file that isn't a frozen graph, from its bytes.

`recognize` knows the usual formats and what to do with each; `explain` says what is wrong with
bytes that were meant to be a frozen graph. TensorFlow isn't needed, and nothing is unpacked or run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Format:
    """A format that isn't a frozen graph, and what to do with a file of it."""

    name: str
    advice: str


_UNPACK = "Unpack it and give the .pb inside."
_FREEZE = (
    "benchmark() and accuracy() freeze it (of a SavedModel give the folder): the path of the "
    "frozen graph is result.plan.graph.path."
)
SAVED_MODEL = Format("a SavedModel", _FREEZE)
_META_GRAPH = Format("a MetaGraph (the .meta file of a checkpoint), which has no weights", _FREEZE)
CHECKPOINT = Format("a checkpoint, which has weights and no frozen graph", _FREEZE)
_ONNX = Format(
    "an ONNX model",
    "benchmark() and accuracy() run it with a runtime that reads ONNX if its name ends in .onnx; "
    "for TensorFlow give the .pb it was made from.",
)
_TFLITE = Format(
    "a TensorFlow Lite model",
    "It can't be run here or converted back: give the SavedModel, the Keras model or the frozen "
    "graph (.pb) that it was converted from.",
)
_PAGE = Format(
    "a web page or an XML/JSON answer, most likely a server's error message",
    "Delete it and download the graph again; look at the file to see what the server said.",
)
_LFS = Format("a Git LFS pointer, not the file it points to", "Fetch the file: git lfs pull.")

# (offset, bytes there, format), the most telling first.
_SIGNATURES: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"\x1f\x8b", Format("a gzip archive", _UNPACK)),
    (0, b"PK\x03\x04", Format("a zip archive", f"{_UNPACK} Of a Keras model (.keras), {_FREEZE}")),
    (0, b"BZh", Format("a bzip2 archive", _UNPACK)),
    (0, b"\xfd7zXZ\x00", Format("an xz archive", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Format("a zstd archive", _UNPACK)),
    (257, b"ustar", Format("a tar archive", _UNPACK)),
    (0, b"\x89HDF\r\n\x1a\n", Format("an HDF5 file, as Keras models are", _FREEZE)),
    (4, b"TFL3", _TFLITE),
    (0, b"\x93NUMPY", Format("a NumPy array", "A graph is needed, not its data.")),
    (0, b"\xff\xd8\xff", Format("a JPEG image", "A graph is needed, not its input.")),
    (0, b"\x89PNG", Format("a PNG image", "A graph is needed, not its input.")),
    (0, b"version https://git-lfs", _LFS),
)

_HEAD = 4096  # bytes in which a text has to show what it is
_PAGE_START = re.compile(rb"\s*(<!doctype|<\?xml|<html|<head|<error|\{\s*\")", re.IGNORECASE)
_TEXT_GRAPH_START = re.compile(rb"(\s|#[^\n]*\n)*(node|versions|library|version)\s*[:{<]")
_LEVELDB_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"

# Protobuf wire types, https://protobuf.dev/programming-guides/encoding/.
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

# GraphDef's own fields: node, library, version, versions, debug_info.
_GRAPH_FIELDS = {1: _LENGTH, 2: _LENGTH, 3: _VARINT, 4: _LENGTH, 5: _LENGTH}
_NODE = b"\x0a"

# A file of empty fields must not take minutes to look through.
_FIELDS_TO_SEE = 250_000


def recognize(data: bytes, name: str = "") -> Format | None:
    r"""The format of these bytes, if it is a known one and not a frozen graph.

    The data part of a checkpoint is bare numbers, so it is told from the file's `name`.

    >>> recognize(b"\x1f\x8b\x08").name
    'a gzip archive'
    >>> recognize(b"node { name: 'x' op: 'Placeholder' }") is None
    True
    """
    # A frozen graph starts with a node, whose name may look like anybody's signature.
    if not data.startswith(_NODE):
        for offset, magic, format_ in _SIGNATURES:
            if data.startswith(magic, offset):
                return format_
    if _PAGE_START.match(data[:_HEAD].removeprefix(b"\xef\xbb\xbf")):
        return _PAGE
    if data.endswith(_LEVELDB_TABLE_END) or data.startswith(b"model_checkpoint_path:"):
        return CHECKPOINT
    if ".data-0" in name:
        return CHECKPOINT
    return _recognize_protobuf(data)


def is_text_graph(data: bytes) -> bool:
    """Whether these bytes are a GraphDef in protobuf's text form (.pbtxt)."""
    return _TEXT_GRAPH_START.match(data[:_HEAD]) is not None


def explain(data: bytes) -> str:
    """Why these bytes, which were meant to be a frozen graph, aren't one."""
    for field in fields(data):
        if _GRAPH_FIELDS.get(field.number) != field.wire_type:
            return f"it starts with {show(data)}"
        if field.end > len(data):
            return (
                f"it is truncated: the part that starts at byte {field.start:,} ends at byte "
                f"{field.end:,}, the file at {len(data):,}; get it again"
            )
    return f"a part inside it is damaged; it starts with {show(data)}"


def show(data: bytes, count: int = 60) -> str:
    """The first bytes, safe to print."""
    return repr(data[:count]) + ("..." if len(data) > count else "")


def _recognize_protobuf(data: bytes) -> Format | None:
    """A protobuf message of another type, told from its top fields.

    SavedModel starts with a number (1) and goes on with messages (2); ONNX has its graph in 7 and
    its opsets in 8; a MetaGraph has a message where GraphDef has a number (3).
    """
    seen = {field.number: field.wire_type for field in fields(data)}
    if seen.get(1) == _VARINT:
        if _LENGTH in (seen.get(7), seen.get(8)):
            return _ONNX
        return SAVED_MODEL if seen == {1: _VARINT, 2: _LENGTH} else None
    return _META_GRAPH if seen.get(1) == seen.get(3) == _LENGTH else None


class _Field(NamedTuple):
    """Where a field is: from `start` on, its value from `content` to before `end`."""

    number: int
    wire_type: int
    start: int
    content: int
    end: int


def fields(data: bytes) -> Iterator[_Field]:
    """The top fields of a protobuf message, as far as the bytes are one.

    The last one may end behind the data. What isn't a field comes as field 0 of wire type -1.
    """
    position = 0
    for _ in range(_FIELDS_TO_SEE):
        if position >= len(data):
            return
        start = position
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        content = position
        if wire_type == _VARINT:
            _, position = _varint(data, position)
        elif wire_type == _LENGTH:
            length, content = _varint(data, position)
            position = content + length
        elif wire_type in (_FIXED64, _FIXED32):
            position += 8 if wire_type == _FIXED64 else 4
        if number == 0 or wire_type not in (_VARINT, _LENGTH, _FIXED64, _FIXED32):
            yield _Field(0, -1, start, start, start)
            return
        yield _Field(number, wire_type, start, content, position)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A base-128 number and the position after it; behind the data if it is truncated."""
    value = 0
    for count, byte in enumerate(data[position : position + 10]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    return value, min(position + 10, len(data) + 1)
