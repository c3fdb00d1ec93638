from __future__ import annotations

from pathlib import Path

import pytest
from graphs_made import classifier, graph_of, made, node, placeholder

from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.tensors import (
    DETECTION_ROLES,
    check_tensors,
    guess_tensors,
    upstream,
)
from modelzoo_runner.errors import GraphError


def refusal(graph_def: object, input: str = "input:0", **outputs: str) -> str:
    with pytest.raises(GraphError) as error:
        check_tensors(graph_def, input, outputs or {"scores": "scores:0"})
    return str(error.value)


def two_inputs() -> object:
    import tensorflow as tf

    def build() -> None:
        total = placeholder(2) + placeholder(2, name="mask")
        tf.split(total, 2, name="halves")
        tf.identity([1.0], name="alone")

    return made(build)


def test_tensors_that_are_there_pass() -> None:
    check_tensors(classifier(), "input:0", {"scores": "scores:0", "inner": "conv:0"})


def test_an_inner_tensor_can_be_fed() -> None:
    check_tensors(classifier(), "conv:0", {"scores": "scores:0"})


def test_an_absent_tensor_is_refused_with_the_near_names() -> None:
    assert refusal(classifier(), "imput:0") == (
        "input: there is no tensor 'imput:0' in the graph. Did you mean 'input:0'?"
    )
    assert refusal(classifier(), scores="score:0").endswith("Did you mean 'scores:0'?")


def test_an_absent_tensor_without_near_names_is_refused_with_the_candidates() -> None:
    assert refusal(classifier(), "zzzzzz:0").endswith("Placeholders: 'input'")
    assert refusal(classifier(), boxes="zzzzzz:0").endswith("Nodes that nothing follows: 'scores'")


@pytest.mark.parametrize("name", ["scores", "scores:", "scores:x", "scores:-1"])
def test_a_tensor_without_its_number_is_refused_with_the_number(name: str) -> None:
    assert refusal(classifier(), scores=name) == (
        f"scores: {name!r} names a node; a tensor needs the number of the node's output too: "
        "'scores:0'"
    )


def test_an_output_number_that_is_too_high_is_refused() -> None:
    assert refusal(classifier(), scores="scores:1") == (
        "scores: there is no tensor 'scores:1'. Node 'scores' (Softmax) has 1 of them, numbered "
        "from 0"
    )
    assert refusal(two_inputs(), scores="halves:2").endswith("has 2 of them, numbered from 0")


def test_a_placeholder_that_nobody_feeds_is_refused() -> None:
    said = refusal(two_inputs(), scores="halves:0")
    assert said.startswith("the outputs need 'mask' fed too, and only 'input:0' is")


def test_outputs_that_ignore_the_input_are_refused() -> None:
    assert refusal(two_inputs(), scores="alone:0") == (
        "none of the outputs ('alone:0') depends on the input 'input:0'"
    )


def test_the_only_placeholder_and_the_only_end_are_guessed() -> None:
    assert guess_tensors(classifier()) == ("input:0", {"scores": "scores:0"})


def test_a_detectors_outputs_are_guessed_by_name() -> None:
    nodes = [node(role, "Relu", "image_tensor") for role in DETECTION_ROLES]
    graph_def = graph_of(
        node("image_tensor", "Placeholder"), *nodes, node("masks", "Relu", nodes[0].name)
    )
    assert guess_tensors(graph_def) == (
        "image_tensor:0",
        {role: f"{role}:0" for role in DETECTION_ROLES},
    )


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([("a", "Relu", "b"), ("b", "Const")], "the only placeholder, and there is none"),
        (
            [("a", "Placeholder"), ("b", "Placeholder"), ("c", "AddV2", "a", "b")],
            "the only placeholder, and there are 2 of them ('a', 'b')",
        ),
        (
            [("a", "Placeholder"), *((f"n{i}", "Relu", "a") for i in range(10))],
            "the only node that nothing follows, and there are 10 of them ('n0', 'n1', 'n2', 'n3', "
            "'n4', 'n5', 'n6', 'n7' and 2 more)",
        ),
    ],
)
def test_an_ambiguous_graph_is_refused_with_the_candidates(
    nodes: list[tuple[str, ...]], said: str
) -> None:
    with pytest.raises(GraphError) as error:
        guess_tensors(graph_of(*(node(*each) for each in nodes)))
    assert said in str(error.value)
    assert str(error.value).endswith("Name the tensors yourself")


def test_upstream_stops_where_it_is_told() -> None:
    nodes = {each.name: each for each in classifier().node}
    assert "input" in upstream(nodes, ["scores:0"])
    assert "input" not in upstream(nodes, ["scores:0"], stop="conv")


@pytest.mark.parametrize(
    ("name", "input", "outputs"),
    [
        ("mobilenet_v1_0.25_224_frozen", "input:0", ["predictions:0"]),
        ("mobilenet_v1_1.0_224_int8_inc", "input:0", ["MobilenetV1/Predictions/Reshape_1:0"]),
        ("intel_ssdmobilenet_preprocess", "image_tensor:0", ["Preprocessor/sub:0"]),
        (
            "ssdlite_mobilenet_v2_coco_frozen_inference_graph",
            "image_tensor:0",
            [f"{role}:0" for role in DETECTION_ROLES],
        ),
    ],
)
def test_real_graphs_are_guessed(samples: Path, name: str, input: str, outputs: list[str]) -> None:
    graph_def = read_graph(samples / "graphs" / f"{name}.pb")
    found_input, found_outputs = guess_tensors(graph_def)
    assert (found_input, list(found_outputs.values())) == (input, outputs)
    check_tensors(graph_def, found_input, found_outputs)
