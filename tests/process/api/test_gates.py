"""stop_when="decided": a real run ends early, unless its data is sorted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import AccuracyResult, RequestError, accuracy, load

IMAGES = 160


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    return tiny.classifier(folder / "graph.pb", output="predict:0", size=(224, 224))


def scored(graph: Path, data: Path, **gates: Any) -> AccuracyResult:
    return accuracy(
        "resnet50",
        weights=graph,
        data_location=data,
        batch_size=4,
        num_inter_threads=1,
        allocator="system",
        **gates,
    )


def test_it_ends_when_the_gate_is_decided(graph: Path, tmp_path: Path) -> None:
    data = tiny.shards(tmp_path / "shards", images=IMAGES, shuffled=True)
    found = scored(graph, data, min_scores={"top1": 0.5}, stop_when="decided")
    assert found.examples < IMAGES == found.available
    (gate,) = found.gates
    assert gate.outcome == "failed" and gate.interval is not None and gate.interval[1] < 0.5
    assert any(f"ended after {found.examples} of {IMAGES}" in said for said in found.warnings)
    assert load(found.save(tmp_path / "a.json")) == found
    # The whole run agrees.
    whole = scored(graph, data, min_scores={"top1": 0.5})
    assert whole.examples == IMAGES and whole.gates[0].outcome == "failed"
    assert gate.interval[0] <= whole.scores["top1"] <= gate.interval[1]


def test_sorted_data_is_scored_whole_with_a_warning(graph: Path, tmp_path: Path) -> None:
    data = tiny.shards(tmp_path / "shards", images=40, files=1)
    found = scored(graph, data, min_scores={"top1": 0.5}, stop_when="decided")
    assert found.examples == 40
    assert any("sorted by their labels" in said for said in found.warnings)


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ({"stop_when": "decided"}, "nothing to decide"),
        ({"stop_when": "soon"}, "stop_when='soon'"),
        ({"min_scores": {"top2": 0.5}}, "'top2' is no score.*top1"),
        ({"min_scores": {"top1": 74}}, "from 0 to 1"),
        ({"min_scores": 0.7}, "should be a mapping"),
        ({"max_drop": 2}, "max_drop=2"),
        ({"checkpoint": "x", "min_scores": {"top1": 0.1}, "stop_when": "decided"}, "checkpoint"),
    ],
)
def test_gates_that_cannot_be(gates: dict[str, Any], said: str, graph: Path) -> None:
    with pytest.raises(RequestError, match=said):
        scored(graph, Path("shards"), **gates)


def test_published_scores_are_needed_for_a_drop(graph: Path) -> None:
    with pytest.raises(RequestError, match="give min_scores"):
        accuracy(graph, data_location="shards", max_drop=0.01)
