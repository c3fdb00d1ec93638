"""Read a file as a graph and check it: complete, frozen, well formed, only allowed operations.

Nothing of the graph runs here. Whether this TensorFlow has its kernels, `kernels` checks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import bounds, feeding, formats, operations, structure
from modelzoo_runner.backends.tensorflow.tensors import check_tensors, guess_tensors
from modelzoo_runner.errors import GraphError
from modelzoo_runner.values import validate as arguments

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

LARGEST_FILE = 2**31 - 1
"""Bytes: protobuf has no larger messages."""

LARGEST_TEXT = 2**26
"""Bytes: protobuf's text form is read at about a megabyte a second."""


def read_graph(path: str | os.PathLike[str], *, allow_unsafe_ops: bool = False) -> GraphDef:
    """The frozen graph in a file, checked in every way that needs no tensor names.

    Both of protobuf's forms are read, binary (.pb) and text (.pbtxt), whatever the file is called.
    A graph is a program. Unless `allow_unsafe_ops` is true, an operation that isn't on the list of
    those that image models compute with is refused, because it might read files or run code.

    Raises:
        GraphError: the file can't be read, is something else (which format, and what to do with
            it), is truncated, isn't frozen (with the number of variables), is damaged, or has
            operations that aren't allowed.
    """
    path = locate(path)
    return parse(read_bytes(path), path, allow_unsafe_ops=allow_unsafe_ops)


def resolve_graph(
    graph: GraphDef | str | os.PathLike[str],
    *,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    allow_unsafe_ops: bool = False,
) -> tuple[GraphDef, str, Mapping[str, str]]:
    """The graph, checked, with the tensor to feed and those to fetch (role: tensor).

    `graph` is a path or a GraphDef; tensors that aren't named are found by `guess_tensors`.

    Raises:
        GraphError: as `read_graph`, `guess_tensors` and `check_tensors` do.
    """
    if isinstance(graph, (str, os.PathLike)):
        graph = read_graph(graph, allow_unsafe_ops=allow_unsafe_ops)
    else:
        graph = _checked(graph, allow_unsafe_ops=allow_unsafe_ops)
    if input is None or not outputs:
        found_input, found_outputs = guess_tensors(graph, outputs)
        input, outputs = input or found_input, outputs or found_outputs
    check_tensors(graph, input, outputs)
    return graph, input, outputs


def locate(path: str | os.PathLike[str]) -> Path:
    """The path as the file system knows it: a leading `~` is the home folder unless it exists.

    Raises:
        RequestError: it is no path.
    """
    found = Path(arguments.text("graph", path))
    if found.parts[:1] and found.parts[0].startswith("~") and not os.path.lexists(found):
        try:
            return found.expanduser()
        except RuntimeError as error:
            raise GraphError(f"{found}: can't be read: {error}") from None
    return found


def read_bytes(path: Path) -> bytes:
    """All of a file, unless it is empty, no file, or larger than a graph can be.

    Raises:
        GraphError: with the absolute path and the reason.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise GraphError(f"{path.absolute()}: is a folder, {_what_folder(path)}")
        if not stat.S_ISREG(status.st_mode):
            raise GraphError(f"{path.absolute()}: is a device or a pipe; a graph is a file")
        if status.st_size > LARGEST_FILE:
            raise GraphError(
                f"{path.absolute()}: has {status.st_size:,} bytes; a graph can have at most "
                f"{LARGEST_FILE:,} (protobuf's limit)"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise GraphError(f"{path.absolute()}: can't be read: {reason}") from None
    if not data:
        raise GraphError(f"{path.absolute()}: is empty (0 bytes); get it again")
    return data


def parse(data: bytes, path: Path, *, allow_unsafe_ops: bool = False) -> GraphDef:
    """The graph in these bytes, which came from `path`; see `read_graph`."""
    graph_def = _parse_text(data, path) if formats.is_text_graph(data) else _parse(data, path)
    try:
        return _checked(graph_def, allow_unsafe_ops=allow_unsafe_ops)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None


def _checked(graph_def: GraphDef, *, allow_unsafe_ops: bool) -> GraphDef:
    """The graph without an input pipeline, if the rest is well formed and allowed."""
    structure.check(graph_def)
    bounds.check(graph_def)
    graph_def = feeding.without_pipeline(graph_def)
    if not allow_unsafe_ops:
        operations.check(graph_def)
    return graph_def


def _parse(data: bytes, path: Path) -> GraphDef:
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.graph_pb2 import GraphDef

    # First what it might be instead: parts of another message can pass for a graph.
    foreign = formats.recognize(data, path.name)
    if foreign is not None:
        raise GraphError(
            f"{path}: not a frozen graph but {foreign.name}. It starts with {formats.show(data)}. "
            f"{foreign.advice}"
        )
    try:
        bounds.check_message(data)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None
    graph_def = GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError:
        raise GraphError(
            f"{path}: not a frozen graph ({len(data):,} bytes): {formats.explain(data)}"
        ) from None
    if not graph_def.node:
        raise GraphError(
            f"{path}: not a frozen graph: no node in {len(data):,} bytes, which start with "
            f"{formats.show(data)}"
        )
    return graph_def


def _parse_text(data: bytes, path: Path) -> GraphDef:
    from google.protobuf import text_format
    from tensorflow.core.framework.graph_pb2 import GraphDef

    if len(data) > LARGEST_TEXT:
        raise GraphError(
            f"{path}: a graph in text form of {len(data):,} bytes takes minutes to read (allowed: "
            f"{LARGEST_TEXT:,}); turn it into a binary .pb with tf.io.write_graph(..., "
            "as_text=False)"
        )
    try:
        graph_def: GraphDef = text_format.Parse(data.decode(), GraphDef())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise GraphError(f"{path}: a graph in text form that can't be read: {error}") from None
    return graph_def


def _what_folder(path: Path) -> str:
    """What a folder might be, and what to do with it."""
    if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
        return f"{formats.SAVED_MODEL.name}. {formats.SAVED_MODEL.advice}"
    if (path / "checkpoint").exists() or any(path.glob("*.index")):
        return f"{formats.CHECKPOINT.name}. {formats.CHECKPOINT.advice}"
    graphs = sorted(each.name for each in path.glob("*.pb"))[:5]
    if not graphs:
        return "not a file, and there is no .pb in it"
    return f"not a file: give the path of a .pb in it ({', '.join(graphs)})"
