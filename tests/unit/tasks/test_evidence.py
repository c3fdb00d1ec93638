"""The statistics behind the findings of a doctor."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.data.samples import Labelled
from modelzoo_runner.tasks import evidence


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.data())
def test_the_binomial_tail_is_the_sum_of_its_terms(
    n: int, share: float, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, n))
    terms = (math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1))
    assert evidence.at_least(hits, n, share) == pytest.approx(math.fsum(terms), rel=1e-9)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 100))
def test_more_comparisons_never_make_a_finding(gained: int, lost: int, comparisons: int) -> None:
    if evidence.beats(gained, lost, comparisons):
        assert gained > lost
        assert evidence.beats(gained, lost, 1)
        assert not evidence.beats(lost, gained, 1)


def test_equal_ways_are_hardly_ever_told_apart() -> None:
    chance = random.Random(0)
    found = 0
    for _ in range(2000):  # of as good ways each, 20 of them, the best of which is looked at
        gained = max(chance.getrandbits(30).bit_count() for _ in range(20))
        found += evidence.beats(gained, 30 - gained, 20)
    assert found <= 8  # 2 are expected at most


@pytest.mark.parametrize(
    ("hits", "count", "says"),
    [(0, 128, True), (1, 128, True), (0, 40, False), (20, 128, False), (64, 128, False)],
)
def test_chance_needs_enough_images_and_few_hits(hits: int, count: int, says: bool) -> None:
    assert evidence.is_chance(hits, count, 1000, 50) is says


def test_guessing_is_called_chance_and_a_poor_model_is_not() -> None:
    chance = random.Random(1)
    guessed = [sum(chance.random() < 1e-3 for _ in range(128)) for _ in range(200)]
    poor = [sum(chance.random() < 0.25 for _ in range(128)) for _ in range(200)]
    assert all(evidence.is_chance(hits, 128, 1000, 50) for hits in guessed)
    assert not any(evidence.is_chance(hits, 128, 1000, 50) for hits in poor)


def test_duplicates_show_those_of_several_labels_first() -> None:
    images = (("a", 1, b"1"), ("b", 1, b"1"), ("c", 1, b"2"), ("d", 2, b"2"), ("e", 1, b"3"))
    seen = [Labelled(name=name, label=label, digest=digest) for name, label, digest in images]
    (found,) = evidence.duplicates(seen)
    assert found.level == "doubt"
    assert found.evidence.index("c (1) = d (2)") < found.evidence.index("a (1) = b (1)")
    assert found.what.startswith("2 of 5 images")
    assert not [*evidence.duplicates(seen[-1:])]
