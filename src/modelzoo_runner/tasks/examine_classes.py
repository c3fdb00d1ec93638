"""A look at a classifier on a few images: labels, preprocessing, and whether it works at all.

A recipe or an offset is found wrong only where another one is better on the same images by the rule
of `evidence.beats`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelzoo_runner.backends.base import Step
from modelzoo_runner.data import imagenet, labels, samples
from modelzoo_runner.metrics.topk import SHIFTS
from modelzoo_runner.results.diagnosis import Candidate, Finding
from modelzoo_runner.tasks import base, evidence, recipes, trials
from modelzoo_runner.tasks.evidence import Examined
from modelzoo_runner.tasks.trials import Bench, Tried
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    import numpy as np

SATURATED = 1 - 1e-6
"""A softmax whose largest value is above this in every image has been driven to its limit."""


def examine(plan: Plan, location: str, step: Step, prepare: Step | None) -> Examined:
    """What a few images of the plan's data show; `plan.limit` says how many."""
    shards = imagenet.find(base.at(location, plan), allow_partial=plan.allow_partial)
    take = samples.first if plan.stream else samples.spread
    bench = Bench(plan, step, take(shards, plan.limit or 1))
    size = tuple((step.input_shape or (None,) * 4)[1:3])
    own = plan.preprocess or Preprocess(
        size=(size[0] or 224, size[1] or 224), resize="central_fraction", central_fraction=0.875
    )
    first, shift = bench.best_normalization(own)
    best, shift = bench.best_crop(first, shift)
    asked = bench.tried[own]
    found = [*_broken(best, bench)]
    chance = None if found else _chance(best, shift, bench)
    if chance is not None:
        found.append(chance)
    elif not found:
        found += _recipe_findings(plan, asked, first, best, shift, bench)
        found += _offset_finding(plan, best, shift, bench)
    searched = (
        ()
        if plan.stream
        else tuple(itertools.islice(samples.labelled(shards), evidence.DUPLICATES_IN))
    )
    return Examined(
        images=len(bench.samples.truth),
        findings=(*found, *evidence.duplicates(searched)),
        candidates=tuple(_candidates(plan, bench, own)),
        checks=(
            f"the label offset, {bench.comparisons} recipes of preprocessing, the outputs, the "
            "labels: an error or doubt is what chance would show once in "
            f"{1 / evidence.ALPHA:.0f} times (McNemar's and binomial tests, Bonferroni)",
            f"duplicates among the first {len(searched)} images",
        ),
    )


def _broken(best: Tried, bench: Bench) -> Iterator[Finding]:
    """Outputs that can't be right with any recipe."""
    import numpy as np

    scores = best.scores
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    if bad:
        yield Finding(
            name="not_finite",
            level="error",
            what="the graph gives NaN or infinite scores",
            evidence=f"in {bad} of {len(scores)} images, with every recipe that was tried",
            remedy="look for what overflows or divides by zero in the graph (`inspect`); "
            "optimize=False tells whether preparing the graph does it",
        )
        return
    spread = float(np.ptp(scores, axis=0).max())
    if spread <= 1e-6 * max(1e-30, float(np.abs(scores).max())):
        yield Finding(
            name="constant",
            level="error",
            what="the graph gives the same scores for every image",
            evidence=f"{len(scores)} different images, scores that differ by {spread:.1g} at most",
            remedy="the graph doesn't look at its input: say the right tensors with input= and "
            "outputs= (`inspect` lists them), or freeze it with its trained weights",
        )
        return
    if not _is_softmax(scores):
        return
    low, high = best.recipe.value_range
    noise = np.random.default_rng(0).uniform(low, high, (8, *best.recipe.size, 3))
    tops = np.concatenate([scores, bench.scores(noise.astype(np.float32))]).max(axis=1)
    if tops.min() >= SATURATED:
        yield Finding(
            name="saturated",
            level="error",
            what="the softmax is saturated: one class has all of the probability, always",
            evidence=f"the largest probability is above {SATURATED} in each of {len(scores)} "
            "images and of 8 images of noise; ties among the rest make top-5 meaningless",
            remedy="look at what is before the softmax (`inspect`): scores that were scaled twice, "
            "or weights of another model; another range of the input doesn't mend it",
        )


def _is_softmax(scores: np.ndarray) -> bool:
    import numpy as np

    return bool(scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-2))


def _chance(best: Tried, shift: int, bench: Bench) -> Finding | None:
    """Hits by guessing: labels that belong to other images, or a graph that knows nothing."""
    import numpy as np

    count, classes = best.scores.shape
    most = max(each.count(s) for each in bench.tried.values() for s in SHIFTS)
    if not evidence.is_chance(most, count, classes, bench.tests):
        return None
    said = best.scores.argmax(axis=1)
    mirrored = recipes.normalized(bench.pixels(best.recipe)[:, :, ::-1], best.recipe)
    steady = int((bench.scores(mirrored).argmax(axis=1) == said).sum())
    different = len(np.unique(said))
    numbers = (
        f"at most {most} of {count} images are hits under any of {bench.comparisons} recipes and "
        f"three offsets; {different} different classes are given, {steady} of them again for the "
        "mirrored image"
    )
    if different >= count / 4 and steady >= count / 2:
        return Finding(
            name="labels",
            level="error",
            what="the labels don't belong to the images: the graph knows what it sees, and the "
            "labels say something else",
            evidence=numbers,
            remedy="make the records anew from data_location=, with labels by file name "
            "(`modelzoo-runner convert imagenet`): they were shuffled, or count other classes",
        )
    return Finding(
        name="chance",
        level="error",
        what="the score is at chance, whatever is done with images and labels",
        evidence=numbers,
        remedy="is it the right graph, with trained weights (weights=, not random), and are "
        "input= and outputs= its own? Or is it of another kind of images?",
    )


def _recipe_findings(
    plan: Plan, asked: Tried, first: Tried, best: Tried, shift: int, bench: Bench
) -> Iterator[Finding]:
    count = len(asked.scores)

    def finding(name: str, what: str, better: Tried, worse: Tried) -> Finding:
        own, other = worse.count(shift), better.count(shift)
        differ = trials.differing(better, worse, shift)
        numbers = evidence.paired(*differ, bench.tests_of(better, worse))
        return Finding(
            name=name,
            level="error" if 2 * own <= other else "doubt",
            what=what,
            evidence=f"{own} of {count} images are hits with {recipes.named(worse.recipe)}, and "
            f"{other} with {recipes.named(better.recipe)}. " + numbers,
            remedy=f"a preset of your own as model=, with {recipes.toml(best.recipe)}",
        )

    if plan.preprocess is None:
        yield Finding(
            name="preprocess",
            level="error",
            what="nothing says how images become this graph's input",
            evidence=f"{best.count(shift)} of {count} images are hits with "
            f"{recipes.named(best.recipe)}, the best of {bench.comparisons} recipes",
            remedy=f"a preset of your own as model=, with {recipes.toml(best.recipe)}",
        )
        return
    if first is not asked:
        same = recipes.same_values(first.recipe, asked.recipe)
        what = "the range or the mean of the input is wrong" if not same else ""
        if first.recipe.channel_order != asked.recipe.channel_order:
            what += f"{' and ' if what else ''}the color channels are swapped"
        yield finding("channel_order" if same else "preprocess", what, first, asked)
    if best is not first:
        yield finding("crop", "another crop of the images scores much better", best, first)


def _offset_finding(plan: Plan, best: Tried, shift: int, bench: Bench) -> Iterator[Finding]:
    import numpy as np

    if not shift:
        return
    gained = int(np.count_nonzero(best.hits[shift] & ~best.hits[0]))
    lost = int(np.count_nonzero(best.hits[0] & ~best.hits[shift]))
    if not evidence.beats(gained, lost, bench.tests):
        return
    asked = plan.why.get("label_offset") == "argument"
    current = plan.label_offset if asked else best.scores.shape[1] - labels.CLASSES - 1
    offset = (current or 0) + shift
    yield Finding(
        name="label_offset",
        level="error" if asked else "doubt",
        what=f"every label is off by one: label_offset is {current}, and {offset} fits"
        + ("" if asked else " (accuracy() takes that by itself, where it sees it)"),
        evidence=f"{best.count(0)} of {len(best.scores)} images are hits as it is, and "
        f"{best.count(shift)} with labels {shift:+d}. "
        + evidence.paired(gained, lost, bench.tests),
        remedy=f"label_offset={offset}",
    )


def _candidates(plan: Plan, bench: Bench, own: Preprocess) -> Iterator[Candidate]:
    for recipe, tried in bench.tried.items():
        count = len(tried.scores)
        yield Candidate(
            name=recipes.named(recipe),
            scores={
                f"top1, labels {shift:+d}" if shift else "top1": tried.count(shift) / count
                for shift in sorted(SHIFTS)
            },
            images=count,
            is_asked=recipe == own and plan.preprocess is not None,
        )
