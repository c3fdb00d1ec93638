"""Every preset goes through both verbs for real, on a tiny graph with that preset's tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from modelzoo_runner import accuracy, benchmark, models

CLASSIFIERS = [preset for preset in models().values() if preset.task == "classification"]
DETECTORS = [preset for preset in models().values() if preset.task == "detection"]
INT8 = pytest.param("int8", marks=pytest.mark.slow)
"""The same tensors and the same path through the library, but for the warnings."""

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
"""What keeps a run in this process: the same pools for all presets, and nothing to preload."""

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.shards(tmp_path_factory.mktemp("tiny") / "shards", images=12)


@pytest.mark.parametrize("preset", CLASSIFIERS, ids=lambda preset: preset.name)
@pytest.mark.parametrize("precision", ["fp32", INT8])
def test_a_classifier(preset, precision: str, shards: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert preset.preprocess is not None
    tensors = preset.graph[precision]
    graph = tiny.classifier(
        tmp_path / "graph.pb",
        input=tensors.input,
        output=tensors.outputs["scores"],
        size=preset.preprocess.size,
        classes=1000 if preset.label_offset == -1 else 1001,
    )
    common = {"precision": precision, "weights": graph, "batch_size": 5, **HERE}
    timed = benchmark(preset.name, **common, warmup_steps=1, steps=2)
    assert timed.examples == 10 and timed.plan.batch_size == 5
    real = benchmark(preset.name, **common, data_location=shards, warmup_steps=1, steps=2)
    assert real.examples == 10
    scored = accuracy(preset.name, **common, data_location=shards)
    assert scored.examples == 12 and len(scored.step_seconds) == 3
    assert 0 <= scored.counts["top1"] <= scored.counts["top5"] <= 12
    assert set(scored.difference) == {"top1", "top5"}


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images, _ = tiny.coco(tmp_path_factory.mktemp("tiny_coco"))
    return images


@pytest.mark.parametrize("preset", DETECTORS, ids=lambda preset: preset.name)
@pytest.mark.parametrize("precision", ["fp32", INT8])
def test_a_detector(preset, precision: str, coco: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tensors = preset.graph[precision]
    graph = tiny.detector(tmp_path / "graph.pb", dict(tensors.outputs), input=tensors.input)
    common = {"precision": precision, "weights": graph, **HERE}
    made = benchmark(preset.name, **common, warmup_steps=1, steps=2)
    assert made.examples == 2 and made.plan.batch_size == 1
    assert any("synthetic input: the step time of a detector" in said for said in made.warnings)
    real = benchmark(preset.name, **common, data_location=coco, warmup_steps=1, steps=6)
    assert real.examples == 6
    scored = accuracy(preset.name, **common, data_location=coco)
    assert scored.examples == 4 and len(scored.step_seconds) == 4
    assert scored.scores["AP"] == scored.legacy_scores["AP"] == pytest.approx(1)
    assert scored.per_category == {"person": pytest.approx(1)}
    published = scored.plan.published
    assert scored.difference == {name: pytest.approx(1 - published[name]) for name in published}
