"""What a task has to offer, and which tasks there are; and the batches of a plan without data.

A task is a module that has what `Task` lists. One more is one more module, its line in `TASKS`, and
its output roles in `values.preset.ROLES`; one of another distribution is found by its entry point
in the group `GROUP`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from modelzoo_runner.backends.base import ENCODED, Step, TensorSpec, load_entry, show_shape
from modelzoo_runner.data import batches as synthetic_batches
from modelzoo_runner.data import paths
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.storage import streaming
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import ROLES

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch, Transform

TASKS: dict[str, str] = {
    "classification": "modelzoo_runner.tasks.classification",
    "detection": "modelzoo_runner.tasks.detection",
}
"""The module of each task. It is imported when it is first asked for."""

GROUP = "modelzoo_runner.tasks"

IMAGE = (480, 640)
"""Height and width of an encoded synthetic image, where nobody says: COCO's most common."""

DISTINCT = 4
"""How many different batches of encoded images are made."""

VALUE_RANGES = {"uint8": (0.0, 255.0)}
"""Of inputs whose preprocessing nobody has described; a float is taken to be in 0..1."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Batches, how many examples there are (`None`: without end), and what a reader should know.

    `truth` is the ground truth of all examples, for a score that can't be had batch by batch; of
    records that are streamed, of those that have been read. `dataset` is the data that these
    batches are a part of, where the plan says that they are.
    """

    batches: Iterator[Batch]
    examples: int | None = None
    truth: Any = None
    dataset: DatasetInfo | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a scorer comes to: shares, exact counts, and what is doubtful about them.

    `decisions` say how outputs were read, and why (`box_format`, `label_map`, `label_offset`).
    """

    scores: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_category: Mapping[str, float] = field(default_factory=dict)
    legacy_scores: Mapping[str, float] = field(default_factory=dict)
    classes: int | None = None
    decisions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Scorer(Protocol):
    """Takes a run's outputs batch by batch."""

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Take in the outputs of one batch, in the order of the plan's outputs."""

    def counts(self) -> Mapping[str, int]:
        """The hits so far by score; empty where scores aren't shares of the examples."""

    def examples(self) -> int:
        """How many examples were taken in."""

    def in_order_of_labels(self) -> bool:
        """Whether the examples come sorted by their labels, as far as one can see."""

    def result(self) -> Scores:
        """The scores of all that was added; there was at least one example."""

    def state(self) -> Mapping[str, Any]:
        """What the scores are made from, as JSON can carry it; states of parts add up."""


class Task(Protocol):
    """A task, as a module.

    `IMAGE` is the usual height and width of a synthetic example where the graph leaves them open
    (`None`: the caller has to say), `HAS_ANNOTATIONS` whether the ground truth is in a file beside
    the data. `DATA_FORM` says in words what data the task is scored on, `PUBLISHED_ON` which data
    set published scores are of, and its number of examples.
    """

    IMAGE: tuple[int, int] | None
    HAS_ANNOTATIONS: bool
    DATA_FORM: str
    PUBLISHED_ON: tuple[str, int] | None

    def open_source(
        self, plan: Plan, location: str, prepare: Step | None
    ) -> AbstractContextManager[Source]:
        """The plan's examples from its data."""

    def dataset(self, plan: Plan, location: str) -> DatasetInfo:
        """What the plan's data is, without loading the runtime."""

    def open_scorer(self, plan: Plan, truth: Any) -> AbstractContextManager[Scorer]:
        """The scorer; the plan's predictions file is written when the block ends well."""

    def merge(self, plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
        """The scores of several parts (`Scorer.state`), in the order of the data."""


def find(name: str) -> Task:
    """The task of that name.

    Raises:
        RequestError: there is none, with the near names.
    """
    module = load_entry(name, TASKS, GROUP)
    if module is None:
        near = did_you_mean(name, list(TASKS), otherwise="Tasks")
        raise RequestError(f"task={name!r}: there is no such task. {near}")
    return cast(Task, module)


def name_for(outputs: Iterable[str], *, otherwise: str) -> str:
    """The task whose output roles these are.

    >>> name_for(["scores"], otherwise="detection")
    'classification'
    """
    given = set(outputs)
    having = [name for name, roles in ROLES.items() if set(roles) <= given]
    if not having:
        return otherwise
    return max(having, key=lambda name: (len(ROLES[name]), name == otherwise))


def open_source(
    plan: Plan, step: Step | TensorSpec, prepare: Step | None = None
) -> AbstractContextManager[Source]:
    """The plan's batches, closed at the end.

    Data that the plan streams is at gs://, and is read there as the batches are asked for.

    Args:
        plan: says where the data is, and how much of it.
        step: what is fed with the batches, or what that takes.
        prepare: makes what `step` takes of one image, where that is a graph of its own. It runs
            where images are decoded, or made.

    Raises:
        DataError: the data isn't there or isn't what it should be.
        FetchError: it can't be read where it is.
        RequestError: the graph leaves the shape of its input open, and so does the call.
    """
    if plan.data_location is None:
        return nullcontext(Source(batches=_synthetic(plan, step, prepare)))
    return find(plan.task).open_source(plan, plan.data_location, prepare)


def dataset(plan: Plan) -> DatasetInfo:
    """The data that the plan asks for, of which a part can then be asked for (`Plan.examples`).

    Raises:
        DataError: the data isn't there or isn't what it should be.
    """
    return find(plan.task).dataset(plan, plan.data_location or "")


def describe(plan: Plan, available: int, files: Iterable[ReadablePath]) -> DatasetInfo:
    """The data that the plan asks for of so many examples in these files."""
    return DatasetInfo(
        examples=min(available, plan.limit or available),
        fingerprint=paths.fingerprint(files),
        available=available,
    )


def part_of(plan: Plan, found: DatasetInfo) -> DatasetInfo:
    """The data that was found, which has the part of it that the plan names.

    Raises:
        RequestError: there are no such examples.
    """
    start, stop = plan.examples or (0, found.examples)
    if not 0 <= start < stop <= found.examples:
        raise RequestError(
            f"examples={plan.examples}: the data has {found.examples}; give the first one's number "
            "from 0, and the number after the last one's"
        )
    return found


def at(location: str, plan: Plan) -> ReadablePath | str:
    """The files to read: on the disk, or in the bucket where they are."""
    is_in_bucket = plan.stream and location.lower().startswith("gs://")
    return streaming.path(location) if is_in_bucket else location


def reading(plan: Plan) -> dict[str, Any]:
    """How the data is read, whatever it is."""
    return {
        **example_range(plan),
        "batch_size": plan.batch_size,
        "threads": len(plan.placement.cpus) or plan.placement.intra_threads,
        # A benchmark of fewer images than it has steps goes over them again.
        "repeat": plan.kind == "benchmark",
    }


def example_range(plan: Plan) -> dict[str, Any]:
    """Which of the examples."""
    if plan.examples is None:
        return {"first": 0, "limit": plan.limit}
    start, stop = plan.examples
    return {"first": start, "limit": stop - start}


def predictions_target(plan: Plan) -> Path | None:
    """Where this run writes its predictions; those of parts are written when they are merged.

    Raises:
        RequestError: the file can't be written.
    """
    from modelzoo_runner.values import atomic

    if plan.predictions is None or plan.examples is not None:
        return None
    return atomic.target("predictions", plan.predictions)


def transform(prepare: Step | None) -> Transform | None:
    """What is done with each image as it is decoded."""
    return None if prepare is None else lambda image: prepare(image)[0]


def _synthetic(plan: Plan, step: Step | TensorSpec, prepare: Step | None) -> Iterator[Batch]:
    made_for = prepare or step
    if made_for.input_dtype == ENCODED:
        return _encoded(plan)
    if plan.preprocess is not None:
        value_range = plan.preprocess.value_range
    else:
        value_range = VALUE_RANGES.get(made_for.input_dtype, (0.0, 1.0))
    return synthetic_batches.synthetic(
        shape=(plan.batch_size, *_example_shape(plan, made_for)),
        dtype=made_for.input_dtype,
        value_range=value_range,
        seed=plan.seed,
        transform=transform(prepare),
        # As many as are asked for; a benchmark has no limit, and goes over the same few.
        **({} if plan.limit is None else {"distinct": -(-plan.limit // plan.batch_size)}),
    )


def _encoded(plan: Plan) -> Iterator[Batch]:
    """Random JPEG images, of `input_shape` or else of COCO's most common size."""
    import numpy as np

    height, width = (plan.input_shape or IMAGE)[:2]
    rng = np.random.default_rng(plan.seed)
    shape = (plan.batch_size,)
    made = [
        synthetic_batches.Batch(synthetic_batches.encoded_images(shape, height, width, rng))
        for _ in range(DISTINCT)
    ]
    return itertools.cycle(made)


def _example_shape(plan: Plan, step: Step | TensorSpec) -> tuple[int, ...]:
    if plan.input_shape is not None:
        wanted = (step.input_shape or (None, *plan.input_shape))[1:]
        if len(wanted) != len(plan.input_shape):
            raise RequestError(
                f"input_shape={plan.input_shape}: the graph takes examples of the shape "
                f"{show_shape(wanted)}; give all of its sizes, as input_shape=(224, 224, 3)"
            )
        return plan.input_shape
    if plan.preprocess is not None:
        return (*plan.preprocess.size, 3)
    wanted = (step.input_shape or ())[1:]
    image = find(plan.task).IMAGE
    if image is not None:
        usual = (*image, 3)
        wanted = tuple(size or default for size, default in zip(wanted, usual, strict=False))
    shape = tuple(size for size in wanted if size is not None)
    if not shape or len(shape) < len(wanted):
        raise RequestError(
            f"input_shape: the graph's input {plan.graph.input} has shape {step.input_shape}; "
            "say the shape of one example, as input_shape=(224, 224, 3)"
        )
    return shape
