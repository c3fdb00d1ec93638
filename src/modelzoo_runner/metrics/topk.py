"""Scores and labels -> exact top-1 and top-5 hits.

Counts whole hits, never shares, so that parts of a data set can be added up exactly. Which index a
label has is not known here.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

K = (1, 5)


SHIFTS = (0, -1, 1)
"""By how much labels are shifted to see whether they are off by one."""


def in_top_k(scores: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Whether the target of each row is among its `k` best scores, as bool [n].

    The rule of `tf.math.in_top_k`: a target is in when fewer than `k` scores are greater than its
    own, so ties at the border all count as in; a row with a score that isn't finite is out.

    Args:
        scores: float [n, classes].
        targets: integer [n], indices into the classes; one outside of them is out.
        k: how many best scores.
    """
    import numpy as np

    there = (targets >= 0) & (targets < scores.shape[1])
    own = scores[np.arange(len(scores)), np.where(there, targets, 0)]
    greater = np.count_nonzero(scores > own[:, None], axis=1)
    inside: np.ndarray = there & (greater < k) & np.isfinite(scores).all(axis=1)
    return inside


@dataclass
class TopK:
    """Hits so far, over all the batches added.

    `not_finite` counts rows with a NaN or infinite score, `all_equal` rows whose scores are all
    the same: such a row has no opinion, though by the tie rule it counts as a hit. `sole` counts
    top-1 hits whose score no other class shares.
    """

    examples: int = 0
    top1: int = 0
    top5: int = 0
    not_finite: int = 0
    all_equal: int = 0
    sole: int = 0

    def add(self, scores: np.ndarray, targets: np.ndarray) -> None:
        """Count the hits of one batch: float [n, classes] and integer [n]."""
        import numpy as np

        self.examples += len(scores)
        best = in_top_k(scores, targets, 1)
        self.top1 += int(np.count_nonzero(best))
        shared = np.count_nonzero(scores == scores.max(axis=1, keepdims=True), axis=1) > 1
        self.sole += int(np.count_nonzero(best & ~shared))
        self.top5 += int(np.count_nonzero(in_top_k(scores, targets, 5)))
        self.not_finite += int(np.count_nonzero(~np.isfinite(scores).all(axis=1)))
        self.all_equal += int(np.count_nonzero((scores == scores[:, :1]).all(axis=1)))

    def __add__(self, other: TopK) -> TopK:
        """The hits of both."""
        return TopK(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def counts(self) -> dict[str, int]:
        """The hits by name."""
        return {"top1": self.top1, "top5": self.top5}


def best(scores: np.ndarray, k: int = 5) -> np.ndarray:
    """The indices of the `k` best scores of each row, best first, as int64 [n, k].

    Equal scores come in the order of their indices.
    """
    import numpy as np

    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
