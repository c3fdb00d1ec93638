"""A task for tests: the mean of the outputs, over numbers in text files.

Children find it by the entry point in `fakes.dist-info` beside this file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fake_backend

from modelzoo_runner.backends import base as backends
from modelzoo_runner.backends.base import Step
from modelzoo_runner.data.batches import Batch
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.tasks import base
from modelzoo_runner.tasks.base import Scores, Source
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Graph, Preset

ROLES = ("mean",)
IMAGE = None
HAS_ANNOTATIONS = False
PUBLISHED_ON = None
DATA_FORM = "text files of numbers"

PRESET = Preset(
    name="mine",
    task="mean",
    graph={"fp32": Graph(input="input:0", outputs={"mean": "mean:0"})},
)
PYTHONPATH = os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))
"""With it a new process finds the fakes."""


def register() -> None:
    """Put the fakes in the tables of a process that plans, where the fixture `fakes` can't."""
    backends.BACKENDS["fake"] = "fake_backend"  # type: ignore[index]
    base.TASKS["mean"] = "fake_task"  # type: ignore[index]


def arguments(folder: Path, *, examples: int, **said: Any) -> dict[str, Any]:
    """A model and the numbers 0, 1, ... as data: the arguments of an accuracy run of this task.

    `said` is what the model says (see `fake_backend`).
    """
    (folder / "numbers").mkdir(parents=True)
    for number in range(examples):
        (folder / "numbers" / f"{number:03}.txt").write_text(str(number))
    model = fake_backend.write(folder / "model.fake", outputs=["mean"], **said)
    return {"model": PRESET, "weights": str(model), "data_location": str(folder / "numbers")}


def _files(plan: Plan, location: str) -> list[Path]:
    return sorted(Path(location).glob("*.txt"))


@contextlib.contextmanager
def open_source(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    import numpy as np

    def batches() -> Iterator[Batch]:
        for at in range(0, len(files), plan.batch_size):
            some = files[at : at + plan.batch_size]
            values = [float(file.read_text()) for file in some]
            inputs = np.stack([np.full((4, 4, 3), value, np.float32) for value in values])
            yield Batch(inputs=inputs, truth=values, names=tuple(file.name for file in some))

    start, stop = plan.examples or (0, plan.limit)
    files = _files(plan, location)[start:stop]
    found = None if plan.examples is None else base.part_of(plan, dataset(plan, location))
    yield Source(batches=batches(), examples=len(files), dataset=found)


def dataset(plan: Plan, location: str) -> DatasetInfo:
    files = _files(plan, location)
    return base.describe(plan, len(files), files)


class Scorer:
    def __init__(self) -> None:
        self.values: list[float] = []

    def add(self, outputs: Sequence[Any], batch: Batch) -> None:
        self.values += map(float, batch.truth)

    def counts(self) -> Mapping[str, int]:
        return {}

    def examples(self) -> int:
        return len(self.values)

    def in_order_of_labels(self) -> bool:
        return False

    def result(self) -> Scores:
        return Scores(scores={"mean": sum(self.values) / len(self.values)})

    def state(self) -> Mapping[str, Any]:
        return {"values": self.values}


@contextlib.contextmanager
def open_scorer(plan: Plan, truth: Any) -> Iterator[Scorer]:
    yield Scorer()


def merge(plan: Plan, states: Sequence[Mapping[str, Any]]) -> Scores:
    scorer = Scorer()
    scorer.values = [value for state in states for value in state["values"]]
    return scorer.result()
