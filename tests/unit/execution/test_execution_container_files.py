"""Which files a container gets, and where they are in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from modelzoo_runner.errors import DataError
from modelzoo_runner.execution import container
from modelzoo_runner.planning import resolve
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values import presets
from modelzoo_runner.values.plan import Placement, Plan


def plan(model: str = "rfcn", **asked: Any) -> Plan:
    found = presets.find(model)
    request = Request(kind="accuracy", **{name: str(value) for name, value in asked.items()})
    return resolve.resolve(found, request, Placement(inter_threads=1, intra_threads=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("graphs/a.pb", "graphs/b.pb", "coco/val2017/1.jpg", "coco/instances_val2017.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_a_container_gets_what_is_read_and_no_more(folder: Path) -> None:
    whole = plan(
        weights=folder / "graphs/a.pb",
        preprocess_graph=folder / "graphs/b.pb",
        data_location=folder / "coco/val2017",
    )
    assert container.needed(whole) == (
        folder / "coco/instances_val2017.json",
        folder / "coco/val2017",
        folder / "graphs/a.pb",
        folder / "graphs/b.pb",
    )
    # What is in another of them comes with it, and what isn't there is left to the run.
    inner = dataclasses.replace(
        whole, annotations=str(folder / "coco/instances_val2017.json"), preprocess_graph=None
    )
    located = dataclasses.replace(inner, data_location=str(folder / "coco"))
    assert container.needed(located) == (folder / "coco", folder / "graphs/a.pb")
    nowhere = dataclasses.replace(inner, data_location=str(folder / "none"), annotations=None)
    assert container.needed(nowhere) == (folder / "graphs/a.pb",)


def test_one_record_file_stands_for_its_set(folder: Path) -> None:
    shard = folder / "coco/val2017/coco_val.record-00000-of-00002"
    shard.write_text("")
    found = container.needed(plan(weights=folder / "graphs/a.pb", data_location=shard))
    assert folder / "coco/val2017" in found and folder / "coco/instances_val2017.json" in found


def test_every_path_of_a_plan_is_inside_and_comes_out_again(folder: Path) -> None:
    whole = plan(
        weights="/graphs/a.pb",
        preprocess_graph="/graphs/b.pb",
        data_location="/coco/val2017",
        annotations="/coco/instances.json",
        predictions="/out/found.json",
    )
    text = repr(container.as_inside(whole))
    assert text.count(container.OUTSIDE) == 5
    assert text.replace(container.OUTSIDE, "") == repr(whole)


def test_links_to_elsewhere_are_refused(folder: Path) -> None:
    link = folder / "coco/val2017/2.jpg"
    link.symlink_to(folder / "graphs/a.pb")
    for location in (folder / "coco", folder / "coco/val2017"):
        if location.name == "coco":
            (folder / "coco/val2017/3.jpg").symlink_to(folder / "coco/val2017/1.jpg")
        with pytest.raises(DataError) as caught:
            container.needed(plan(weights=folder / "graphs/a.pb", data_location=location))
        assert str(caught.value) == (
            f"{link}: a link to {folder}/graphs/a.pb, which is outside of the folder that the "
            "container gets. Give the folder that the files themselves are in"
        )


def test_a_folder_that_is_a_link_itself_is_fine(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "coco/val2017")
    asked = plan(weights=folder / "graphs/a.pb", data_location=folder / "link")
    assert folder / "link" in container.needed(asked)
