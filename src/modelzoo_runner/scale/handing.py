"""Which part of the data each worker gets next, by how fast each has been. Pure.

Parts are larger for faster workers and get smaller towards the end (S. F. Hummel et al.,
Load-sharing in heterogeneous systems via weighted factoring, SPAA 1996). When nothing is left, a
worker that would have nothing to do gets a part that another one still has: the first answer
counts.

Where workers have fetched different files, each goes on with what it has as long as there is some.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from modelzoo_runner.scale import parts
from modelzoo_runner.scale.parts import Range

PARTS_PER_WORKER = 4
"""Of the largest there are: each costs a quarter of a second to begin."""

LEAST_SECONDS = 1.0
"""Parts aren't made shorter at the end."""

LEAST_SECONDS_EACH = 0.02
"""Nor shorter than this for each worker: one client handles the parts of all, in 5 to 10 ms."""


@dataclass(frozen=True)
class Held:
    """A part that a worker has, and since when."""

    examples: Range
    since: float


class Handing:
    """The examples that are missing, who has which of them, and how fast the workers are.

    `homes` are the numbers of the first example in each worker's files, which go on until those of
    the next worker.
    """

    def __init__(
        self, missing: Iterable[Range], *, batch_size: int, homes: Mapping[str, int] | None = None
    ) -> None:
        ordered = sorted((homes or {}).items(), key=lambda each: each[1])
        self._hosts = [worker for worker, _ in ordered]
        # Parts begin at a multiple of the batch size.
        self._homes = [start // batch_size * batch_size for _, start in ordered]
        self._left = list(_cut(missing, self._homes))
        self._total = _count(self._left)
        self._batch_size = batch_size
        self._held: dict[str, Held] = {}
        self._done: set[Range] = set()
        self._lost: list[Range] = []
        self._speeds: dict[str, float] = {}

    @property
    def is_done(self) -> bool:
        """Whether there is an answer for every example."""
        return not self._left and all(each.examples in self._done for each in self._held.values())

    def give(self, worker: str, workers: int, now: float) -> Range | None:
        """The part that a worker is to do now, which then has it; `None`: it has nothing to do.

        Args:
            worker: who asks, and has no part.
            workers: how many are there.
            now: the time in seconds.
        """
        examples = self._next(worker, workers) if self._left else self._again(worker, now)
        if examples is not None:
            self._held[worker] = Held(examples, now)
        return examples

    def take(self, worker: str, seconds: float) -> bool:
        """Take note that a worker has done its part, which took it so long; whether it counts."""
        examples = self._held.pop(worker).examples
        speed = _count([examples]) / max(seconds, 1e-6)
        self._speeds[worker] = fmean((speed, self._speeds.get(worker, speed)))
        counts = examples not in self._done
        self._done.add(examples)
        return counts

    def lose(self, worker: str) -> int:
        """Take note that a worker is gone; with it how many were lost that had the same part."""
        self._speeds.pop(worker, None)
        held = self._held.pop(worker, None)
        if held is None or held.examples in self._done:
            return 0
        if all(each.examples != held.examples for each in self._held.values()):
            self._left = sorted((held.examples, *self._left))
        self._lost.append(held.examples)
        start, stop = held.examples
        return sum(first < stop and start < last for first, last in self._lost)

    def lose_all(self) -> None:
        """Take note that all workers are gone, and that this is no fault of theirs."""
        for worker in tuple(self._held):
            self.lose(worker)
        self._lost.clear()

    def _next(self, worker: str, workers: int) -> Range:
        """The next examples that nobody has, as many as suit this worker."""
        speed = self._speeds.get(worker)
        share = 1.0 if speed is None else speed / fmean(self._speeds.values())
        largest, size = (
            share * parts.size(left, self._total, workers, PARTS_PER_WORKER)
            for left in (self._total, _count(self._left))
        )
        least = max(LEAST_SECONDS, LEAST_SECONDS_EACH * workers) * (speed or 0.0)
        size = min(max(size, min(largest, least)), parts.MOST_EXAMPLES)
        place = self._place(worker)
        start, stop = self._left.pop(place)
        end = min(start + math.ceil(size / self._batch_size) * self._batch_size, stop)
        if end < stop:
            self._left.insert(place, (end, stop))
        return start, end

    def _place(self, worker: str) -> int:
        """Which of the ranges left the worker goes on with: the next of its own, or the longest."""
        if not self._homes:
            return 0
        for place, (start, _) in enumerate(self._left):
            if self._hosts[max(bisect_right(self._homes, start) - 1, 0)] == worker:
                return place
        return max(range(len(self._left)), key=lambda place: _count([self._left[place]]))

    def _again(self, worker: str, now: float) -> Range | None:
        """The part that will take longest where it is, if this worker would have done it sooner."""
        times = Counter(each.examples for each in self._held.values())
        late = [
            (self._seconds_left(other, held, now), held.examples)
            for other, held in self._held.items()
            if held.examples not in self._done and times[held.examples] == 1
        ]
        if not late or not self._speeds:
            return None
        # Of a worker that has done nothing yet the others tell.
        speed = self._speeds.get(worker) or fmean(self._speeds.values())
        seconds, examples = max(late)
        return examples if _count([examples]) / speed < seconds else None

    def _seconds_left(self, worker: str, held: Held, now: float) -> float:
        """How long a worker will need for its part; once it is late, as long as it is late."""
        speed = self._speeds.get(worker)
        if speed is None:
            return math.inf
        return abs(_count([held.examples]) / speed + held.since - now)


def _cut(ranges: Iterable[Range], edges: Sequence[int]) -> Iterator[Range]:
    """The ranges, divided at these numbers."""
    for start, stop in ranges:
        inside = {edge for edge in edges if start < edge < stop}
        yield from itertools.pairwise([start, *sorted(inside), stop])


def _count(ranges: Iterable[Range]) -> int:
    return sum(stop - start for start, stop in ranges)
