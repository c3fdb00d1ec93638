"""Detectors through the two verbs and the command, on a made set of four images."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
from PIL import Image

from modelzoo_runner import (
    AccuracyResult,
    DataError,
    RequestError,
    accuracy,
    benchmark,
    convert_coco,
    load,
    models,
    score_detections,
)
from modelzoo_runner.cli import main as cli

PRESET = models()["ssd-mobilenet"]


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny.coco(tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = PRESET.graph["fp32"]
    path = tmp_path_factory.mktemp("graph") / "detector.pb"
    return tiny.detector(path, dict(tensors.outputs), input=tensors.input)


def run(graph: Path, location: Path, **asked: Any) -> AccuracyResult:
    # The same thread pools for all, and nothing to preload: every run is in this process.
    here: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
    return accuracy("ssd-mobilenet", weights=graph, data_location=location, **here, **asked)


def test_images_and_records_made_of_them_score_alike(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path
) -> None:
    from_images = run(graph, coco[0], annotations=coco[1], batch_size=2)
    # After a run: converting decodes, and TensorFlow sizes its thread pools once, at the first use.
    report = convert_coco(*coco, tmp_path / "records")
    assert (report.images, report.annotations) == (4, 4)
    from_records = run(graph, tmp_path / "records")
    assert from_images.scores == from_records.scores
    assert from_images.legacy_scores == from_records.legacy_scores
    assert len(from_images.step_seconds) == 2 and from_images.examples == 4
    assert from_images.plan.annotations == str(coco[1])


def test_a_bare_graph_is_seen_to_be_a_detector(graph: Path, coco: tuple[Path, Path]) -> None:
    result = accuracy(graph, data_location=coco[0], num_inter_threads=1, allocator="system")
    assert result.plan.task == "detection" and result.scores["AP"] == pytest.approx(1)
    assert result.difference == {}


def test_saved_detections_score_as_the_run_did(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path
) -> None:
    found = tmp_path / "found.json"
    result = run(graph, coco[0], predictions=found)
    assert json.loads(found.read_text())[0] == {
        "image_id": 1,
        "category_id": 1,
        "bbox": pytest.approx([4, 3, 16, 12]),
        "score": pytest.approx(0.9),
    }
    assert score_detections(found, coco[1]).scores == result.scores
    assert score_detections(found, str(coco[1]), legacy=True).scores == result.legacy_scores
    listed, truth = json.loads(found.read_text()), json.loads(coco[1].read_text())
    assert score_detections(listed, truth).per_category == result.per_category


def test_masks_are_fetched_saved_and_scored_where_a_graph_has_them(
    coco: tuple[Path, Path], tmp_path: Path
) -> None:
    roles = {**PRESET.graph["fp32"].outputs, "detection_masks": "detection_masks:0"}
    graph, found = tiny.detector(tmp_path / "masks.pb", roles), tmp_path / "found.json"
    here: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system"}
    for model in ("rfcn", graph):
        weights = {"weights": graph} if model == "rfcn" else {}
        timed = benchmark(model, **weights, steps=2, warmup_steps=0, **here)
        assert timed.plan.graph.outputs == roles and timed.plan.graph.optional == {}
    result = run(graph, coco[0], predictions=found, batch_size=2)
    assert result.scores["AP"] == pytest.approx(1)

    truth = json.loads(coco[1].read_text())
    for each in truth["annotations"]:
        x, y, width, height = each["bbox"]
        across, down = x + width, y + height
        each["segmentation"] = [[x, y, across, y, across, down, x, down]]
    masked = tmp_path / "instances_masked.json"
    masked.write_text(json.dumps(truth))
    assert score_detections(found, masked, iou_type="segm").scores["AP"] == pytest.approx(1)
    # A thing that fills half of its box is found by its box and missed by its mask.
    del truth["annotations"][0]["segmentation"][0][-2:]
    masked.write_text(json.dumps(truth))
    assert score_detections(found, masked, iou_type="segm").scores["AP"] < 0.9
    assert score_detections(found, masked).scores["AP"] == pytest.approx(1)
    assert cli.main(["score", str(found), str(masked), "--iou-type", "segm"]) == cli.DONE


def test_outputs_that_are_named_are_all_that_is_fetched(
    coco: tuple[Path, Path], tmp_path: Path
) -> None:
    roles = {**PRESET.graph["fp32"].outputs, "detection_masks": "detection_masks:0"}
    graph, found = tiny.detector(tmp_path / "masks.pb", roles), tmp_path / "found.json"
    result = run(graph, coco[0], outputs=PRESET.graph["fp32"].outputs, predictions=found)
    assert result.plan.graph.outputs == PRESET.graph["fp32"].outputs
    assert "segmentation" not in json.loads(found.read_text())[0]


def test_a_part_of_the_set_is_scored_as_that_part(graph: Path, coco: tuple[Path, Path]) -> None:
    result = run(graph, coco[0], limit=2)
    assert result.examples == 2 and result.scores["AP"] == pytest.approx(1)
    assert "a part of the set: 2 examples, because of limit=2" in result.warnings
    assert any("published score is of all 5000 of COCO's val2017" in w for w in result.warnings)


def test_it_prints_the_legacy_score(graph: Path, coco: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(graph, coco[0])
    lines = str(result).splitlines()
    # Of warnings there are more where the machine is busy.
    assert [line.split()[0] for line in lines[:6]][::5] == ["accuracy", "warnings"]
    assert lines[1] == (
        "scores     AP 1.0000 (legacy 1.0000; +0.7690 from published), "
        "AP50 1.0000 (legacy 1.0000; +0.6510 from published), "
        "AP75 1.0000 (legacy 1.0000; +0.7460 from published)"
    )
    again: Any = load(result.save(tmp_path / "result.json"))
    assert str(again) == str(result) and again.plan == result.plan
    assert (again.scores, again.per_category) == (result.scores, result.per_category)
    assert again.legacy_scores == result.legacy_scores


def test_the_difference_is_of_the_legacy_score(graph: Path, coco: tuple[Path, Path]) -> None:
    result = dataclasses.replace(run(graph, coco[0]), legacy_scores={"AP": 0.331})
    assert result.difference == {"AP": pytest.approx(0.1)}


def test_annotations_that_do_not_fit_fail_before_the_run(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path
) -> None:
    steps: list[Any] = []
    with pytest.raises(DataError, match=r"nowhere\.json: can't be read"):
        run(graph, coco[0], annotations=tmp_path / "nowhere.json", progress=steps.append)
    truth = json.loads(coco[1].read_text())
    truth["images"][3]["file_name"] = "other.jpg"
    other = tmp_path / "instances.json"
    other.write_text(json.dumps(truth))
    with pytest.raises(DataError, match=r"1 of 4 annotated images are missing \(other.jpg"):
        run(graph, coco[0], annotations=other, progress=steps.append)
    assert steps == []
    partial = run(graph, coco[0], annotations=other, allow_partial=True)
    assert partial.examples == 3 and partial.scores["AP"] == pytest.approx(1)
    assert any("1 of 4 annotated images are missing" in said for said in partial.warnings)


def test_an_annotation_of_an_image_that_is_not_listed_is_ignored_and_said(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path
) -> None:
    truth = json.loads(coco[1].read_text())
    truth["annotations"].append({**truth["annotations"][0], "id": 99, "image_id": 77})
    other = tmp_path / "instances.json"
    other.write_text(json.dumps(truth))
    result = run(graph, coco[0], annotations=other)
    assert result.scores["AP"] == pytest.approx(1)
    said = "1 annotations of images that aren't listed: ignored, as COCO does"
    assert result.warnings.count(said) == 1


@pytest.mark.parametrize(
    ("mode", "size"),
    [("L", (40, 30)), ("CMYK", (40, 30)), ("RGB", (1, 1))],
    ids=["grey", "CMYK", "1x1"],
)
def test_an_image_of_another_kind_is_run_and_scored(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    folder, truth = other_image(coco, tmp_path, Image.new(mode, size))
    result = run(graph, folder, annotations=truth, batch_size=2)
    assert result.examples == 4 and result.scores["AP50"] == pytest.approx(1)


def test_a_truncated_image_ends_the_run_and_is_named(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, truth = other_image(coco, tmp_path, Image.new("RGB", (40, 30)))
    image = folder / "000000000001.jpg"
    image.write_bytes(image.read_bytes()[:-20])
    with pytest.raises(DataError) as caught:
        run(graph, folder, annotations=truth)
    assert str(caught.value) == (
        f"{image}: the image is a JPEG of 40 x 30 that is truncated or damaged."
    )


def other_image(coco: tuple[Path, Path], out: Path, image: Image.Image) -> tuple[Path, Path]:
    """The same images and annotations with another first image, and its person where it was."""
    folder = out / "val2017"
    shutil.copytree(coco[0], folder)
    image.save(folder / "000000000001.jpg")
    truth = json.loads(coco[1].read_text())
    width, height = image.size
    truth["images"][0].update(width=width, height=height)
    truth["annotations"][0]["bbox"] = [0.1 * width, 0.1 * height, 0.4 * width, 0.4 * height]
    (out / "instances.json").write_text(json.dumps(truth))
    return folder, out / "instances.json"


def test_images_without_annotations_cannot_be_scored(
    graph: Path, coco: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "bare").mkdir()
    image = next(coco[0].iterdir())
    (tmp_path / "bare" / image.name).write_bytes(image.read_bytes())
    with pytest.raises(DataError, match="without it there is nothing to score against"):
        run(graph, tmp_path / "bare")


def test_a_predictions_file_that_cannot_be_written(graph: Path, coco: tuple[Path, Path]) -> None:
    with pytest.raises(RequestError, match=r"predictions='.*val2017': can't be written: it is a"):
        run(graph, coco[0], predictions=coco[0])


def test_annotations_are_not_for_classifiers(coco: tuple[Path, Path]) -> None:
    with pytest.raises(RequestError, match=r"annotations='.*': only for detectors; the labels of"):
        accuracy("resnet50", data_location=coco[0], annotations=coco[1])


def test_the_commands_convert_and_score(
    coco: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "records"
    assert cli.main(["convert", "coco", *map(str, coco), str(out), "--shards", "2"]) == cli.DONE
    assert capsys.readouterr().out.startswith("4 images, 0 of them without objects, and 4 boxes")
    assert len(list(out.iterdir())) == 2

    found = tmp_path / "found.json"
    box = {"category_id": 1, "bbox": [4, 3, 16, 12], "score": 0.5}
    found.write_text(json.dumps([{"image_id": 1, **box}]))
    assert cli.main(["score", str(found), str(coco[1])]) == cli.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 detections in 4 images with 4 objects, COCO rules"
    assert lines[1] == "AP          0.2574" and lines[13] == "AP          0.2574  person"
    assert any(each.startswith("warning: 3 of 4 annotated images have no") for each in lines)
    assert cli.main(["score", str(found), str(coco[1]), "--legacy"]) == cli.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("legacy rules") and lines[6] == "AP_large   -1.0000"
    assert cli.main(["score", str(tmp_path / "no.json"), str(coco[1])]) == cli.FAILURE
    assert "no.json: can't be read: No such file" in capsys.readouterr().err
