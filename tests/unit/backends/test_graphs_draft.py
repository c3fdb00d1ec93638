from __future__ import annotations

import numpy as np
import pytest
from graphs_made import classifier, graph_of, node

from modelzoo_runner.backends.tensorflow.draft import Draft, data


def draft(*nodes: tuple[str, ...], fixed: tuple[str, ...] = ()) -> Draft:
    return Draft(graph_of(*(node(*each) for each in nodes)), fixed)


def test_a_draft_is_a_copy() -> None:
    graph_def = classifier()
    before = graph_def.SerializeToString()
    copy = Draft(graph_def, ["scores"])
    assert copy.graph_def() == graph_def
    copy.nodes["conv"].op = "Other"
    copy.keep_only(["conv"])
    assert graph_def.SerializeToString() == before


def test_versions_and_functions_are_kept() -> None:
    graph_def = classifier()
    graph_def.versions.producer = 27
    graph_def.library.function.add().signature.name = "f"
    assert Draft(graph_def, []).graph_def() == graph_def


@pytest.mark.parametrize(
    ("edges", "fixed", "expected"),
    [
        ([("b", "Relu", "a")], (), "b"),
        ([("b", "Relu", "a"), ("c", "Relu", "a")], (), None),
        ([("b", "Relu", "a"), ("c", "Relu", "^a")], (), None),
        ([("b", "Mul", "a", "a")], (), None),
        ([("b", "Relu", "a:1")], (), None),
        ([("b", "Relu", "^a")], (), None),
        ([("b", "Relu", "a")], ("a",), None),
        ([], (), None),
    ],
)
def test_the_only_user_needs_the_first_output_and_nobody_else_does(
    edges: list[tuple[str, ...]], fixed: tuple[str, ...], expected: str | None
) -> None:
    made = draft(("a", "Split"), *edges, fixed=fixed)
    found = made.only_user("a", made.users())
    assert (found and found.name) == expected


def test_constants_are_read_unless_they_wait_for_a_node() -> None:
    made = draft(("a", "NoOp"))
    name = made.add_constant("c", np.float32([1, 2]))
    assert name == "c"
    np.testing.assert_array_equal(made.constant("c:0"), [1, 2])
    assert made.constant("a") is None
    assert made.constant("gone") is None
    assert made.constant("^c") is None
    made.nodes["c"].input.append("^a")
    assert made.constant("c") is None


def test_a_new_constant_takes_a_free_name() -> None:
    made = draft(("c", "NoOp"), ("c_1", "NoOp"))
    assert made.add_constant("c", np.float64(1)) == "c_2"
    assert made.nodes["c_2"].attr["dtype"].type == 2  # DT_DOUBLE


def test_fixed_nodes_are_kept() -> None:
    made = draft(("a", "X"), ("b", "X", "a"), ("c", "X"), ("d", "X", "b"), fixed=("c",))
    assert made.keep_only(["b"]) == 1
    assert sorted(made.nodes) == ["a", "b", "c"]


def test_an_edge_carries_the_first_output_or_another_thing() -> None:
    assert [data(each) for each in ("a", "a:0", "a:1", "^a")] == ["a", "a", None, None]
