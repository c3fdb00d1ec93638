from __future__ import annotations

import os
from pathlib import Path

import pytest
from graphs_made import classifier, graph_of, made, node, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow import load
from modelzoo_runner.errors import GraphError, RequestError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def refusal(path: Path | str, **options: bool) -> str:
    with pytest.raises(GraphError) as error:
        load.read_graph(path, **options)
    return str(error.value)


def written(folder: Path, data: bytes, name: str = "graph.pb") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_binary_graph_is_read(folder: Path) -> None:
    graph_def = classifier()
    assert load.read_graph(save(graph_def, folder / "binary.pb")) == graph_def


@pytest.mark.parametrize("name", ["graph.pbtxt", "text-in-truth.pb"])
def test_a_text_graph_is_read_whatever_it_is_called(folder: Path, name: str) -> None:
    from google.protobuf import text_format

    graph_def = classifier()
    path = folder / name
    path.write_text("# a comment\n" + text_format.MessageToString(graph_def))
    assert load.read_graph(path) == graph_def


def test_a_wrong_text_graph_is_refused_with_the_line(folder: Path) -> None:
    path = written(folder, b'node {\n  name: "x"\n  kind: "y"\n}\n', "wrong.pbtxt")
    said = refusal(path)
    assert said.startswith(f"{path}: a graph in text form that can't be read: 3:")
    assert "kind" in said


def test_a_text_graph_too_long_to_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "LARGEST_TEXT", 20)
    path = written(folder, b'node { name: "x" op: "NoOp" }', "long.pbtxt")
    assert "takes minutes to read (allowed: 20); turn it into a binary .pb" in refusal(path)


def test_what_is_not_there_is_named_with_its_absolute_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert refusal("no.pb") == f"{folder / 'no.pb'}: can't be read: No such file or directory"
    # Python 3.11 and 3.12, and Python 3.13.
    words = ("embedded null byte", "stat: embedded null character in path")
    assert refusal("a\0b.pb").endswith(tuple(f"can't be read: {each}" for each in words))


def test_a_folder_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: is a folder, not a file, and there is no .pb in it"
    (tmp_path / "frozen.pb").touch()
    assert refusal(tmp_path).endswith("not a file: give the path of a .pb in it (frozen.pb)")
    (tmp_path / "checkpoint").touch()
    assert "is a folder, a checkpoint, which has weights and no frozen graph" in refusal(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    said = refusal(tmp_path)
    assert "is a folder, a SavedModel." in said and "benchmark() and accuracy() freeze it" in said


def test_an_unreadable_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = save(classifier(), tmp_path / "secret.pb")
    path.chmod(0)
    if os.access(path, os.R_OK):
        # Root may read anything: a file in place of a folder is another reason.
        path = path / "graph.pb"
    assert refusal(path).startswith(f"{path}: can't be read: ")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pb")
    assert refusal(tmp_path / "pipe.pb").endswith("is a device or a pipe; a graph is a file")


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pb").symlink_to(tmp_path / "b.pb")
    (tmp_path / "b.pb").symlink_to(tmp_path / "a.pb")
    assert "can't be read: Too many levels of symbolic links" in refusal(tmp_path / "a.pb")


def test_a_file_beyond_protobufs_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.pb"
    with path.open("wb") as file:
        file.truncate(2**31)
    assert refusal(path) == (
        f"{path}: has 2,147,483,648 bytes; a graph can have at most 2,147,483,647 (protobuf's "
        "limit)"
    )


@pytest.mark.parametrize(
    "name", ["a b.pb", 'it\'s "q".pb', "a;rm -rf.pb", "a\nb.pb", "größe-图.pb", "~x.pb", "-f.pb"]
)
def test_any_file_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    save(classifier(), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert load.read_graph(tmp_path / name).node
    assert load.read_graph(name).node


def test_a_leading_tilde_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(classifier(), tmp_path / "graph.pb")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load.read_graph("~/graph.pb").node
    assert "can't be read" in refusal("~nobody-of-this-name/graph.pb")


def test_an_empty_file_is_refused(folder: Path) -> None:
    path = written(folder, b"", "empty.pb")
    assert refusal(path) == f"{path}: is empty (0 bytes); get it again"


def test_a_page_saved_as_a_graph_is_refused_with_its_start(folder: Path) -> None:
    path = written(folder, b"<html><title>404 Not Found</title></html>", "page.pb")
    said = refusal(path)
    assert said.startswith(f"{path}: not a frozen graph but a web page or an XML/JSON answer")
    assert "It starts with b'<html><title>404 Not Found</title></html>'" in said
    assert said.endswith("look at the file to see what the server said.")


def test_a_truncated_graph_is_refused(folder: Path) -> None:
    data = classifier().SerializeToString()
    said = refusal(written(folder, data[: len(data) // 2], "half.pb"))
    assert f"not a frozen graph ({len(data) // 2:,} bytes): it is truncated" in said


def test_a_graph_truncated_between_two_nodes_is_refused(folder: Path) -> None:
    graph_def = classifier()
    del graph_def.node[0]
    said = refusal(save(graph_def, folder / "between.pb"))
    assert "takes its input from 'input', and there is no such node" in said


def test_random_bytes_are_refused_with_their_start(folder: Path) -> None:
    said = refusal(written(folder, b"\xf3\x9a\x01random", "random.pb"))
    assert said.endswith("(9 bytes): it starts with b'\\xf3\\x9a\\x01random'")


def test_a_message_without_nodes_is_refused(folder: Path) -> None:
    path = written(folder, b"\x22\x02\x08\x1b", "nodeless.pb")
    assert refusal(path) == (
        f"{path}: not a frozen graph: no node in 4 bytes, which start with b'\"\\x02\\x08\\x1b'"
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_graphs_are_read_or_refused_and_nothing_else(
    folder: Path, data: st.DataObject
) -> None:
    content = bytearray(chain())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = written(folder, bytes(content[: data.draw(st.integers(1, len(content)))]), "damaged.pb")
    try:
        load.read_graph(path)
    except GraphError as error:
        assert str(path) in str(error)


def chain() -> bytes:
    names = ("input", "Placeholder"), ("relu", "Relu", "input"), ("scores", "Softmax", "relu")
    content: bytes = graph_of(*(node(*each) for each in names)).SerializeToString()
    return content


def test_unsafe_operations_are_refused_unless_trusted(folder: Path) -> None:
    import tensorflow as tf

    graph_def = made(lambda: tf.io.read_file(tf.constant("x"), name="leak"))
    path = save(graph_def, folder / "u.pb")
    assert "ReadFile (node 'leak')" in refusal(path)
    assert len(load.read_graph(path, allow_unsafe_ops=True).node) == 2


def test_an_unfrozen_graph_is_refused_with_its_variables_trusted_or_not(samples: Path) -> None:
    path = samples / "graphs" / "resnet_v1_50_slim_structure_NO_WEIGHTS.pb"
    for allow_unsafe_ops in (False, True):
        assert f"{path}: not frozen: 267 variables (VariableV2)" in refusal(
            path, allow_unsafe_ops=allow_unsafe_ops
        )


def test_real_graphs_are_read(samples: Path) -> None:
    paths = [path for path in (samples / "graphs").glob("*.pb") if "NO_WEIGHTS" not in path.name]
    assert paths
    for path in paths:
        assert load.read_graph(path).node


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(RequestError) as error:
        load.read_graph(5)  # type: ignore[arg-type]
    assert str(error.value) == "graph=5: should be text or a path"
