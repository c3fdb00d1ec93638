"""Recipes of preprocessing tried on the same labelled images: all on a few, the best on all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.backends.base import Step
from modelzoo_runner.data import labels, samples
from modelzoo_runner.data.samples import Samples
from modelzoo_runner.errors import GraphError
from modelzoo_runner.metrics.topk import SHIFTS, in_top_k
from modelzoo_runner.tasks import evidence, recipes
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    import numpy as np

SCREENED = 32
"""On so many images all recipes are tried."""

KEPT = 3
"""So many of the best recipes are tried on all images, besides the plan's own."""

STEP = 16
"""Images in a step, where the graph doesn't say."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tried:
    """A recipe's scores of images, [n, classes], and by shift of the labels which are hits."""

    recipe: Preprocess
    scores: np.ndarray
    hits: dict[int, np.ndarray]

    def count(self, shift: int) -> int:
        """The hits with labels shifted so."""
        return int(self.hits[shift].sum())


class Bench:
    """Runs recipes on the samples, and keeps what they scored."""

    def __init__(self, plan: Plan, step: Step, found: Samples) -> None:
        self.samples = found
        self.tried: dict[Preprocess, Tried] = {}
        self.comparisons = 0
        self._plan = plan
        self._step = step
        self._pixels: dict[Preprocess, np.ndarray] = {}

    def best_normalization(self, own: Preprocess) -> tuple[Tried, int]:
        """The normalization that beats the plan's own, or that; and the shift of labels."""
        return self._best(own, recipes.normalizations(own), SHIFTS)

    def best_crop(self, first: Tried, shift: int) -> tuple[Tried, int]:
        """The same for crops."""
        return self._best(first.recipe, recipes.crops(first.recipe), (shift,))

    def _best(
        self, own: Preprocess, candidates: Sequence[Preprocess], shifts: Sequence[int]
    ) -> tuple[Tried, int]:
        self.comparisons += len(candidates) - (own in self.tried)
        screened = [self.run(each, SCREENED) for each in candidates]
        order = sorted(screened, key=lambda each: -max(map(each.count, shifts)))
        kept = dict.fromkeys((own, *(each.recipe for each in order[:KEPT])))
        whole = [self.run(each, None) for each in kept]
        self.tried |= {each.recipe: each for each in whole}
        # The first of equal ones, which is 0.
        shift = max(shifts, key=lambda each: max(one.count(each) for one in whole))
        best = max(whole, key=lambda each: each.count(shift))
        mine = self.tried[own]
        gained, lost = differing(best, mine, shift)
        is_better = evidence.beats(gained, lost, self.tests_of(best, mine))
        return (best if is_better else mine), shift

    def tests_of(self, one: Tried, other: Tried) -> int:
        """As how many comparisons this one counts: swapped channels are a check of their own."""
        swapped = one.recipe.channel_order != other.recipe.channel_order
        only = swapped and recipes.same_values(one.recipe, other.recipe)
        return 1 if only and recipes.same_crop(one.recipe, other.recipe) else self.tests

    @property
    def tests(self) -> int:
        """How many comparisons count as made: each recipe with each shift."""
        return max(1, self.comparisons * len(SHIFTS))

    def run(self, recipe: Preprocess, count: int | None) -> Tried:
        """A recipe on the first `count` of the samples, spread over all, or on all of them."""
        import numpy as np

        if recipe in self.tried:
            return self.tried[recipe]
        truth = self.samples.truth
        rows = np.arange(len(truth))
        if count is not None and count < len(truth):
            rows = rows[:: len(truth) // count][:count]
        scores = self.scores(recipes.normalized(self.pixels(recipe)[rows], recipe))
        asked = self._plan.why.get("label_offset") == "argument"
        targets = labels.score_index(
            truth[rows], scores.shape[1], self._plan.label_offset, is_asked=asked
        )
        hits = {shift: in_top_k(scores, targets + shift, 1) for shift in SHIFTS}
        # A row without an opinion is in by the tie rule, and shows nothing.
        opinion = (scores != scores[:, :1]).any(axis=1)
        return Tried(
            recipe=recipe, scores=scores, hits={k: each & opinion for k, each in hits.items()}
        )

    def pixels(self, recipe: Preprocess) -> np.ndarray:
        """The samples as the recipe crops them, in 0..255."""
        crop = recipes.as_pixels(recipe)
        if crop not in self._pixels:
            threads = len(self._plan.placement.cpus) or self._plan.placement.intra_threads or 1
            self._pixels[crop] = samples.prepared(self.samples, crop, threads=threads)
        return self._pixels[crop]

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """The graph's scores of these inputs, the last filled up where it takes one batch size."""
        import numpy as np

        place = list(self._plan.graph.outputs).index("scores")
        only = (self._step.input_shape or (None,))[0]
        size = only or STEP
        found = []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            missing = (only or len(part)) - len(part)
            filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            scores = self._step(filled.astype(self._step.input_dtype))[place]
            if scores.ndim != 2:
                raise GraphError(
                    f"{self._plan.graph.outputs['scores']}: has shape {scores.shape}; scores "
                    "should be [batch, classes]"
                )
            found.append(scores[: len(part)])
        return np.concatenate(found).astype(np.float64)


def differing(one: Tried, other: Tried, shift: int) -> tuple[int, int]:
    """How many images are hits with only the one, and with only the other recipe."""
    a, b = one.hits[shift], other.hits[shift]
    return int((a & ~b).sum()), int((b & ~a).sum())
