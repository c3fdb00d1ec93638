from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from graphs_made import batch_norm, classifier, made, placeholder, save, weights

from modelzoo_runner.backends.tensorflow.inspect import (
    GraphCard,
    LayerCount,
    TensorCard,
    inspect_graph,
)
from modelzoo_runner.errors import GraphError
from modelzoo_runner.values import codec


def card(tmp_path: Path, graph_def: object) -> GraphCard:
    return inspect_graph(save(graph_def, tmp_path / "graph.pb"))


def test_a_card_says_what_the_graph_is(tmp_path: Path) -> None:
    graph_def = classifier()
    found = card(tmp_path, graph_def)
    content = (tmp_path / "graph.pb").read_bytes()
    assert found.path == str(tmp_path / "graph.pb")
    assert found.size == len(content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.producer == graph_def.versions.producer > 0
    assert found.nodes == len(graph_def.node)
    assert found.inputs == (TensorCard("input:0", "float32", (None, 8, 8, 3)),)
    assert found.outputs == (TensorCard("scores:0"),)
    assert found.operations["Conv2D"] == 1
    assert sum(found.operations.values()) == found.nodes
    # A 3x3 filter from 3 to 5 channels and its bias.
    assert found.parameters == 3 * 3 * 3 * 5 + 5
    # For each of 4x4 places.
    assert found.layers == LayerCount(1, 0, 4 * 4 * 3 * 3 * 3 * 5, 0)
    assert found.precision == "fp32"


def test_a_card_prints_as_one_page(tmp_path: Path) -> None:
    graph_def = classifier()
    page = str(card(tmp_path, graph_def))
    assert page.splitlines()[3:6] == [
        "input      input:0 float32 [?, 8, 8, 3]",
        "output     scores:0",
        f"nodes      {len(graph_def.node)}",
    ]
    assert "precision  fp32: 0 of 1 convolutions and matrix products are int8" in page
    assert "0.000 G multiply-adds for one example, 0.0% int8" in page
    assert len(page.splitlines()) < 40
    assert max(map(len, page.splitlines())) < 200


def test_a_card_shows_control_characters_and_keeps_them(tmp_path: Path) -> None:
    graph_def = classifier()
    node = graph_def.node.add(name="out\x1b[2J", op="Identity\x1b[31m")
    node.input.append("scores")
    found = inspect_graph(save(graph_def, tmp_path / "a\x1b[1m.pb"), allow_unsafe_ops=True)
    assert found.outputs == (TensorCard("out\x1b[2J:0"),)
    page = str(found)
    assert "\x1b" not in page
    for shown in (r"out\x1b[2J", r"Identity\x1b[31m", r"a\x1b[1m.pb"):
        assert shown in page


def test_a_card_is_a_value_that_json_can_carry(tmp_path: Path) -> None:
    found = card(tmp_path, classifier())
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.nodes = 1
    again = codec.from_dict(json.loads(json.dumps(codec.to_dict(found))), GraphCard)
    assert again == found


def test_a_batch_norm_in_arithmetic_does_not_hide_the_size(tmp_path: Path) -> None:
    import tensorflow as tf

    def build() -> None:
        rng = np.random.default_rng(0)
        x = placeholder(None, 8, 8, 3)
        for _ in range(2):
            x = tf.nn.conv2d(x, tf.identity(weights(rng, 1, 1, 3, 3)), 1, "SAME")
            x = tf.nn.relu(batch_norm(x, rng, "slim"))

    assert card(tmp_path, made(build)).layers.multiply_adds == 2 * 8 * 8 * 9


def test_an_unknown_image_size_leaves_the_arithmetic_open(tmp_path: Path) -> None:
    import tensorflow as tf

    def build() -> None:
        filters = weights(np.random.default_rng(0), 1, 1, 3, 3)
        tf.nn.conv2d(placeholder(None, None, None, 3), filters, 1, "SAME", name="output")

    found = card(tmp_path, made(build))
    assert found.layers == LayerCount(1, 0, None, None)
    assert "multiply-adds unknown: the size of the image isn't in the graph" in str(found)


def test_a_shape_that_is_not_stated_is_not_a_scalar(tmp_path: Path) -> None:
    import tensorflow as tf

    found = card(tmp_path, made(lambda: tf.nn.relu(tf.compat.v1.placeholder("float32", name="x"))))
    assert found.inputs == (TensorCard("x:0", "float32", None),)
    assert "input      x:0 float32\n" in str(found)


def test_all_candidates_are_shown_where_outputs_are_ambiguous(tmp_path: Path) -> None:
    import tensorflow as tf

    def build() -> None:
        x = placeholder(2)
        tf.nn.relu(x, name="a")
        tf.nn.relu(x, name="b")

    assert [each.name for each in card(tmp_path, made(build)).outputs] == ["a:0", "b:0"]


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.pb").write_text("<html>")
    with pytest.raises(GraphError, match="not a frozen graph but a web page"):
        inspect_graph(tmp_path / "page.pb")


@pytest.mark.parametrize(
    ("name", "layers", "parameters"),
    [
        # 569 million multiply-adds and 4.2 million weights: the MobileNets paper, table 4
        # (https://arxiv.org/abs/1704.04861), for 1000 classes and not the 1001 of this one.
        ("mobilenet_v1_1.0_224_frozen", LayerCount(28, 0, 568_741_376, 0), 4_254_889),
        ("mobilenet_v1_1.0_224_int8_inc", LayerCount(28, 28, 568_741_376, 568_741_376), 4_222_057),
        ("mobilenet_v1_0.25_224_frozen", LayerCount(28, 0, 41_030_528, 0), 467_593),
        (
            "ssdlite_mobilenet_v2_coco_frozen_inference_graph",
            LayerCount(88, 0, None, None),
            4_508_595,
        ),
    ],
)
def test_real_graphs(samples: Path, name: str, layers: LayerCount, parameters: int) -> None:
    found = inspect_graph(samples / "graphs" / f"{name}.pb")
    assert found.layers == layers
    assert found.parameters == parameters
