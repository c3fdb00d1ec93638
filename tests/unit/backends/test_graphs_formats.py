from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from graphs_made import classifier
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow import formats


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("graph.pb"))
    return buffer.getvalue()


def zip_() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("graph.pb", b"x")
    return buffer.getvalue()


def saved_model() -> bytes:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel(saved_model_schema_version=1)
    model.meta_graphs.add().graph_def.CopyFrom(classifier())
    return model.SerializeToString()


def meta_graph() -> bytes:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

    meta = MetaGraphDef(graph_def=classifier())
    meta.meta_info_def.tensorflow_version = "1.15.0"
    meta.saver_def.filename_tensor_name = "save/Const:0"
    return meta.SerializeToString()


# ModelProto: ir_version 8, producer_name "pytorch", a graph, an opset.
ONNX = b"\x08\x08\x12\x07pytorch\x3a\x04\x0a\x02\x0a\x00\x42\x02\x10\x0d"

FILES = {
    "a gzip archive": gzip.compress(b"x"),
    "a zip archive": zip_(),
    "a bzip2 archive": bz2.compress(b"x"),
    "an xz archive": lzma.compress(b"x"),
    "a tar archive": tar(),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + b"\0" * 9,
    "a TensorFlow Lite model": b"\x1c\x00\x00\x00TFL3" + b"\0" * 9,
    "a JPEG image": b"\xff\xd8\xff\xe0" + b"\0" * 9,
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "a checkpoint": b"\0" * 40 + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
    "an ONNX model": ONNX,
    "a web page": b"\n <!DOCTYPE html><html><title>404</title>",
}


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_file_is_recognised(name: str) -> None:
    found = formats.recognize(FILES[name])
    assert found is not None
    assert found.name.startswith(name)


@pytest.mark.parametrize(
    "page",
    [
        b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        b"<Error><Code>AccessDenied</Code></Error>",
        b'{\n  "error": {"code": 403}}',
        b"\xef\xbb\xbf<html>",
    ],
)
def test_what_a_server_answers_instead_is_a_page(page: bytes) -> None:
    found = formats.recognize(page)
    assert found is not None
    assert found.advice.startswith("Delete it and download the graph again")


def test_other_messages_of_tensorflow_are_recognised() -> None:
    assert formats.recognize(saved_model()) is formats.SAVED_MODEL
    found = formats.recognize(meta_graph())
    assert found is not None
    assert found.name.startswith("a MetaGraph")


def test_the_data_part_of_a_checkpoint_is_told_from_its_name() -> None:
    numbers = b"\x00\x00\x80\x3f" * 8
    assert formats.recognize(numbers) is None
    assert formats.recognize(numbers, "model.ckpt.data-00000-of-00001") is formats.CHECKPOINT


def test_a_graph_is_not_foreign_whatever_its_first_node_is_called() -> None:
    graph_def = classifier()
    assert formats.recognize(graph_def.SerializeToString()) is None
    named = type(graph_def)()
    # Puts "TFL3" where a TensorFlow Lite model has it.
    named.node.add(name="TFL3", op="NoOp")
    assert named.SerializeToString()[4:8] == b"TFL3"
    assert formats.recognize(named.SerializeToString()) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'node {\n  name: "x"\n}', True),
        (b"# exported\n\nversions { producer: 27 }", True),
        (b"library: <", True),
        (b"nodes", False),
        (b"", False),
    ],
)
def test_the_text_form_is_recognised(text: bytes, expected: bool) -> None:
    assert formats.is_text_graph(text) is expected


def test_a_cut_off_graph_is_explained_with_both_sizes() -> None:
    data = classifier().SerializeToString()
    for cut in (len(data) // 2, len(data) - 1):
        said = formats.explain(data[:cut])
        assert said.startswith("it is truncated: the part that starts at byte ")
        assert said.endswith(f", the file at {cut:,}; get it again")


def test_other_bytes_are_explained_by_how_they_start() -> None:
    assert formats.explain(b"hello") == "it starts with b'hello'"
    assert formats.explain(b"h" * 99) == f"it starts with {b'h' * 60!r}..."


def test_a_message_that_is_whole_can_be_damaged_inside() -> None:
    # A node of two bytes that aren't a field.
    assert formats.explain(b"\x0a\x02\xff\xff").startswith("a part inside it is damaged; it starts")


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    formats.recognize(data)
    formats.is_text_graph(data)
    assert formats.explain(data)


def test_a_file_of_a_million_empty_fields_is_looked_through_quickly() -> None:
    assert formats.recognize(b"\x0a\x00" * 1_000_000) is None
