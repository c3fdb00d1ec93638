"""What takes a run's outputs in and comes to scores: the values that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from modelzoo_runner.data.batches import Batch


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

    def result(self) -> Scores:
        """The scores of all that was added; there was at least one example."""

    def state(self) -> Mapping[str, Any]:
        """What the scores are made from, as JSON can carry it; states of parts add up."""
