"""tune(): in processes of a runtime that is a fake, whose best settings are known, and for real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fake_backend
import pytest
import tiny

from modelzoo_runner import Interrupted, RequestError, TuneResult, load, tune
from modelzoo_runner.api import heats
from modelzoo_runner.cli import main as cli

HELD: dict[str, Any] = {
    **{"allocator": "system", "num_inter_threads": 1, "runtimes": ["fake"]},
    # All are as quick in the fake, so that chance would decide.
    "precisions": ["fp32"],
}
BATCHES: dict[str, Any] = {**HELD, "batch_sizes": [1, 4, 16], "num_intra_threads": 1}

needs_two_cpus = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="this process may use one CPU only"
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few turns and rounds: the fake has no noise."""
    monkeypatch.setattr(heats, "SIDE_SECONDS", 0.02)
    monkeypatch.setattr(heats, "ROUNDS", 2)


@pytest.fixture
def model(fakes: None, tmp_path: Path) -> Path:
    """With one thread a step is quicker than with any other number; examples are cheap."""
    return fake_backend.write(
        tmp_path / "model.fake", seconds=0.015, by_threads={"1": 0.003}, example=0.003
    )


def test_the_largest_batch_that_is_quick_enough(model: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    found = tune(model, max_latency=0.033, progress=lambda *said: told.append(said), **BATCHES)
    assert found.complete
    assert found.arguments == {
        "allocator": "system",
        "num_inter_threads": 1,
        "num_intra_threads": 1,
        "batch_size": 4,
    }
    assert found.gain is not None and found.gain.value == pytest.approx(1.6, rel=0.3)
    by_batch = {each.batch_size: each for each in found.tried}
    assert sorted(by_batch) == [1, 4, 16]
    assert "max_latency=0.033" in (by_batch[16].dropped or "")
    assert "slower than the best" in (by_batch[1].dropped or "")
    # The largest batch has the highest throughput, and the smallest the quickest step.
    assert [each.batch_size for each in found.pareto] == [1, 4, 16]
    assert found.latency(by_batch[16]) == pytest.approx(0.051, rel=0.3)
    assert {what for what, _, _ in told} == {"seconds", "rounds"}
    assert load(found.save(tmp_path / "found.json"), TuneResult) == found


def test_the_quickest_step_has_one_thread(model: Path) -> None:
    found = tune(model, objective="latency", **HELD)
    best = found.tried[found.best]
    assert best.batch_size == best.instances == 1
    assert found.arguments.get("num_intra_threads", 1) == 1
    assert (best.settings == {}) == (len(os.sched_getaffinity(0)) == 1)
    assert found.arguments["goal"] == "latency"


@needs_two_cpus
def test_several_instances_count_together(fakes: None, tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "model.fake", seconds=0.015)
    found = tune(model, batch_size=1, **HELD)
    assert found.arguments["instances"] == 2
    best = found.tried[found.best]
    assert found.throughput(best) == pytest.approx(133, rel=0.3)
    assert found.latency(best) == pytest.approx(0.015, rel=0.3)
    assert found.gain is not None and found.gain.value == pytest.approx(2, rel=0.3)


def test_a_graph_that_takes_one_batch_size(fakes: None, tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "model.fake", batch=1)
    found = tune(model, **HELD)
    refused = [each for each in found.tried if "made for a batch size" in (each.dropped or "")]
    assert [each.batch_size for each in refused] == [16]
    assert found.tried[found.best].batch_size == 1


def test_one_that_dies_costs_the_others_nothing(fakes: None, tmp_path: Path) -> None:
    model = fake_backend.write(tmp_path / "model.fake", seconds=0.01, dies=4)
    found = tune(model, **BATCHES)
    died = [each.batch_size for each in found.tried if "can't be run" in (each.dropped or "")]
    assert died == [4]
    assert found.tried[found.best].batch_size == 16


def test_the_budget_is_kept_and_what_was_not_reached_is_said(model: Path) -> None:
    found = tune(model, budget=0.1, **BATCHES)
    assert not found.complete
    unreached = [each.dropped or "" for each in found.tried if not each.heats]
    assert unreached and all("budget" in why for why in unreached)
    assert "the budget didn't allow all" in str(found) and "no time" in str(found)


def test_a_checkpoint_goes_on_where_it_was_interrupted(model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    def interrupt(what: str, done: int, total: int | None) -> None:
        if what == "seconds" and len(list(kept.glob("*.done"))) == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        tune(model, checkpoint=kept, progress=interrupt, **BATCHES)
    partial = caught.value.result
    assert partial.interrupted and not partial.complete
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.done")}
    found = tune(model, checkpoint=kept, **BATCHES)
    assert found.complete
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.done")}
    assert len(after) > len(before) and before.items() <= after.items()
    # What is done is only read, the confirmation too.
    again = tune(model, checkpoint=kept, **BATCHES)
    assert (again.tried, again.confirmed) == (found.tried, found.confirmed)
    assert {path.name: path.stat().st_mtime_ns for path in kept.glob("*.done")} == after
    with pytest.raises(RequestError, match=r"of another run: .*batch_sizes"):
        tune(model, checkpoint=kept, **{**BATCHES, "batch_sizes": [1, 2]})


def test_nothing_is_as_quick_as_asked_for(model: Path) -> None:
    with pytest.raises(RequestError, match=r"max_latency=0.001: .* as quick"):
        tune(model, max_latency=0.001, **BATCHES)


def test_the_command_prints_the_call_and_saves_all(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    words = ["--runtimes", "fake", "--batch-sizes", "1,4"]
    words += ["--allocator", "system", "--num-inter-threads", "1", "--num-intra-threads", "1"]
    assert cli.main(["tune", str(model), *words, "--json", str(path)]) == cli.DONE
    shown = capsys.readouterr().out
    found = load(path, TuneResult)
    assert found.shell in shown and found.python in shown
    assert "--batch-size 4" in found.shell


@pytest.mark.slow
def test_real_runtimes_with_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tf2onnx")
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path / "cache"))
    data = tiny.shards(tmp_path / "data", images=8)
    from modelzoo_runner.values.presets import find

    fp32 = find("mobilenet_v1").graph["fp32"]
    graph = tiny.classifier(
        tmp_path / "g.pb", input=fp32.input, output=fp32.outputs["scores"], size=(224, 224)
    )
    given: dict[str, Any] = {
        "weights": graph,
        "runtimes": ["tensorflow", "onnxruntime"],
        "precisions": ["fp32"],
        "data_location": data,
        "objective": "latency",
        "num_intra_threads": 1,
        "num_inter_threads": 1,
        "allocator": "system",
    }
    found = tune("mobilenet_v1", min_accuracy=0.0, **given)
    assert [(way.runtime, way.precision) for way in found.scores] == [
        ("tensorflow", "fp32"),
        ("onnxruntime", "fp32"),
    ]
    assert found.scores[0].counts == found.scores[1].counts
    assert {each.runtime for each in found.tried} == {"tensorflow", "onnxruntime"}
    assert "top1" in str(found)
