"""Where a plan's batches come from: real data by its task, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import batches as synthetic_batches
from modelzoo_runner.data import coco, imagenet, paths
from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import RequestError
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.storage import streaming
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Task

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.session import Fed, Step
    from modelzoo_runner.data.batches import Batch, Transform

DETECTOR_IMAGE = (480, 640)
"""Height and width of a synthetic image for a detector: COCO's most common size."""

VALUE_RANGES = {"uint8": (0.0, 255.0)}
"""Of inputs whose preprocessing nobody has described; a float is taken to be in 0..1."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Batches, how many examples there are (`None`: without end), and what a reader should know.

    `truth` is what there is to find in all images, for a score that can't be had batch by batch;
    of records that are streamed, in those that have been read.
    `dataset` is the data that these batches are a part of, where the plan says that they are.
    """

    batches: Iterator[Batch]
    examples: int | None = None
    truth: Annotations | None = None
    dataset: DatasetInfo | None = None
    warnings: tuple[str, ...] = ()


def opened(
    plan: Plan, step: Step | Fed, prepare: Step | None = None
) -> AbstractContextManager[Source]:
    """The plan's batches, closed at the end.

    Data that the plan streams is at gs://, and is read there as the batches are asked for.

    Args:
        plan: says where the data is, and how much of it.
        step: what is fed with the batches, or what that takes.
        prepare: makes what `step` takes of one image, where that is a graph of its own (see
            `preprocessing`). It runs where images are decoded, or made.

    Raises:
        DataError: the data isn't there or isn't what it should be.
        FetchError: it can't be read where it is.
        RequestError: the graph leaves the shape of its input open, and so does the call.
    """
    if plan.data_location is None:
        return nullcontext(Source(batches=_synthetic(plan, step, prepare)))
    return _BY_TASK[plan.task](plan, plan.data_location, prepare)


def dataset(plan: Plan) -> DatasetInfo:
    """The data that the plan asks for, of which a part can then be asked for (`Plan.examples`).

    TensorFlow isn't loaded for it.

    Raises:
        DataError: the data isn't there or isn't what it should be.
    """
    location = plan.data_location or ""
    # A graph that nobody described can only be a detector: a classifier's images need a recipe.
    if plan.preprocess is None:
        images = coco.find(location, plan.annotations, allow_partial=plan.allow_partial)
        return _dataset(plan, coco.count(images), coco.files_of(images, plan.limit))
    shards = imagenet.find_files(location, allow_partial=plan.allow_partial)
    return _dataset(plan, imagenet.count_examples(shards), imagenet.files_of(shards, plan.limit))


def _dataset(plan: Plan, available: int, files: Iterable[ReadablePath]) -> DatasetInfo:
    return DatasetInfo(
        examples=min(available, plan.limit or available),
        fingerprint=paths.fingerprint(files),
        available=available,
    )


def _part_of(
    plan: Plan, available: int | None, files: Callable[[], Iterable[ReadablePath]]
) -> DatasetInfo | None:
    """What is known of all of the data, where the plan names a part of it.

    Raises:
        RequestError: there are no such examples.
    """
    if plan.examples is None or available is None:
        return None
    there = _dataset(plan, available, files())
    start, stop = plan.examples
    if not 0 <= start < stop <= there.examples:
        raise RequestError(
            f"examples={plan.examples}: the data has {there.examples}; give the first one's number "
            "from 0, and the number after the last one's"
        )
    return there


@contextmanager
def _classification(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    if plan.preprocess is None:
        raise RequestError(
            f"data_location={location!r}: how images become this graph's input isn't known; give "
            "a preset with [preprocess] and the graph as weights="
        )
    shards = imagenet.find(_at(location, plan), allow_partial=plan.allow_partial)
    # To count them, all of the files have to be read.
    examples = None if plan.stream else imagenet.count_examples(shards)
    missing = ", ".join(map(str, shards.missing))
    with closing(imagenet.batches(shards, plan.preprocess, **_reading(plan))) as batches:
        yield Source(
            batches=batches,
            examples=examples,
            dataset=_part_of(plan, examples, partial(imagenet.files_of, shards, plan.limit)),
            warnings=(f"a part of the set: shards {missing} are missing",) if missing else (),
        )


@contextmanager
def _detection(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    beside = plan.annotations and _at(plan.annotations, plan)
    label_map = None
    if plan.label_map is not None:
        label_map = {name: int(label) for label, name in plan.label_map.items() if label.isdigit()}
    images = coco.find(
        _at(location, plan), beside, label_map=label_map, allow_partial=plan.allow_partial
    )
    is_scored = plan.kind == "accuracy"
    # To be read once only: what there is to find, and how much, shows as they are read.
    once = plan.stream and images.kind == "records"
    examples = None if once else coco.count(images)
    collected = coco.collected(images) if once and is_scored else None
    truth = None if collected is None else collected.annotations
    if is_scored and not once:
        # Read before the run: annotations that don't fit must not cost its hours.
        truth = coco.ground_truth(images, **_range(plan))
    reading = {"transform": _transform(prepare), **_reading(plan)}
    with closing(coco.batches(images, truth=collected, **reading)) as batches:
        yield Source(
            batches=batches,
            examples=examples,
            truth=truth,
            dataset=_part_of(plan, examples, partial(coco.files_of, images, plan.limit)),
            warnings=images.warnings,
        )


def _at(location: str, plan: Plan) -> ReadablePath | str:
    """The files to read: on the disk, or in the bucket where they are."""
    is_in_bucket = plan.stream and location.lower().startswith("gs://")
    return streaming.path(location) if is_in_bucket else location


_BY_TASK: Mapping[Task, Callable[[Plan, str, Step | None], AbstractContextManager[Source]]] = {
    "classification": _classification,
    "detection": _detection,
}


def _reading(plan: Plan) -> dict[str, Any]:
    """How the data is read, whatever it is."""
    return {
        **_range(plan),
        "batch_size": plan.batch_size,
        "threads": len(plan.placement.cpus) or plan.placement.intra_threads,
        # A benchmark of fewer images than it has steps goes over them again.
        "repeat": plan.kind == "benchmark",
    }


def _range(plan: Plan) -> dict[str, Any]:
    """Which of the examples."""
    if plan.examples is None:
        return {"first": 0, "limit": plan.limit}
    start, stop = plan.examples
    return {"first": start, "limit": stop - start}


def _transform(prepare: Step | None) -> Transform | None:
    return None if prepare is None else lambda image: prepare(image)[0]


def _synthetic(plan: Plan, step: Step | Fed, prepare: Step | None) -> Iterator[Batch]:
    made_for = prepare or step
    if plan.preprocess is not None:
        value_range = plan.preprocess.value_range
    else:
        value_range = VALUE_RANGES.get(made_for.input_dtype, (0.0, 1.0))
    return synthetic_batches.synthetic(
        shape=(plan.batch_size, *_example_shape(plan, made_for)),
        dtype=made_for.input_dtype,
        value_range=value_range,
        seed=plan.seed,
        transform=_transform(prepare),
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
