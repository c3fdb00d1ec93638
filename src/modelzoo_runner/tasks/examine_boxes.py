"""Checks a detector on a few images: how its boxes and classes are read, and whether it works.

How they are read is decided by the ground truth in `metrics`; here that is held against what the
caller says, by the objects that are found in each image (`evidence.beats`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from modelzoo_runner.backends.base import Step
from modelzoo_runner.data import coco, samples
from modelzoo_runner.data.samples import Labelled
from modelzoo_runner.errors import DataError
from modelzoo_runner.metrics import coco as metric
from modelzoo_runner.metrics import coco_boxes, coco_evidence
from modelzoo_runner.metrics.coco_candidates import LabelOptions
from modelzoo_runner.metrics.coco_collector import Collector
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.metrics.coco_resolve import image_places
from modelzoo_runner.metrics.coco_truth import Truth, read_truth
from modelzoo_runner.results.diagnosis import Candidate, Finding
from modelzoo_runner.tasks import evidence
from modelzoo_runner.tasks.base import Source
from modelzoo_runner.tasks.evidence import Examined
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    import numpy as np

ZERO = 0.01
"""An AP50 below this is none: the poorest detector that learned anything has ten times as much."""

OBJECTS = 50
"""Of fewer objects to find an AP says too little."""

OUTSIDE = 0.25
"""By so much of the image's side a box reaches over its border where it is no rounding."""

OFTEN = 10
"""Images with a category after which it should have been found in one of them."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Detections read in one way: their AP, and per image how many objects they find."""

    name: str
    detections: Detections
    scores: Any
    found: np.ndarray


def examine(plan: Plan, step: Step, source: Source) -> Examined:
    """What the first `plan.limit` images of the plan's data show."""
    collector = Collector(form=plan.box_format or coco_boxes.TENSORFLOW)
    sizes: dict[Any, tuple[int, int]] = {}
    outputs: list[Any] = []
    seen: list[Labelled] = []
    for batch in source.batches:
        given = step(batch.inputs)
        images = cast(coco.Images, batch.truth)
        by_role = dict(zip(plan.graph.outputs, given, strict=True))
        collector.add_batch(images.ids, images.sizes, by_role)
        sizes |= dict(zip(images.ids, images.sizes, strict=True))
        outputs += [by_role["detection_boxes"][row] for row in range(len(batch.inputs))]
        seen += [
            Labelled(name=name, label=image, digest=samples.digest(pixels.tobytes()))
            for name, image, pixels in zip(batch.names, images.ids, batch.inputs, strict=True)
        ]
    truth = coco.with_sizes(source.truth, sizes)
    known = read_truth(truth)
    found = collector.detections()
    readings, refused = _readings(plan, found, truth, known)
    findings = list(_broken(found, outputs))
    if not findings:
        findings += refused
        findings += _contradictions(plan, readings)
        if readings and not findings:
            findings += _doubtful(readings[0], known)
    return Examined(
        images=len(sizes),
        findings=(*findings, *evidence.duplicates(seen)),
        candidates=tuple(
            Candidate(
                name=each.name,
                scores={name: each.scores.scores[name] for name in ("AP", "AP50")},
                images=len(sizes),
                is_asked=place == 0,
            )
            for place, each in enumerate(readings)
        ),
        checks=(
            "the format of the boxes, the numbering of the classes, boxes outside of images, "
            "categories that are never found, the outputs; duplicates among these images",
        ),
        warnings=source.warnings,
    )


def _readings(
    plan: Plan, found: Detections, truth: Any, known: Truth
) -> tuple[list[Reading], list[Finding]]:
    """The detections as the caller says, and as the ground truth says where that differs."""
    asked = LabelOptions.of(plan)
    told = LabelOptions(category_names=plan.category_names)
    ways = [("as a run would read them", asked, plan.box_format)]
    if plan.box_format is not None:
        ways.append(("boxes as the ground truth tells", asked, None))
    if asked.say_numbering:
        ways.append(("classes as the ground truth tells", told, plan.box_format))
    if len(ways) == 3:
        ways.append(("both as the ground truth tells", told, None))
    readings, refused = [], []
    for place, (name, labels, form) in enumerate(ways):
        given = (
            found if form is not None else dataclasses.replace(found, form=coco_boxes.TENSORFLOW)
        )
        try:
            read = metric.resolved(given, known, labels=labels, box_format=form)
        except DataError as error:
            if place == 0:
                refused.append(
                    Finding(
                        name="refused",
                        level="error",
                        what="how boxes or classes are to be read can't be told",
                        evidence=str(error),
                        remedy="box_format=, label_map= or label_offset=, as it says",
                    )
                )
            continue
        scores = metric.score_detections(read, truth)
        hits = _found(read, known)
        readings.append(Reading(name=name, detections=read, scores=scores, found=hits))
    return readings, refused


def _found(read: Detections, known: Truth) -> np.ndarray:
    """How many of the best detections in each image lie on an object of their category."""
    import numpy as np

    images = image_places(read, known)
    found = np.zeros(len(known.image_ids), np.int64)
    evidence = coco_evidence.gather(images, read.scores, known)
    for row, categories in evidence.matches(read.boxes[evidence.rows]).items():
        found[images[row]] += int(read.category_ids[row] in categories)
    return found


def _broken(found: Detections, outputs: list[Any]) -> Iterator[Finding]:
    import numpy as np

    if found.not_finite:
        yield Finding(
            name="not_finite",
            level="error",
            what="the graph gives NaN or infinite boxes, scores or classes",
            evidence=f"{found.not_finite} detections in {len(outputs)} images",
            remedy="look for what overflows or divides by zero in the graph (`inspect`)",
        )
    alike = all(np.array_equal(outputs[0], each) for each in outputs[1:])
    if len(outputs) > 1 and alike and len(found):
        yield Finding(
            name="constant",
            level="error",
            what="the graph gives the same boxes for every image",
            evidence=f"{len(outputs)} different images",
            remedy="say the right tensors with input= and outputs= (`inspect` lists them), or "
            "freeze the graph with its trained weights",
        )
    if not len(found):
        yield Finding(
            name="nothing",
            level="error",
            what="the graph finds nothing at all",
            evidence=f"no detection in {len(outputs)} images",
            remedy="look at outputs= and at the score threshold of the graph",
        )


def _contradictions(plan: Plan, readings: list[Reading]) -> Iterator[Finding]:
    """Where the caller says otherwise than the ground truth; and what a run would decide itself."""
    if not readings:
        return
    asked = readings[0]
    best = max(readings, key=lambda each: each.found.sum())
    gained, lost = (
        int((d > 0).sum()) for d in (best.found - asked.found, asked.found - best.found)
    )
    remedies = {"box_format": plan.box_format, "label_map": plan.label_map or plan.label_offset}
    for name, given in remedies.items():
        said, told = (each.detections.decisions.get(name, "") for each in (asked, best))
        if given is not None and said != told and evidence.beats(gained, lost, 3):
            yield Finding(
                name=name,
                level="error",
                what=f"{'boxes' if name == 'box_format' else 'classes'} aren't what "
                f"{'box_format=' if name == 'box_format' else 'label_map= or label_offset='} says",
                evidence=f"AP50 {asked.scores.scores['AP50']:.3f} as asked, and "
                f"{best.scores.scores['AP50']:.3f} with {told}. {gained} images have more objects "
                f"found so, {lost} fewer: sign test",
                remedy=f"leave it out, or say what was found: {told}",
            )
    for said in asked.detections.warnings:
        if said.startswith("classes are read as") or said.startswith("boxes are read as"):
            name = "label_map" if said.startswith("classes") else "box_format"
            if remedies[name] is None:
                yield Finding(
                    name=name,
                    level="doubt",
                    what=f"{said.partition(' ')[0]} aren't in the usual format",
                    evidence=said,
                    remedy=f"{name}= says it, so that no run has to find out",
                )


def _doubtful(asked: Reading, known: Truth) -> Iterator[Finding]:
    """Boxes outside of images, categories never found, an AP of zero."""
    import numpy as np

    read, scores = asked.detections, asked.scores
    sides = known.sizes[image_places(read, known)]
    strong = read.scores >= 0.3
    if strong.any():
        low, high = read.boxes[:, :2] / sides, (read.boxes[:, :2] + read.boxes[:, 2:]) / sides
        out = ((low < -OUTSIDE) | (high > 1 + OUTSIDE)).any(axis=1) & strong
        if out.sum() > 0.05 * strong.sum():
            yield Finding(
                name="outside",
                level="doubt",
                what="many boxes lie outside of their images",
                evidence=f"{int(out.sum())} of {int(strong.sum())} boxes of a score of 0.3 or more "
                f"reach over the border by more than {OUTSIDE:.0%} of the image",
                remedy="box_format= (pixels of the image, or of the resized input?)",
            )
    if scores.objects >= OBJECTS and scores.scores["AP50"] < ZERO:
        yield Finding(
            name="zero",
            level="error",
            what="hardly anything is found where the annotations have it",
            evidence=f"AP50 is {scores.scores['AP50']:.4f} for {scores.objects} objects",
            remedy="are annotations= those of these images, weights= trained, and the images "
            "prepared as the graph wants them (preprocess_graph=)?",
        )
        return
    given = {str(each) for each in read.category_ids}
    having, _ = np.unique([known.categories, known.images], axis=1)  # each category once an image
    images = dict(zip(known.names, np.bincount(having, minlength=len(known.names)), strict=True))
    never = [each for each in images if images[each] >= OFTEN and str(each) not in given]
    if never:
        yield Finding(
            name="categories",
            level="doubt",
            what="some categories are never found",
            evidence=", ".join(f"{known.names[k]!r} (in {images[k]} images)" for k in never[:5]),
            remedy="label_map= or category_names=, if the graph knows them under other names",
        )
