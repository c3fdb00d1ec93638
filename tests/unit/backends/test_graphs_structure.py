from __future__ import annotations

import numpy as np
import pytest
from graphs_made import classifier, graph_of, node, while_loop
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow import structure
from modelzoo_runner.errors import GraphError


def refusal(graph_def: object) -> str:
    with pytest.raises(GraphError) as error:
        structure.check(graph_def)
    return str(error.value)


def function(name: str, *nodes: object, argument: str = "x") -> object:
    from tensorflow.core.framework.function_pb2 import FunctionDef

    made = FunctionDef(node_def=nodes)
    made.signature.name = name
    made.signature.input_arg.add(name=argument)
    return made


def with_functions(*functions: object) -> object:
    graph_def = graph_of(node("x", "Placeholder"))
    graph_def.library.function.extend(functions)
    return graph_def


def test_a_whole_graph_passes() -> None:
    structure.check(classifier())
    structure.check(while_loop())


def test_a_graph_without_nodes_is_refused() -> None:
    assert refusal(graph_of()) == "not a frozen graph: there are no nodes in it"


@pytest.mark.parametrize("op", sorted(structure.VARIABLES))
def test_variables_are_counted(op: str) -> None:
    said = refusal(graph_of(node("a", op), node("b", op), node("c", "Identity", "a")))
    assert said.startswith(f"not frozen: 2 variables ({op}), whose values are in a checkpoint")
    assert "convert_variables_to_constants" in said


def test_variables_in_functions_are_counted() -> None:
    hidden = function("f", node("v", "VarHandleOp"))
    assert refusal(with_functions(hidden)).startswith("not frozen: 1 variables (VarHandleOp)")


def test_a_name_used_twice_is_refused() -> None:
    said = refusal(graph_of(node("a", "NoOp"), node("b", "NoOp"), node("a", "NoOp")))
    assert said == "1 names are used twice, the first is 'a'"
    in_function = function("f", node("x", "NoOp"))
    assert refusal(with_functions(in_function)) == (
        "1 names are used twice in function 'f', the first is 'x'"
    )


@pytest.mark.parametrize(("name", "op"), [("", "NoOp"), ("a", "")])
def test_a_node_without_name_or_operation_is_refused(name: str, op: str) -> None:
    assert refusal(graph_of(node(name, op))) == (
        f"a node without a name or an operation (name {name!r}, operation {op!r}): the file is "
        "damaged"
    )


@pytest.mark.parametrize("tensor", ["gone", "gone:1", "^gone"])
def test_an_input_from_nowhere_is_refused(tensor: str) -> None:
    said = refusal(graph_of(node("a", "Relu", tensor)))
    assert "node 'a'" in said and "'gone'" in said and "no such node" in said


def test_functions_take_inputs_from_their_arguments() -> None:
    structure.check(
        with_functions(function("f", node("a", "Relu", "x"), node("b", "Relu", "a:y:0")))
    )
    said = refusal(with_functions(function("f", node("a", "Relu", "y"))))
    assert said.startswith("node 'a' in function 'f' takes its input from 'y'")


def test_nodes_that_feed_themselves_are_refused() -> None:
    assert refusal(graph_of(node("a", "Relu", "a"))).startswith(
        "nodes feed themselves in a cycle: a -> a. Only TensorFlow 1 loops may"
    )
    two = graph_of(node("a", "Relu", "b"), node("b", "Relu", "^a"))
    assert refusal(two).startswith("nodes feed themselves in a cycle: ")
    many = [node(f"n{i}", "Relu", f"n{(i + 1) % 5000}") for i in range(5000)]
    assert " -> ... -> " in refusal(graph_of(*many))


def test_functions_that_call_themselves_are_refused() -> None:
    call = node("c", "StatefulPartitionedCall", "x")
    call.attr["f"].func.name = "g"
    said = refusal(with_functions(function("f", call), function("g", node("d", "f", "x"))))
    assert said.startswith("functions call themselves in a cycle: ")
    branches = node("c", "Case", "x")
    branches.attr["branches"].list.func.add().name = "f"
    assert "f -> f" in refusal(with_functions(function("f", branches)))


def constant(shape: list[int], dtype: int = 1, content: bytes = b"", op: str = "Const") -> object:
    made = node("c", op)
    tensor = made.attr["value"].tensor
    tensor.dtype = dtype
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = content
    if not content and dtype == 1:
        tensor.float_val.append(0)
    return made


@pytest.mark.parametrize("shape", [[2**40], [2**20, 2**20], [2**31, 2**31, 2**31]])
def test_a_tiny_file_with_a_huge_constant_is_refused(shape: list[int]) -> None:
    for op in ("Const", "HostConst", "Anything"):
        said = refusal(graph_of(constant(shape, op=op)))
        assert said.startswith(f"node 'c' declares a constant of shape {shape}: ")
        assert "bytes beyond what is in the file (allowed: 1,073,741,824)" in said


def test_many_constants_count_together() -> None:
    made = [constant([2**26]) for _ in range(5)]
    for number, each in enumerate(made):
        each.name = f"c{number}"
    structure.check(graph_of(*made[:3]))
    assert refusal(graph_of(*made)).startswith("node 'c4' declares a constant")


def test_a_huge_constant_in_a_function_or_a_list_is_refused() -> None:
    assert "node 'c' in function 'f' declares" in refusal(
        with_functions(function("f", constant([2**40])))
    )
    listed = node("c", "Anything")
    listed.attr["values"].list.tensor.add().CopyFrom(constant([2**40]).attr["value"].tensor)
    assert "declares a constant of shape [1099511627776]" in refusal(graph_of(listed))


def test_a_constant_with_other_bytes_than_its_shape_is_refused() -> None:
    assert refusal(graph_of(constant([2, 2], content=b"\0" * 12))) == (
        "node 'c' has a constant of shape [2, 2] and type float32, 16 bytes, of which 12 are in "
        "the file: it is damaged"
    )
    structure.check(graph_of(constant([2, 2], content=b"\0" * 16)))


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ([-1], 1, "has a constant of unknown shape [-1]: the file is damaged"),
        ([1], 999, "has a constant of unknown type number 999"),
        ([1], 20, "has a constant of type resource, which may hold anything"),
        ([1], 21, "has a constant of type variant, which may hold anything"),
    ],
)
def test_a_constant_of_no_known_kind_is_refused(shape: list[int], dtype: int, said: str) -> None:
    assert refusal(graph_of(constant(shape, dtype))) == f"node 'c' {said}"


def test_text_constants_are_counted_by_what_an_entry_takes() -> None:
    made = constant([2**30], dtype=7)
    made.attr["value"].tensor.string_val.append(b"")
    assert "beyond what is in the file" in refusal(graph_of(made))
    structure.check(graph_of(constant([3], dtype=7)))


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3), st.booleans()),
        min_size=1,
        max_size=10,
    )
)
def test_any_wiring_is_accepted_or_refused(wires: list[tuple[int, list[int], bool]]) -> None:
    nodes = [
        node(f"n{name}", "Merge" if merge else "NextIteration", *(f"n{each}" for each in inputs))
        for name, inputs, merge in wires
    ]
    try:
        structure.check(graph_of(*nodes))
    except GraphError as error:
        assert "n" in str(error)


def test_the_way_back_of_a_loop_is_not_waited_for() -> None:
    nodes = {each.name: each for each in while_loop().node}
    merges = [name for name, each in nodes.items() if each.op == "Merge"]
    assert merges
    before = structure.predecessors(nodes.values())
    for name in merges:
        assert [nodes[each].op for each in before[name]] == ["Enter"]
    assert np.sum([each.op == "NextIteration" for each in nodes.values()]) == len(merges)
