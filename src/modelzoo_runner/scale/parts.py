"""The parts of an accuracy run, and merging their results. Pure.

A part is a range of the examples in the order of the data. It begins at a multiple of the batch
size, so that every step has the batch that it would have in one run over everything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from modelzoo_runner.errors import DataError
from modelzoo_runner.results import checks
from modelzoo_runner.results.parts import PartRecord
from modelzoo_runner.results.result import AccuracyResult, PartResult
from modelzoo_runner.tasks import base as tasks

Range = tuple[int, int]
"""The number of the first example, and that after the last one's."""

PARTS_PER_WORKER = 8
"""Of the largest there are: few enough that starting them is no cost."""

SMALLEST = 1 / 4
"""Of a largest part: the last ones are small, so that none of the workers is long alone."""

MOST_EXAMPLES = 1000
"""In a part: what is lost when it is killed, and has to be done again."""


def range_of(part: PartResult) -> Range:
    """The range of examples of a part."""
    return part.plan.examples or (0, part.dataset.examples)


def name(examples: Range) -> str:
    """The name of a part; sorted, names are in the order of the data.

    >>> name((0, 128))
    '00000000-00000128'
    """
    return f"{examples[0]:08}-{examples[1]:08}"


def missing(examples: int, done: Iterable[Range]) -> tuple[Range, ...]:
    """The ranges of `examples` that are in none of those done.

    >>> missing(10, [(4, 6), (0, 2)])
    ((2, 4), (6, 10))
    """
    left, at = [], 0
    for start, stop in (*sorted(done), (examples, examples)):
        if at < start:
            left.append((at, start))
        at = max(at, stop)
    return tuple(left)


def size(left: int, total: int, workers: int, most_parts: int = PARTS_PER_WORKER) -> float:
    """How many examples the next part has, of so many that are left.

    Parts get smaller towards the end: each is at most a worker's share of half of what is left
    (S. F. Hummel et al., Factoring: a method for scheduling parallel loops, CACM 1992).
    """
    largest = min(total / (workers * most_parts), MOST_EXAMPLES)
    return max(min(largest, left / (2 * workers)), largest * SMALLEST)


def split(ranges: Iterable[Range], *, batch_size: int) -> tuple[Range, ...]:
    """Divide these ranges into parts for one worker; each begins at a multiple of the batch.

    >>> split([(0, 90), (120, 130)], batch_size=4)
    ((0, 16), (16, 32), (32, 48), (48, 64), (64, 80), (80, 90), (120, 128), (128, 130))
    """
    ranges = tuple(ranges)
    total = left = sum(stop - start for start, stop in ranges)
    found: list[Range] = []
    for start, stop in ranges:
        while start < stop:
            end = min(start + math.ceil(size(left, total, 1) / batch_size) * batch_size, stop)
            found.append((start, end))
            left -= end - start
            start = end
    return tuple(found)


def merged(
    parts: Sequence[PartResult], *, predictions: str | None = None, interrupted: bool = False
) -> AccuracyResult:
    """The result of the whole run; writes its predictions file if one is asked for.

    Scores and counts equal those of one run over all the examples.

    Args:
        parts: of one run, in any order.
        predictions: the path of that file.
        interrupted: examples may be missing.

    Raises:
        DataError: an example is in no part or in two, or the parts are of different data.
    """
    parts = sorted(parts, key=range_of)
    first = parts[0]
    if not interrupted:
        _check_whole(parts)
    plan = dataclasses.replace(first.plan, examples=None, predictions=predictions)
    scores = tasks.find(plan.task).merge(plan, [part.state for part in parts])
    examples = sum(part.examples for part in parts)
    steps = tuple(step for part in parts for step in part.step_seconds)
    return AccuracyResult(
        plan=plan,
        observed=first.observed,
        step_seconds=steps,
        data_seconds=tuple(wait for part in parts for wait in part.data_seconds),
        examples=examples,
        warnings=(
            *checks.of_steps(plan, len(steps), exhausted=True, interrupted=interrupted),
            *scores.warnings,
            *checks.of_scores(
                plan,
                examples,
                first.dataset.available,
                scores.counts,
                scores.classes,
                tasks.find(plan.task).PUBLISHED_ON,
            ),
            *dict.fromkeys(said for part in parts for said in part.warnings),
        ),
        interrupted=interrupted,
        scores=scores.scores,
        counts=scores.counts,
        per_category=scores.per_category,
        precision_recall=scores.precision_recall,
        legacy_scores=scores.legacy_scores,
        decisions=scores.decisions,
        available=first.dataset.available,
        parts=tuple(_record(part) for part in parts),
    )


def _check_whole(parts: Sequence[PartResult]) -> None:
    problem = next(_problems(parts), None)
    if problem is not None:
        raise DataError(
            f"the parts of the run don't make up its {parts[0].dataset.examples} examples: "
            f"{problem}"
        )


def _problems(parts: Sequence[PartResult]) -> Iterator[str]:
    dataset, graph = parts[0].dataset, parts[0].plan.graph.sha256
    for part in parts:
        start, stop = range_of(part)
        if part.dataset != dataset:
            yield f"the part from {start} to {stop} is of other data"
        if part.plan.graph.sha256 != graph:
            yield f"the part from {start} to {stop} is of another graph"
        if part.examples != stop - start:
            yield f"the part from {start} to {stop} has {part.examples} examples"
    at = 0
    for start, stop in (*map(range_of, parts), (dataset.examples, dataset.examples)):
        if start != at:
            yield f"those from {min(at, start)} to {max(at, start)} are there " + (
                "twice" if start < at else "not at all"
            )
        at = stop


def _record(part: PartResult) -> PartRecord:
    observed = part.observed
    return PartRecord(
        examples=range_of(part),
        cpus=part.plan.placement.cpus,
        started=observed.started,
        threads=observed.threads,
        machine=observed.machine,
        setup_seconds=observed.setup_seconds,
    )
