"""Parts of an accuracy run: they make up the whole, and so do their scores."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.data.batches import Batch
from modelzoo_runner.data.coco import Images
from modelzoo_runner.errors import DataError, GraphError
from modelzoo_runner.results.parts import DatasetInfo, Observed
from modelzoo_runner.results.result import PartResult, from_dict
from modelzoo_runner.scale import parts
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.tasks.base import Scorer
from modelzoo_runner.values.plan import GraphFile, Placement, Plan
from modelzoo_runner.values.preset import ROLES, Preprocess

EXAMPLES = 40

PLAN = Plan(
    kind="accuracy",
    model="mobilenet_v1",
    task="classification",
    precision="fp32",
    goal="accuracy",
    graph=GraphFile(source="path", path="/a.pb", sha256="a", outputs={"scores": "predict:0"}),
    preprocess=Preprocess(size=(8, 8), resize="central_fraction"),
    batch_size=4,
    placement=Placement(cpus=(0,), inter_threads=1, intra_threads=1),
)
DETECTOR = dataclasses.replace(
    PLAN,
    task="detection",
    preprocess=None,
    graph=dataclasses.replace(PLAN.graph, outputs={each: each for each in ROLES["detection"]}),
)
WHOLE = DatasetInfo(examples=EXAMPLES, fingerprint="abc", available=EXAMPLES)

Batches = list[tuple[Sequence[np.ndarray[Any, Any]], Batch]]


@given(
    examples=st.integers(1, 60_000),
    batch_size=st.integers(1, 300),
    data=st.data(),
)
def test_every_example_that_is_missing_is_in_exactly_one_part(
    examples: int, batch_size: int, data: st.DataObject
) -> None:
    steps = -(-examples // batch_size)
    first = parts.split([(0, examples)], batch_size=batch_size)
    done = data.draw(st.lists(st.sampled_from(first), unique=True))
    left = parts.split(parts.missing(examples, done), batch_size=batch_size)
    at = 0
    for start, stop in sorted((*done, *left)):
        assert start == at < stop and start % batch_size == 0
        at = stop
    assert at == examples
    most = max(-(-parts.MOST_EXAMPLES // batch_size), 1) * batch_size
    assert all(stop - start <= most for start, stop in first)
    most_parts = parts.PARTS_PER_WORKER / parts.SMALLEST
    assert len(first) <= min(
        max(most_parts, examples / parts.MOST_EXAMPLES / parts.SMALLEST) + 1, steps
    )


def test_a_range_that_was_done_twice_is_left_out_once() -> None:
    assert parts.missing(10, [(0, 4), (2, 6), (9, 10)]) == ((6, 9),)
    assert parts.missing(3, []) == ((0, 3),)
    assert parts.missing(3, [(0, 3)]) == ()


def part(start: int, stop: int, plan: Plan = PLAN, **changes: Any) -> PartResult:
    values: dict[str, Any] = {
        "plan": dataclasses.replace(plan, examples=(start, stop)),
        "observed": Observed(started=str(start), machine={"id": "node"}),
        "step_seconds": (0.1,) * -(-(stop - start) // plan.batch_size),
        "data_seconds": (0.0,) * -(-(stop - start) // plan.batch_size),
        "examples": stop - start,
        "dataset": WHOLE,
        "state": {},
    }
    return PartResult(**{**values, **changes})


def scored(plan: Plan, fed: Batches, truth: Any) -> Scorer:
    with tasks.find(plan.task).open_scorer(plan, truth) as scorer:
        for outputs, batch in fed:
            scorer.add(outputs, batch)
    return scorer


def in_parts(plan: Plan, fed: Batches, cuts: Sequence[int], truth: Any) -> list[PartResult]:
    """The parts between the cuts (numbers of batches), through JSON as they travel."""
    found = []
    edges = [0, *sorted(set(cuts)), len(fed)]
    for first, last in itertools.pairwise(edges):
        if first < last:
            start = sum(len(batch) for _, batch in fed[:first])
            stop = sum(len(batch) for _, batch in fed[:last])
            own = dataclasses.replace(plan, examples=(start, stop))
            state = scored(own, fed[first:last], truth).state()
            made = part(start, stop, plan, state=state)
            found.append(from_dict(json.loads(json.dumps(made.to_dict()))))
    return found  # type: ignore[return-value]


def classified(seed: int, odd_rows: int) -> Batches:
    """Batches of random scores; some rows have no opinion or a NaN."""
    generator = np.random.default_rng(seed)
    fed: Batches = []
    for first in range(0, EXAMPLES, 4):
        scores = generator.integers(0, 9, (4, 1001)).astype(np.float32)
        for row in range(4):
            if first + row < odd_rows:
                scores[row] = np.nan if row % 2 else 0.25
        names = tuple(f'image "{first + row}", é.JPEG' for row in range(4))
        truth = generator.integers(0, 1000, 4)
        fed.append(([scores], Batch(np.zeros((4, 1)), truth, names)))
    return fed


CUTS = st.lists(st.integers(0, EXAMPLES // 4), max_size=6)


@given(seed=st.integers(0, 99), odd_rows=st.sampled_from([0, 3, 17]), cuts=CUTS)
@settings(max_examples=25)
def test_a_classifiers_parts_come_to_what_one_run_does(
    seed: int, odd_rows: int, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    plan = dataclasses.replace(PLAN, predictions=str(folder / "one.csv"))
    fed = classified(seed, odd_rows)
    alone = scored(plan, fed, None).result()
    found = in_parts(plan, fed, cuts, None)
    merged = parts.merged(found[::-1], predictions=str(folder / "parts.csv"))
    assert (merged.counts, merged.scores) == (alone.counts, alone.scores)
    assert merged.examples == EXAMPLES
    assert merged.warnings[: len(alone.warnings)] == alone.warnings
    assert len(alone.warnings) == (2 if odd_rows else 0)
    assert (folder / "parts.csv").read_bytes() == (folder / "one.csv").read_bytes()


def detected(seed: int) -> tuple[Batches, dict[str, Any]]:
    """Batches of one image with boxes near what there is to find, and that."""
    generator = np.random.default_rng(seed)
    images = [{"id": 7 * n + 1, "width": 90, "height": 70} for n in range(EXAMPLES)]
    objects: list[dict[str, Any]] = []
    fed: Batches = []
    for image in images:
        boxes = generator.uniform(0, 0.5, (3, 2)).astype(np.float32)
        boxes = np.concatenate([boxes, boxes + np.float32(0.3)], axis=1)
        classes = generator.integers(1, 4, 3)
        for (top, left, bottom, right), category in zip(boxes[:2], classes, strict=False):
            box = [left * 90, top * 70, (right - left) * 90, (bottom - top) * 70]
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": image["id"],
                    "category_id": int(category),
                    "bbox": [float(each) for each in box],
                    "area": float(box[2] * box[3]),
                    "iscrowd": 0,
                }
            )
        moved = boxes + generator.normal(0, 0.03, boxes.shape).astype(np.float32)
        if image["id"] == 1:
            moved[2, 0] = np.nan
        by_role = {
            "num_detections": np.array([3.0], np.float32),
            "detection_boxes": moved[None],
            "detection_scores": generator.choice([0.3, 0.6, 0.9], (1, 3)).astype(np.float32),
            "detection_classes": classes[None].astype(np.float32),
        }
        outputs = [by_role[role] for role in DETECTOR.graph.outputs]
        batch = Batch(np.zeros((1, 1)), Images(ids=(image["id"],), sizes=((70, 90),)))
        fed.append((outputs, batch))
    names = [{"id": number, "name": f"thing {number}"} for number in range(1, 4)]
    return fed, {"images": images, "annotations": objects, "categories": names}


@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, EXAMPLES), max_size=6))
@settings(max_examples=15)
def test_a_detectors_parts_come_to_what_one_run_does(
    seed: int, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("found")
    plan = dataclasses.replace(DETECTOR, batch_size=1, predictions=str(folder / "one.json"))
    fed, truth = detected(seed)
    alone = scored(plan, fed, truth).result()
    merged = parts.merged(
        in_parts(plan, fed, cuts, truth)[::-1], predictions=str(folder / "parts.json")
    )
    assert merged.scores == alone.scores and merged.scores["AP"] > 0.1
    assert merged.legacy_scores == alone.legacy_scores
    assert merged.per_category == alone.per_category
    assert merged.warnings == alone.warnings
    assert "1 detections with a NaN" in merged.warnings[0]
    assert (folder / "parts.json").read_bytes() == (folder / "one.json").read_bytes()


def test_an_image_in_two_parts_is_refused() -> None:
    fed, truth = detected(1)
    first, second = in_parts(DETECTOR, fed, [20], truth)
    again = dataclasses.replace(second, state=first.state)
    with pytest.raises(DataError, match=r"^20 images are there more than once \(1, 8, 15\)"):
        parts.merged([first, again])


def test_all_rows_without_an_opinion_are_an_error_only_of_the_whole() -> None:
    fed = classified(1, odd_rows=0)
    for outputs, _ in fed[:5]:
        outputs[0][:] = 0.5
    first, second = in_parts(PLAN, fed, [5], None)
    merged = parts.merged([first, second])
    assert "20 of 40 examples have all scores equal" in merged.warnings[0]
    half = dataclasses.replace(WHOLE, examples=20)
    with pytest.raises(GraphError, match="all 1001 scores are equal in each of 20 examples"):
        parts.merged([dataclasses.replace(first, dataset=half)])


def made() -> list[PartResult]:
    return in_parts(PLAN, classified(2, 0), [3, 7], None)


def test_the_result_keeps_where_each_part_was_done() -> None:
    merged = parts.merged(made())
    assert [each.examples for each in merged.parts] == [(0, 12), (12, 28), (28, 40)]
    assert [each.started for each in merged.parts] == ["0", "12", "28"]
    assert merged.parts[0].machine == {"id": "node"} and merged.parts[0].cpus == (0,)
    assert merged.plan.examples is None and len(merged.step_seconds) == 10
    assert not merged.interrupted


def test_warnings_are_said_once() -> None:
    said = [dataclasses.replace(each, warnings=("the same",)) for each in made()]
    assert parts.merged(said).warnings == ("the same",)


def test_the_limit_is_told_as_in_one_run() -> None:
    limited = [
        dataclasses.replace(
            each,
            plan=dataclasses.replace(each.plan, limit=EXAMPLES),
            dataset=dataclasses.replace(WHOLE, available=50),
        )
        for each in made()
    ]
    assert parts.merged(limited).warnings == (
        "a part of the set: 40 examples, because of limit=40",
    )


def test_an_interrupted_run_is_of_what_is_done() -> None:
    first, _, last = made()
    merged = parts.merged([last, first], interrupted=True)
    assert merged.interrupted and merged.examples == 24
    assert merged.warnings[0] == "interrupted after 6 measured steps: this is a partial result"


def replaced(index: int, **changes: Any) -> list[PartResult]:
    found = made()
    found[index] = dataclasses.replace(found[index], **changes)
    return found


OTHER_GRAPH = dataclasses.replace(PLAN, graph=dataclasses.replace(PLAN.graph, sha256="b"))


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (made()[1:], "those from 0 to 12 are there not at all"),
        (made()[:2], "those from 28 to 40 are there not at all"),
        (made() + made()[1:2], "those from 12 to 28 are there twice"),
        (replaced(1, examples=15), "the part from 12 to 28 has 15 examples"),
        (
            replaced(2, dataset=dataclasses.replace(WHOLE, fingerprint="x")),
            "the part from 28 to 40 is of other data",
        ),
        (
            replaced(2, plan=dataclasses.replace(OTHER_GRAPH, examples=(28, 40))),
            "the part from 28 to 40 is of another graph",
        ),
    ],
)
def test_what_does_not_make_up_the_whole_is_refused(found: list[PartResult], problem: str) -> None:
    with pytest.raises(DataError) as raised:
        parts.merged(found)
    assert str(raised.value) == f"the parts of the run don't make up its 40 examples: {problem}"


def test_a_part_is_a_result_that_prints(tmp_path: Path) -> None:
    assert "mobilenet_v1 fp32, batch 4" in repr(made()[0])
