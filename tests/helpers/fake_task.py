"""A task for tests: the mean of the outputs, over numbers in text files.

Children find it by the entry point in `fakes.dist-info` beside this file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelzoo_runner.backends.base import Step
from modelzoo_runner.data.batches import Batch
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.tasks import base
from modelzoo_runner.tasks.base import Scores, Source
from modelzoo_runner.values.plan import Plan

ROLES = ("mean",)
IMAGE = None
HAS_ANNOTATIONS = False
PUBLISHED_ON = None
DATA_FORM = "text files of numbers"


def _files(plan: Plan, location: str) -> list[Path]:
    start, stop = plan.examples or (0, plan.limit)
    return sorted(Path(location).glob("*.txt"))[start:stop]


@contextlib.contextmanager
def open_source(plan: Plan, location: str, prepare: Step | None) -> Iterator[Source]:
    import numpy as np

    def batches() -> Iterator[Batch]:
        for at in range(0, len(files), plan.batch_size):
            some = files[at : at + plan.batch_size]
            values = [float(file.read_text()) for file in some]
            inputs = np.stack([np.full((4, 4, 3), value, np.float32) for value in values])
            yield Batch(inputs=inputs, truth=values, names=tuple(file.name for file in some))

    files = _files(plan, location)
    yield Source(batches=batches(), examples=len(files))


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
