"""Which part each worker gets: all examples once, nobody waits long for a slow or lost one."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.scale.handing import Handing
from modelzoo_runner.scale.parts import Range

COST = 0.25
"""Seconds to begin a part."""


@dataclass
class Worker:
    """How fast it is, when it comes, and what becomes of it."""

    speed: float
    comes: float = 0.0
    dies: float = float("inf")
    slows: float = float("inf")

    def ends(self, examples: Range, now: float) -> float:
        """When it will have done a part that it gets now; a quarter as fast once it slows down."""
        left = examples[1] - examples[0]
        fast = min(left, max(0.0, self.slows - now - COST) * self.speed)
        return now + COST + fast / self.speed + (left - fast) / (self.speed / 4)


@dataclass
class Played:
    """What came out: the parts that count, in the order of their answers, and the end."""

    parts: list[tuple[str, Range]] = field(default_factory=list)
    given: list[tuple[str, Range]] = field(default_factory=list)
    end: float = 0.0

    def counted(self) -> list[int]:
        """The numbers of the examples that were counted."""
        return sorted(number for _, part in self.parts for number in range(*part))


def play(
    workers: Mapping[str, Worker],
    missing: list[Range],
    batch_size: int = 4,
    homes: Mapping[str, int] | None = None,
) -> Played:
    """Hand out all that is missing, in simulated time; workers are looked at every half second."""
    handing, found = Handing(missing, batch_size=batch_size, homes=homes), Played()
    answers: list[tuple[float, str, Range]] = []
    here: list[str] = []
    gone: set[str] = set()
    now = 0.0
    while True:
        for name, worker in workers.items():
            if worker.comes <= now and name not in gone and name not in here:
                here.append(name)
            if worker.dies <= now and name in here:
                here.remove(name)
                gone.add(name)
                handing.lose(name)
        answers = [each for each in answers if each[1] not in gone]
        busy = {name for _, name, _ in answers}
        for name in here:
            if name not in busy and (part := handing.give(name, len(here), now)) is not None:
                found.given.append((name, part))
                heapq.heappush(answers, (workers[name].ends(part, now), name, part))
        if handing.is_done:
            found.end = now
            return found
        heapq.heapify(answers)
        if answers and answers[0][0] <= now + 0.5:
            now, name, part = heapq.heappop(answers)
            if workers[name].dies > now:
                seconds = workers[name].ends(part, now) - now - COST
                if handing.take(name, seconds):
                    found.parts.append((name, part))
            else:
                heapq.heappush(answers, (now, name, part))
        else:
            now += 0.5
        assert now < 1e6, "it never ends"


@given(
    examples=st.integers(1, 5000),
    batch_size=st.integers(1, 64),
    speeds=st.lists(st.floats(1, 500), min_size=1, max_size=6),
    data=st.data(),
)
@settings(max_examples=200)
def test_every_example_counts_once_whatever_becomes_of_the_workers(
    examples: int, batch_size: int, speeds: list[float], data: st.DataObject
) -> None:
    moments = st.floats(0, 60)
    workers = {
        f"w{number}": Worker(
            speed=speed,
            comes=data.draw(moments),
            slows=data.draw(moments),
            dies=data.draw(moments) if number else float("inf"),
        )
        for number, speed in enumerate(speeds)
    }
    starts = data.draw(st.none() | st.lists(st.integers(0, examples), max_size=len(speeds)))
    homes = starts and dict(zip(workers, [0, *starts], strict=False))
    found = play(workers, [(0, examples)], batch_size, homes)
    assert found.counted() == list(range(examples))
    assert all(start % batch_size == 0 for _, (start, _) in found.given)


def test_what_is_done_already_is_left_out() -> None:
    found = play({"a": Worker(20), "b": Worker(20)}, [(0, 40), (80, 100)])
    assert found.counted() == [*range(40), *range(80, 100)]


def ideal(workers: Mapping[str, Worker], examples: int) -> float:
    return examples / sum(worker.speed for worker in workers.values())


@pytest.mark.parametrize("speeds", [(20, 20), (20, 5), (40, 20, 10, 5), (30,) * 16])
def test_all_end_at_about_the_same_time(speeds: tuple[int, ...]) -> None:
    workers = {f"w{number}": Worker(speed) for number, speed in enumerate(speeds)}
    examples = 60 * sum(speeds)
    found = play(workers, [(0, examples)])
    # One to begin for each part, and the last one alone.
    most = max(sum(name == each for each, _ in found.given) for name in workers)
    assert found.end < ideal(workers, examples) + most * COST + 3


def test_a_slow_worker_gets_smaller_parts() -> None:
    found = play({"fast": Worker(40), "slow": Worker(10)}, [(0, 4000)])
    sizes = {
        name: [stop - start for each, (start, stop) in found.given if each == name][1:-1]
        for name in ("fast", "slow")
    }
    assert 3 * max(sizes["slow"]) < max(sizes["fast"])
    assert sum(sizes["fast"]) > 3 * sum(sizes["slow"])


def test_nobody_waits_for_one_who_becomes_slow() -> None:
    workers = {"a": Worker(20), "b": Worker(20, slows=55)}
    found = play(workers, [(0, 2400)])
    assert found.counted() == list(range(2400))
    assert found.end < 60 + 12
    again = [part for _, part in found.given]
    assert len(again) <= len(set(again)) + 1


def test_what_a_lost_worker_had_another_one_does() -> None:
    workers = {"a": Worker(20), "b": Worker(20, dies=31)}
    found = play(workers, [(0, 2400)])
    assert found.counted() == list(range(2400))
    # All but what the lost one had done until then, and the part that it had.
    assert found.end < 31 + (2400 - 2 * 20 * 31) / 20 + 15


def test_a_late_worker_gets_its_share() -> None:
    workers = {"a": Worker(20), "b": Worker(20, comes=30)}
    found = play(workers, [(0, 2400)])
    assert 800 < sum(stop - start for name, (start, stop) in found.parts if name == "b") < 1000
    assert found.end < 80


def test_a_worker_does_what_it_has_and_then_helps_where_most_is_left() -> None:
    workers = {name: Worker(20) for name in "abc"} | {"late": Worker(20, comes=10)}
    found = play(workers, [(0, 900), (1000, 3000)], homes={"b": 1001, "a": 0, "c": 1500})
    assert found.counted() == [*range(900), *range(1000, 3000)]
    of = {name: [part for each, part in found.given if each == name] for name in workers}
    assert [part[0] for part in of["a"][:2]] == [0, of["a"][0][1]]
    assert of["b"][0][0] == 1000 and of["c"][0][0] == 1500
    assert of["late"][0][0] > 1500
    # "b" has least, and then helps.
    own = [part for part in of["b"] if 1000 <= part[0] < 1500]
    assert of["b"][: len(own)] == own and own[-1][1] == 1500 and len(of["b"]) > len(own)
    assert found.end < ideal(workers, 2900) + 10 * 20 / 80 + 12 * COST + 3


def test_a_part_that_ends_every_worker_is_counted() -> None:
    handing = Handing([(0, 8)], batch_size=8)
    for number in range(1, 5):
        assert handing.give(f"w{number}", 1, 0.0) == (0, 8)
        assert handing.lose(f"w{number}") == number
    assert handing.lose("stranger") == 0


def test_with_the_scheduler_no_worker_is_to_blame() -> None:
    handing = Handing([(0, 8)], batch_size=4)
    for _ in range(9):
        assert handing.give("a", 2, 0.0) == (0, 4)
        assert handing.give("b", 2, 0.0) == (4, 8)
        handing.lose_all()
    assert not handing.is_done
    handing.give("a", 1, 0.0)
    assert handing.lose("a") == 1


def test_the_first_answer_counts() -> None:
    handing = Handing([(0, 40)], batch_size=40)
    assert handing.give("slow", 2, 0.0) == (0, 40)
    assert handing.give("fast", 2, 0.0) is None  # nothing is known of either
    assert handing.take("slow", 40.0)
    handing = Handing([(0, 80)], batch_size=40)
    assert handing.give("slow", 2, 0.0) == (0, 40)
    assert handing.give("fast", 2, 0.0) == (40, 80)
    assert handing.take("fast", 1.0) and not handing.is_done
    assert handing.give("fast", 2, 1.0) == (0, 40)
    assert handing.take("fast", 1.0) and handing.is_done
    assert not handing.take("slow", 90.0)
