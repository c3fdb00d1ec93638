"""The search of tune(): on landscapes that are made, without noise and with it."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.api.halving import OutOfTime, Search
from modelzoo_runner.planning.space import Settings, Space
from modelzoo_runner.results.tune import Heat, Objective, Tried

AXES: dict[str, tuple[Settings, ...]] = {
    "runtime": ({}, {"precision": "bfloat16"}, {"precision": "int8"}),
    "cores": ({}, {"num_intra_threads": 1}, {"instances": 2}),
    "batch_size": ({}, *({"batch_size": size} for size in (2, 4, 16))),
    "allocator": ({}, {"allocator": "jemalloc"}, {"allocator": "tcmalloc"}),
    "num_inter_threads": ({}, {"num_inter_threads": 2}),
}
SPACE = Space(axes=AXES)
EVERY = SPACE.every()
RUNTIMES = Space(
    axes={**AXES, "runtime": ({}, {"runtime": "openvino"}, {"runtime": "onnxruntime"})}
)

Speed = Callable[[Settings], float]


class Made:
    """Settings whose examples take 10 ms at `speed` 1; `noise` is log-normal, over heats."""

    def __init__(self, speed: Speed, *, noise: float = 0.0, heats: float = math.inf) -> None:
        self.speed, self.noise, self.heats = speed, noise, heats
        self.chance = random.Random(0)
        self.reference: Tried | None = None
        self.rungs: list[int] = []

    def make(self, asked: Settings) -> Tried:
        return Tried(
            settings=asked,
            runtime=asked.get("runtime", "tensorflow"),
            precision="fp32",
            batch_size=asked.get("batch_size", 1),
            instances=asked.get("instances", 1),
        )

    def took(self, tried: Tried) -> tuple[float, ...]:
        noise = math.exp(self.chance.gauss(0, self.noise)) if self.noise else 1.0
        return (0.01 * noise * tried.batch_size / self.speed(tried.settings),) * 3

    def measure(self, tried: Sequence[Tried], rung: int) -> Iterator[Tried]:
        reference = self.reference = self.reference or tried[0]
        for each in tried:
            if self.heats <= 0:
                raise OutOfTime
            self.heats -= 1
            self.rungs.append(rung)
            beside = self.took(reference)
            seconds = beside if each.name == reference.name else self.took(each)
            heat = Heat(seconds=seconds, reference_seconds=beside)
            yield dataclasses.replace(each, heats=(*each.heats, heat))

    def search(self, objective: Objective = "throughput", **given: Any) -> Search:
        return Search(
            space=SPACE, objective=objective, make=self.make, measure=self.measure, **given
        )


def separable(factors: dict[str, Sequence[float]]) -> Speed:
    """A landscape in which each setting has a factor of its own."""

    def speed(settings: Settings) -> float:
        found = 1.0
        for name, axis in AXES.items():
            chosen = [n for n, each in enumerate(axis) if each and each.items() <= settings.items()]
            found *= factors[name][chosen[0] if chosen else 0]
        return found

    return speed


landscapes = st.fixed_dictionaries(
    {
        name: st.lists(st.floats(0.5, 2.0), min_size=len(axis), max_size=len(axis))
        for name, axis in AXES.items()
    }
)


@settings(max_examples=30)
@given(landscapes)
def test_the_best_of_a_landscape_without_noise_is_found(factors: dict[str, Any]) -> None:
    speed = separable(factors)
    search = Made(speed).search()
    assert search.run({"batch_size": 16})
    found = search.best() or ""
    most = max(map(speed, EVERY))
    assert speed(search.tried[found].settings) == pytest.approx(most)
    assert search.tried[found].dropped is None
    assert all(each.dropped for name, each in search.tried.items() if name != found)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_no_other_value_of_one_setting_is_faster_whatever_the_landscape(seed: int) -> None:
    def speed(settings: Settings) -> float:
        return random.Random(f"{seed} {sorted(settings.items())}").uniform(0.5, 2.0)

    search = Made(speed).search()
    search.run({})
    best = search.tried[search.best() or ""]
    for axis in AXES:
        for each in SPACE.choices(best.settings, axis):
            assert speed(each) <= speed(best.settings)
    # Nor is anything that was measured.
    assert max(speed(each.settings) for each in search.tried.values()) == speed(best.settings)


def test_with_noise_the_best_is_within_a_little() -> None:
    factors = {name: [1.0, 1.2, 0.9, 1.1][: len(axis)] for name, axis in AXES.items()}
    speed = separable(factors)
    most = max(map(speed, EVERY))
    regrets = []
    for seed in range(30):
        made = Made(speed, noise=0.03)
        made.chance = random.Random(seed)
        search = made.search()
        search.run({})
        regrets.append(1 - speed(search.tried[search.best() or ""].settings) / most)
    assert sum(regrets) / len(regrets) <= 0.03


def test_the_last_ones_are_measured_often_and_longer() -> None:
    made = Made(separable({name: [1.0, 1.3, 0.8, 1.1] for name in AXES}))
    search = made.search()
    search.run({})
    counts = sorted(len(each.heats) for each in search.tried.values())
    assert counts[0] == 1 and counts[-1] >= 4
    assert set(made.rungs) >= {0, 1, 2}


def test_latency_counts_a_step_and_not_an_example() -> None:
    made = Made(separable({name: [1.0] * 4 for name in AXES} | {"batch_size": [1.0, 2, 3, 4]}))
    search = made.search("latency")
    search.run({"batch_size": 16})
    best = search.tried[search.best() or ""]
    assert best.batch_size == best.instances == 1


def test_what_is_slower_than_allowed_is_dropped() -> None:
    made = Made(separable({name: [1.0] * 4 for name in AXES} | {"batch_size": [1.0, 2, 3, 4]}))
    search = made.search(max_latency=0.0101)
    search.run({"batch_size": 16})
    best = search.tried[search.best() or ""]
    assert best.batch_size == 2 and best.instances == 1
    assert "max_latency" in (search.tried["batch_size=16"].dropped or "")
    made = Made(separable({name: [1.0] * 4 for name in AXES}))
    search = made.search(max_latency=0.001)
    assert search.run({}) and search.best() is None


@pytest.mark.parametrize("heats", [1, 4, 9])
def test_the_budget_ends_the_search_with_the_best_so_far(heats: int) -> None:
    made = Made(separable({name: [1.0, 1.3, 0.8, 1.1] for name in AXES}), heats=heats)
    search = made.search()
    assert not search.run({})
    best = search.best() or ""
    measured = {name for name, each in search.tried.items() if each.heats}
    assert best in measured
    for name, each in search.tried.items():
        if name not in measured:
            assert each.dropped == "not reached: the budget didn't allow it"


def test_what_cannot_be_run_is_left_out_with_what_it_has_in_common() -> None:
    made = Made(separable({name: [1.0, 1.3, 0.8, 1.1] for name in AXES}))
    make = made.make

    def refusing(settings: Settings) -> Tried:
        broken = settings.get("runtime") == "openvino"
        return dataclasses.replace(make(settings), dropped="can't be run" if broken else None)

    search = Search(space=RUNTIMES, objective="throughput", make=refusing, measure=made.measure)
    assert search.run({})
    refused = [each for each in search.tried.values() if each.dropped == "can't be run"]
    assert [each.settings for each in refused] == [{"runtime": "openvino"}]


def test_a_runtime_has_only_what_has_an_effect() -> None:
    every = RUNTIMES.every()
    assert {"runtime": "openvino", "allocator": "jemalloc"} in every
    for each in every:
        if "runtime" in each:
            assert "num_inter_threads" not in each
        if each.get("runtime") == "openvino":
            assert each.get("allocator") != "tcmalloc"
