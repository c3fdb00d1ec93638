from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.int8.clipping import BINS, Range, entropy, percentile

counts = st.lists(st.integers(0, 1000), min_size=8, max_size=300).filter(any)


@given(counts, st.floats(50, 99.999), st.floats(-10, 0), st.floats(0.1, 10))
def test_a_percentile_holds_its_share_and_no_whole_bin_more(
    counts: list[int], share: float, low: float, high: float
) -> None:
    span = Range(low, high)
    found = percentile(np.array(counts), span, share)
    assert span.low - 1e-9 <= found.low < found.high <= span.high + 1e-9
    width = (high - low) / len(counts)
    first, last = round((found.low - low) / width), round((found.high - low) / width)
    cut = sum(counts) * (1 - share / 100) / 2
    assert sum(counts[:first]) <= cut + 1e-6 and sum(counts[last:]) <= cut + 1e-6
    assert sum(counts[: first + 1]) > cut - 1e-6 and sum(counts[last - 1 :]) > cut - 1e-6


def test_a_percentile_agrees_with_numpy() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    found, edges = np.histogram(values, bins=BINS)
    span = Range(float(edges[0]), float(edges[-1]))
    low, high = percentile(found, span, share=99.0)
    bin_width = (span.high - span.low) / BINS
    assert low == pytest.approx(np.percentile(values, 0.5), abs=2 * bin_width)
    assert high == pytest.approx(np.percentile(values, 99.5), abs=2 * bin_width)


def _histogram(values: np.ndarray) -> tuple[np.ndarray, Range]:
    found, edges = np.histogram(values, bins=BINS)
    return found, Range(float(edges[0]), float(edges[-1]))


def test_entropy_cuts_a_lone_outlier_off() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=500_000))
    found, span = _histogram(np.append(values, 40.0))
    low, high = entropy(found, Range(0.0, span.high))
    assert low == 0.0
    assert 3.0 < high < 8.0


def test_entropy_keeps_values_that_are_spread_evenly() -> None:
    values = np.random.default_rng(0).uniform(0, 5, 500_000)
    found, _ = np.histogram(values, bins=BINS, range=(0, 5))
    assert entropy(found, Range(0.0, 5.0)).high == pytest.approx(5.0, rel=0.02)


def test_entropy_does_not_cut_what_relu6_has_piled_up_at_the_end() -> None:
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(1, 4, 500_000), 0, 6)  # most of it 0 or 6
    found, _ = np.histogram(values, bins=BINS, range=(0, 6))
    assert entropy(found, Range(0.0, 6.0)).high == pytest.approx(6.0)


def test_entropy_has_one_threshold_for_both_signs() -> None:
    values = np.random.default_rng(0).normal(size=500_000)
    found, span = _histogram(np.append(values, [-30.0, 50.0]))
    low, high = entropy(found, span)
    assert -low == pytest.approx(high)
    assert 2.5 < high < 10.0


@pytest.mark.parametrize("low", [0.0, 2.9, 2.999, 3.0])
def test_entropy_keeps_values_that_are_all_far_from_zero(low: float) -> None:
    values = np.random.default_rng(0).uniform(low, 3.0, 100_000)
    found, _ = np.histogram(values, bins=BINS, range=(low, max(3.0, low + 1e-6)))
    assert entropy(found, Range(low, 3.0)).high == pytest.approx(3.0, rel=0.02)


def _as_published(counts: np.ndarray, levels: int) -> int:
    """The threshold by the pseudocode of "8-bit inference with TensorRT", bin by bin."""
    best, least = len(counts), np.inf
    for kept in range(levels, len(counts) + 1, 8):
        p = counts[:kept].astype(float)
        p[-1] += counts[kept:].sum()
        q = np.zeros(kept)
        for step in np.array_split(np.arange(kept), levels):
            there = step[counts[step] > 0]
            q[there] = counts[step].sum() / max(len(there), 1)
        if p[-1] and not q[-1]:
            continue  # infinite
        here = p > 0
        p, q = p[here] / p.sum(), q[here] / q.sum()
        divergence = float(np.sum(p * np.log(p / q)))
        if divergence < least:
            best, least = kept, divergence
    return best


@pytest.mark.parametrize("shape", ["normal", "laplace", "exponential"])
def test_entropy_agrees_with_the_published_algorithm(shape: str) -> None:
    """Where neither end is piled up on, which it has no answer to (see the ReLU6 above)."""
    values = np.abs(getattr(np.random.default_rng(0), shape)(size=200_000))
    found, edges = np.histogram(values, bins=BINS, range=(0, float(values.max())))
    expected = _as_published(found, 256) / BINS * values.max()
    assert entropy(found, Range(0.0, float(edges[-1]))).high == pytest.approx(expected, rel=0.15)
