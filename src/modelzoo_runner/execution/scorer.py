"""What takes a run's outputs in and comes to scores: the values that all tasks share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modelzoo_runner.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a scorer comes to: shares, exact counts, and what is doubtful about them."""

    scores: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_category: Mapping[str, float] = field(default_factory=dict)
    legacy_scores: Mapping[str, float] = field(default_factory=dict)
    classes: int | None = None
    warnings: tuple[str, ...] = ()


class Scorer(Protocol):
    """Takes a run's outputs batch by batch."""

    def add(self, outputs: Sequence[np.ndarray], batch: Batch) -> None:
        """Take in the outputs of one batch, in the order of the plan's outputs."""

    def result(self) -> Scores:
        """The scores of all that was added; there was at least one example."""

    def tally(self) -> Mapping[str, Any]:
        """What the scores are made from, as JSON can carry it; tallies of parts add up."""


def predictions_file(path: str) -> Path:
    """The path of the predictions file, if it can be written.

    To be asked before the run, so that a slip doesn't cost its hours.

    Raises:
        RequestError: saying why it can't.
    """
    target = Path(path).expanduser()
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        reason = "it is a folder" if target.is_dir() else f"no writable folder {target.parent}"
        raise RequestError(f"predictions={path!r}: can't be written: {reason}")
    return target
