"""Where a plan's batches come from: real data by its task, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import batches as synthetic_batches
from modelzoo_runner.data import coco, imagenet
from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.errors import RequestError
from modelzoo_runner.plan import Plan
from modelzoo_runner.preset import Task

if TYPE_CHECKING:
    from modelzoo_runner.data.batches import Batch
    from modelzoo_runner.graphs.session import Fed, Step

DETECTOR_IMAGE = (480, 640)
"""Height and width of a synthetic image for a detector: COCO's most common size."""

VALUE_RANGES = {"uint8": (0.0, 255.0)}
"""Of inputs whose preprocessing nobody has described; a float is taken to be in 0..1."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Batches, how many examples there are (`None`: without end), and what a reader should know.

    `truth` is what there is to find in all images, for a score that can't be had batch by batch.
    """

    batches: Iterator[Batch]
    examples: int | None = None
    truth: Annotations | None = None
    warnings: tuple[str, ...] = ()


def opened(plan: Plan, step: Step | Fed) -> AbstractContextManager[Source]:
    """The plan's batches, closed at the end; `step` says what the graph takes.

    Raises:
        DataError: the data isn't there or isn't what it should be.
        RequestError: the graph leaves the shape of its input open, and so does the call.
    """
    if plan.data_location is None:
        return nullcontext(Source(batches=_synthetic(plan, step)))
    return _BY_TASK[plan.task](plan, plan.data_location)


@contextmanager
def _classification(plan: Plan, location: str) -> Iterator[Source]:
    if plan.preprocess is None:
        raise RequestError(
            f"data_location={location!r}: how images become this graph's input isn't known; give "
            "a preset with [preprocess] and the graph as weights="
        )
    shards = imagenet.find(location, allow_partial=plan.allow_partial)
    missing = ", ".join(map(str, shards.missing))
    with closing(imagenet.batches(shards, plan.preprocess, **_reading(plan))) as batches:
        yield Source(
            batches=batches,
            examples=imagenet.count_examples(shards),
            warnings=(f"a part of the set: shards {missing} are missing",) if missing else (),
        )


@contextmanager
def _detection(plan: Plan, location: str) -> Iterator[Source]:
    images = coco.find(location, plan.annotations, allow_partial=plan.allow_partial)
    # Read before the run: annotations that don't fit must not cost its hours.
    is_scored = plan.kind == "accuracy"
    truth = coco.ground_truth(images, limit=plan.limit) if is_scored else None
    with closing(coco.batches(images, **_reading(plan))) as batches:
        yield Source(
            batches=batches, examples=coco.count(images), truth=truth, warnings=images.warnings
        )


_BY_TASK: Mapping[Task, Callable[[Plan, str], AbstractContextManager[Source]]] = {
    "classification": _classification,
    "detection": _detection,
}


def _reading(plan: Plan) -> dict[str, Any]:
    """How the data is read, whatever it is."""
    return {
        "batch_size": plan.batch_size,
        "limit": plan.limit,
        "threads": len(plan.placement.cpus) or plan.placement.intra_threads,
        # A benchmark of fewer images than it has steps goes over them again.
        "repeat": plan.kind == "benchmark",
    }


def _synthetic(plan: Plan, step: Step | Fed) -> Iterator[Batch]:
    if plan.preprocess is not None:
        value_range = plan.preprocess.value_range
    else:
        value_range = VALUE_RANGES.get(step.input_dtype, (0.0, 1.0))
    return synthetic_batches.synthetic(
        shape=(plan.batch_size, *_example_shape(plan, step)),
        dtype=step.input_dtype,
        value_range=value_range,
        seed=plan.seed,
        # As many as are asked for; a benchmark has no limit, and goes over the same few.
        **({} if plan.limit is None else {"distinct": -(-plan.limit // plan.batch_size)}),
    )


def _example_shape(plan: Plan, step: Step | Fed) -> tuple[int, ...]:
    if plan.input_shape is not None:
        return plan.input_shape
    if plan.preprocess is not None:
        return (*plan.preprocess.size, 3)
    wanted = (step.input_shape or ())[1:]
    if plan.task == "detection":
        usual = (*DETECTOR_IMAGE, 3)
        wanted = tuple(size or default for size, default in zip(wanted, usual, strict=False))
    shape = tuple(size for size in wanted if size is not None)
    if not shape or len(shape) < len(wanted):
        raise RequestError(
            f"input_shape: the graph's input {plan.graph.input} has shape {step.input_shape}; "
            "say the shape of one example, as input_shape=(224, 224, 3)"
        )
    return shape
