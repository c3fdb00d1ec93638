"""Graphs that are larger than any, or whose nodes aren't what their operations take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs_made import classifier, made, node, placeholder, save

from modelzoo_runner import inspect_graph
from modelzoo_runner.backends.tensorflow import bounds, load, prepare
from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.errors import GraphError

GraphDef = Any


def refusal(graph_def: GraphDef) -> str:
    with pytest.raises(GraphError) as error:
        load.resolve_graph(graph_def, input="input:0", outputs={"scores": "output:0"})
    return str(error.value)


def split(count: int, op: str = "Split", name: str = "num_split") -> GraphDef:
    import tensorflow as tf

    graph_def = made(lambda: placeholder(4, 4))
    if op == "Split":
        graph_def.MergeFrom(made(lambda: tf.constant(0, name="axis")))
    inputs = {
        "Split": ("axis", "input"),
        "Unpack": ("input",),
        "DynamicPartition": ("input", "input"),
    }[op]
    graph_def.node.append(node("output", op, *inputs))
    graph_def.node[-1].attr["T"].type = 1
    graph_def.node[-1].attr[name].i = count
    return graph_def


@pytest.mark.parametrize(
    ("op", "name"),
    [("Split", "num_split"), ("Unpack", "num"), ("DynamicPartition", "num_partitions")],
)
def test_a_node_with_billions_of_outputs_is_refused(op: str, name: str) -> None:
    said = refusal(split(2**31 - 1, op, name))
    assert f"'output' ({op}) has outputs: 2,147,483,647" in said and "allowed: 4,096" in said


def test_functions_that_call_each_other_twice_are_counted_as_they_are_inlined() -> None:
    graph_def = classifier()
    for number in range(24):
        function = graph_def.library.function.add()
        function.signature.name = f"f{number}"
        for each in ("a", "b"):
            function.node_def.add(name=each, op=f"f{number + 1}" if number < 23 else "NoOp")
    graph_def.node.add(name="call", op="f0")
    with pytest.raises(GraphError, match="more than 100,000 nodes, with each call of a function"):
        bounds.check(graph_def)
    del graph_def.library.function[:12]
    graph_def.node[-1].op = "f12"
    bounds.check(graph_def)


def test_a_shape_with_a_size_that_no_tensor_has_is_refused() -> None:
    import tensorflow as tf

    graph_def = made(lambda: placeholder(1, 4, 4, 3))
    sizes = made(lambda: tf.constant([1, 2**30, 2**30, 3], name="sizes"))
    graph_def.node.extend(sizes.node)
    graph_def.node.append(node("output", "Conv2DBackpropInput", "sizes", "input", "input"))
    attributes = graph_def.node[-1].attr
    attributes["T"].type = 1
    attributes["strides"].list.i.extend([1, 1, 1, 1])
    attributes["padding"].s = b"SAME"
    assert "to make: 3,458,764,513,820,540,928" in refusal(graph_def)


@pytest.mark.parametrize("size", [2**31 - 1, -(2**31)])
def test_an_array_of_two_billion_tensors_is_refused(size: int) -> None:
    import tensorflow as tf

    graph_def = made(lambda: (placeholder(1), tf.constant(size, name="size")))
    graph_def.node.append(node("output", "TensorArrayV3", "size"))
    graph_def.node[-1].attr["dtype"].type = 1
    assert "a list of so many tensors to make: 2,147,48" in refusal(graph_def)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda each: each.attr["T"].Clear(), "should be of type type"),
        (lambda each: each.attr["T"].__setattr__("type", -1), "of unknown type number -1"),
        (lambda each: each.attr["T"].__setattr__("type", 0), "of unknown type number 0"),
        (lambda each: each.attr.pop("T"), "has no attribute 'T'"),
        (lambda each: each.input.pop(), "has 1 inputs and takes 2"),
        (lambda each: each.attr["strides"].__setattr__("s", b"x"), "should be of type list(int)"),
        (lambda each: each.attr["x"].__setattr__("s", b"x" * 2**21), "of so many bytes: 2,097,1"),
        (lambda each: each.attr["x"].shape.dim.extend(300 * [_dim(1)]), "dimensions: 300"),
        (lambda each: each.attr["x"].shape.dim.extend(3 * [_dim(2**40)]), "so many numbers: 1,3"),
    ],
)
def test_a_node_that_is_not_what_its_operation_takes_is_refused(change: Any, said: str) -> None:
    graph_def = classifier()
    (convolution,) = (each for each in graph_def.node if each.op == "Conv2D")
    change(convolution)
    with pytest.raises(GraphError) as error:
        bounds.check(graph_def)
    assert said in str(error.value) and "'conv' (Conv2D)" in str(error.value)


def _dim(size: int) -> Any:
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

    return TensorShapeProto.Dim(size=size)


@pytest.mark.parametrize("type_number", [0, -1, 99])
def test_placeholders_of_no_type_are_refused(tmp_path: Path, type_number: int) -> None:
    graph_def = classifier()
    (fed,) = (each for each in graph_def.node if each.op == "Placeholder")
    fed.attr["dtype"].type = type_number
    with pytest.raises(GraphError, match="unknown type number"):
        inspect_graph(save(graph_def, tmp_path / "graph.pb"))


def test_a_file_of_empty_nodes_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"\x0a\x00" * 300_000)
    with pytest.raises(GraphError, match="more than 100,000 nodes"):
        load.read_graph(path)
    library = b"\x0a\x04" + 2 * b"\x1a\x00"  # a function with two nodes
    content = 100_000 * library
    size = len(content)
    varint = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    path.write_bytes(b"\x0a\x04\x0a\x02ab" + b"\x12" + varint + content)
    with pytest.raises(GraphError, match="more than 100,000 nodes"):
        load.read_graph(path)


def chain(length: int) -> GraphDef:
    graph_def = classifier()
    before = "scores"
    for number in range(length):
        each = graph_def.node.add(name=f"i{number}", op="Identity", input=[before])
        each.attr["T"].type = 1
        before = each.name
    return graph_def


def test_a_long_chain_is_walked_once(tmp_path: Path) -> None:
    """Each node is read a few times at most: not once for every other one that it passes on to."""
    graph_def = chain(10_000)
    card = inspect_graph(save(graph_def, tmp_path / "graph.pb"))
    assert card.operations["Identity"] == 10_000
    draft = Draft(graph_def, fixed=())
    assert prepare.remove_pass_through(draft) == 10_000
    assert "i9999" not in draft.nodes


def test_constants_that_would_grow_or_do_not_fit_are_left_alone() -> None:
    import tensorflow as tf

    def build() -> None:
        wide, tall = tf.ones([1, 50_000]), tf.ones([50_000, 1])
        placeholder(1)
        tf.multiply(wide, tall, name="huge")  # 10 GB

    draft = Draft(made(build), fixed=["huge"])
    assert prepare.fold_constants(draft) == 0
    three = made(lambda: tf.constant(np.zeros(3, "f4"), name="three"))
    three.MergeFrom(made(lambda: tf.constant(np.zeros(4, "f4"), name="four")))
    three.node.append(node("sum", "AddV2", "three", "four"))
    assert prepare.fold_constants(Draft(three, fixed=["sum"])) == 0


def test_a_large_constant_that_thousands_share_is_read_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    from modelzoo_runner.backends.tensorflow import draft as drafts

    monkeypatch.setattr(drafts, "READ_LEAST", 0)

    def build() -> None:
        shared = tf.constant(np.ones(10_000, "f4"), name="shared")
        for _ in range(100):
            tf.negative(shared)

    graph_def = made(build)
    draft = Draft(graph_def, fixed=[])
    assert 3 <= prepare.fold_constants(draft) <= drafts.READ_TIMES + 2
