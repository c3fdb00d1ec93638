"""An accuracy run in parts on this machine: interrupted, continued, and the same in the end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_task
import pytest
import tiny

from modelzoo_runner import AccuracyResult, RequestError, accuracy
from modelzoo_runner.values.presets import find

pytestmark = pytest.mark.usefixtures("same_pools")

IMAGES = 37
HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
"""What keeps a run in this process."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small classifier and small data, as arguments."""
    folder = tmp_path_factory.mktemp("given")
    graph = tiny.classifier(folder / "graph.pb", output="predict:0", size=(224, 224))
    return {
        "model": "resnet50",
        "weights": str(graph),
        "data_location": str(tiny.shards(folder / "shards", images=IMAGES, files=5)),
        "batch_size": 2,
    }


@pytest.fixture(scope="module")
def alone(given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AccuracyResult:
    """The run in one go."""
    rows = tmp_path_factory.mktemp("alone") / "rows.csv"
    return accuracy(**given, **HERE, predictions=rows)


@pytest.fixture
def numbers(tmp_path: Path) -> dict[str, Any]:
    """A run without TensorFlow, as arguments."""
    return fake_task.arguments(tmp_path / "given", examples=IMAGES) | {"batch_size": 2}


def same(found: AccuracyResult, alone: AccuracyResult) -> None:
    assert (found.counts, found.scores) == (alone.counts, alone.scores)
    assert found.examples == alone.examples == IMAGES
    assert [each.examples for each in found.parts] == sorted(each.examples for each in found.parts)
    assert sum(stop - start for start, stop in (each.examples for each in found.parts)) == IMAGES
    assert len(found.step_seconds) == len(alone.step_seconds)


def rows(result: AccuracyResult) -> str:
    return Path(result.plan.predictions or "").read_text()


def test_in_parts_it_is_what_it_is_in_one_go(
    given: dict[str, Any], alone: AccuracyResult, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int | None]] = []
    found = accuracy(
        **given,
        **HERE,
        checkpoint=tmp_path / "kept",
        predictions=tmp_path / "rows.csv",
        progress=lambda *said: told.append(said),
    )
    same(found, alone)
    assert found.observed.host == "process" and len(found.parts) == 8
    assert rows(found) == rows(alone)
    # The graph is opened once.
    assert [bool(each.setup_seconds) for each in found.parts] == [True] + [False] * 7
    assert told[0] == ("examples", 0, IMAGES) and told[-1] == ("examples", IMAGES, IMAGES)
    counts = [done for what, done, _ in told if what == "examples"]
    assert counts == sorted(counts)
    assert AccuracyResult.to_dict(found)["parts"][0]["examples"] == [0, 6]


@pytest.mark.usefixtures("fakes")
def test_a_child_opens_the_graph_once_too(
    numbers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", fake_task.PYTHONPATH)
    found = accuracy(**numbers, isolation="child", checkpoint=tmp_path / "kept")
    assert found.scores == {"mean": (IMAGES - 1) / 2} and found.observed.host == "child"
    assert [bool(each.setup_seconds) for each in found.parts] == [True] + [False] * 7


ENDED = """
import json, os, signal, sys
import fake_task
from modelzoo_runner import Interrupted, accuracy
given, kept, name = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
given["model"] = fake_task.PRESET
fake_task.register()
def progress(what, done, total):
    if what == "examples" and done >= 20:
        os.kill(os.getpid(), getattr(signal, name))
try:
    accuracy(**given, checkpoint=kept, progress=progress)
except Interrupted as interrupted:
    print(interrupted.result.examples, interrupted.result.interrupted)
    print(interrupted.result.warnings[0])
"""


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_it_goes_on_with_what_is_missing(
    numbers: dict[str, Any], tmp_path: Path, name: str
) -> None:
    kept = tmp_path / "kept"
    sent = json.dumps({**numbers, "model": None})
    done = subprocess.run(
        [sys.executable, "-c", ENDED, sent, str(kept), name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": fake_task.PYTHONPATH},
    )
    if name == "SIGKILL":
        assert done.returncode == -signal.SIGKILL
    else:
        assert done.returncode == 0, done.stderr
        examples, interrupted = done.stdout.splitlines()[0].split()
        assert 18 <= int(examples) < IMAGES and interrupted == "True"
        assert "interrupted after" in done.stdout.splitlines()[1]
    before = {each.name: each.stat().st_mtime_ns for each in kept.glob("*.done")}
    assert 3 <= len(before) < 7
    found = accuracy(**numbers, checkpoint=kept)
    assert found.examples == IMAGES and found.scores == {"mean": (IMAGES - 1) / 2}
    after = {each.name: each.stat().st_mtime_ns for each in kept.glob("*.done")}
    assert before.items() <= after.items()
    again = accuracy(**numbers, checkpoint=kept)
    assert again.scores == found.scores and len(again.parts) == len(after)


def test_a_damaged_part_is_named_and_done_again(
    given: dict[str, Any], alone: AccuracyResult, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    accuracy(**given, **HERE, checkpoint=kept)
    first, second, third, *_ = sorted(kept.glob("*.done"))
    first.write_text(first.read_text()[:100])
    second.rename(kept / "00000000-00000002.done")
    record = json.loads(third.read_text().partition("\n")[2])
    record["plan"]["examples"], record["examples"] = [14, 16], 2
    del record["summary"]  # it would give the change away
    text = json.dumps(record)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (kept / "00000014-00000016.done").write_text(f"{digest}\n{text}\n")
    found = accuracy(**given, **HERE, checkpoint=kept, predictions=tmp_path / "rows.csv")
    same(found, alone)
    assert rows(found) == rows(alone)
    for path, problem in (
        (first, "checksum"),
        (kept / "00000000-00000002.done", "no part of this run"),
        (kept / "00000014-00000016.done", "in another part"),
    ):
        assert any(str(path) in said and problem in said for said in found.warnings)


def refused(given: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(RequestError) as raised:
        accuracy(**{**given, **HERE, **changes})
    return str(raised.value)


def test_another_plan_is_refused_by_what_differs(given: dict[str, Any], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    preset = find("resnet50")
    accuracy(**{**given, **HERE, "model": preset}, limit=8, checkpoint=kept)

    def differing(**changes: Any) -> list[str]:
        said = refused({**given, "model": preset, "limit": 8, "checkpoint": kept, **changes})
        start, _, rest = said.partition(": is of another run: ")
        assert start == f"checkpoint='{kept}'" or start == f"checkpoint={str(kept)!r}"
        listed = rest.removesuffix(
            ". Give another folder, or remove this one to begin again"
        ).split("; ")
        return [each.partition(" is ")[0] for each in listed]

    other_graph = tiny.classifier(
        tmp_path / "other.pb", output="predict:0", size=(224, 224), work=1
    )
    other_data = tiny.shards(tmp_path / "other", images=IMAGES - 1, files=5)
    assert preset.preprocess is not None
    other_recipe = dataclasses.replace(
        preset, preprocess=dataclasses.replace(preset.preprocess, resize_to=300)
    )
    assert differing(weights=other_graph) == ["graph.sha256"]
    assert differing(data_location=other_data) == ["data_location", "data.fingerprint"]
    assert differing(model=other_recipe) == ["preprocess.resize_to"]
    assert differing(batch_size=4) == ["batch_size"]
    assert differing(limit=9) == ["limit", "data.examples"]
    assert differing(optimize=False) == ["optimize"]
    assert differing(env={"TF_ENABLE_ONEDNN_OPTS": "0"}) == ["env.TF_ENABLE_ONEDNN_OPTS"]
    # Where and how fast it runs is no difference.
    accuracy(**{**given, "model": preset}, limit=8, checkpoint=kept, num_cores=1)


def test_a_path_that_cannot_be_is_refused_before_anything_runs(
    given: dict[str, Any], tmp_path: Path
) -> None:
    said = refused(given, checkpoint=tmp_path / "kept", predictions=tmp_path)
    assert said == f"predictions='{tmp_path}': can't be written: it is a folder"
    assert not (tmp_path / "kept").exists()


def test_a_detector_in_parts_with_its_masks(tmp_path: Path) -> None:
    preset = find("ssd-mobilenet")
    images, annotations = tiny.coco(tmp_path / "coco")
    outputs = {**preset.graph["fp32"].outputs, "detection_masks": "detection_masks:0"}
    graph = tiny.detector(tmp_path / "graph.pb", outputs)
    given = {"model": preset, "weights": graph, "data_location": images, **HERE}
    given |= {"outputs": outputs, "checkpoint": tmp_path / "kept"}
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    alone = accuracy(**{**given, "checkpoint": None}, annotations=annotations, predictions=one)
    found = accuracy(**given, predictions=many)
    assert len(found.parts) == 4 and found.examples == 4
    assert found.scores == alone.scores and found.scores["AP"] > 0.9
    assert found.legacy_scores == alone.legacy_scores
    assert many.read_text() == one.read_text() and "segmentation" in one.read_text()
    assert ": is of another run: masks is True there, False here. Give" in refused(given)


def test_a_bucket_is_not_streamed_in_parts(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RequestError) as raised:
        accuracy(**{**given, "data_location": "gs://b/x"}, stream=True, checkpoint=tmp_path / "c")
    assert str(raised.value).startswith("stream=True: with checkpoint= ")


def test_a_cluster_starts_no_containers(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as raised:
        accuracy(**given, docker_image="runner:1", client="tcp://127.0.0.1:1")
    assert str(raised.value).startswith("docker_image='runner:1': the workers of a cluster")
