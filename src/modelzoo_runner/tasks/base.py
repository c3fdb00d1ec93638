"""What a task has to offer, which tasks there are, and what they share.

A task is a module that has what `Task` lists. One more is one more module, its line in `TASKS`, and
its output roles in `values.preset.ROLES`; one of another distribution is found by its entry point
in the group `GROUP`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from modelzoo_runner.backends.base import Step, TensorSpec, find_module
from modelzoo_runner.data import manifest, paths
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import RequestError
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.storage import streaming
from modelzoo_runner.tasks import synthetic
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import ROLES
from modelzoo_runner.values.remote import RemotePath

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch

TASKS: dict[str, str] = {
    "classification": "modelzoo_runner.tasks.classification",
    "detection": "modelzoo_runner.tasks.detection",
}
"""The module of each task. It is imported when it is first asked for."""

GROUP = "modelzoo_runner.tasks"


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
    precision_recall: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
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
    set published scores are of, and its number of examples. A module may also have
    `record_files` (see below), so that workers of a cluster fetch only what they need.
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
    return cast(Task, find_module("task", name, TASKS, GROUP))


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

    Data that the plan streams is in a store, and is read there as the batches are asked for.

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
        image = find(plan.task).IMAGE
        return nullcontext(Source(batches=synthetic.batches(plan, step, prepare, image)))
    return find(plan.task).open_source(plan, plan.data_location, prepare)


def dataset(plan: Plan) -> DatasetInfo:
    """The data that the plan asks for, of which a part can then be asked for (`Plan.examples`).

    Raises:
        DataError: the data isn't there or isn't what it should be.
    """
    return find(plan.task).dataset(plan, plan.data_location or "")


def record_files(plan: Plan, folder: ReadablePath) -> Sequence[ReadablePath] | None:
    """The record files in a folder that the plan's examples are read from.

    None of them is opened; for some of the examples (`Plan.examples`), the numbers of records have
    to be known. `None`: the examples are in other files, or the task can't tell.

    Raises:
        DataError: the data isn't there or isn't what it should be.
    """
    own = getattr(find(plan.task), "record_files", None)
    return cast("Sequence[ReadablePath] | None", own(plan, folder)) if own else None


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
    """The files to read: on the disk, by a list of them, or in the store where they are."""
    if location.endswith(manifest.SUFFIX):
        return manifest.read(Path(location))
    return streaming.path(location) if plan.stream and "://" in location else location


def read_options(plan: Plan) -> ReadOptions:
    """Which examples of the data are read, and how."""
    start, stop = plan.examples or (0, plan.limit)
    return ReadOptions(
        batch_size=plan.batch_size,
        threads=len(plan.placement.cpus) or plan.placement.intra_threads,
        first=start,
        limit=None if stop is None else stop - start,
        # A benchmark of fewer images than it has steps goes over them again.
        repeat=plan.kind == "benchmark",
    )


def predictions_target(plan: Plan) -> Path | RemotePath | None:
    """Where this run writes its predictions; those of parts are written when they are merged.

    Raises:
        RequestError: the file can't be written.
    """
    from modelzoo_runner.values import atomic

    if plan.predictions is None or plan.examples is not None:
        return None
    return atomic.target("predictions", plan.predictions)
