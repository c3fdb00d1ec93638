from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.metrics import topk

# Few distinct values, so that ties and non-finite scores are common.
score = st.sampled_from([0.0, 0.1, 0.2, 0.5, np.nan, np.inf, -np.inf])


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rows, width = draw(st.integers(1, 6)), draw(st.integers(6, 12))
    cells = draw(st.lists(score, min_size=rows * width, max_size=rows * width))
    targets = draw(st.lists(st.integers(0, width - 1), min_size=rows, max_size=rows))
    return np.array(cells, np.float32).reshape(rows, width), np.array(targets)


@given(batches(), st.sampled_from([1, 2, 5]))
@settings(max_examples=300)
def test_in_top_k_is_tensorflows(batch: tuple[np.ndarray, np.ndarray], k: int) -> None:
    scores, targets = batch
    theirs = tf.math.in_top_k(targets=targets, predictions=scores, k=k).numpy()
    np.testing.assert_array_equal(topk.in_top_k(scores, targets, k), theirs)


def test_counts_add_up_over_batches() -> None:
    scores = np.eye(7, dtype=np.float32)
    whole, parts = topk.TopK(), topk.TopK()
    targets = np.array([0, 1, 2, 0, 0, 0, 0])
    whole.add(scores, targets)
    for row in range(7):
        parts.add(scores[row : row + 1], targets[row : row + 1])
    assert whole == parts
    assert whole.counts == {"top1": 3, "top5": 7}


def test_rows_without_an_opinion_are_counted() -> None:
    hits = topk.TopK()
    scores = np.array([[1, 1, 1], [np.nan, 0, 1], [0, 1, 2]], np.float32)
    hits.add(scores, np.array([0, 1, 2]))
    assert (hits.all_equal, hits.not_finite, hits.top1) == (1, 1, 2)


@given(st.integers(5, 20), st.integers(0, 2**32 - 1))
def test_best_is_tensorflows_top_k(width: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 4, (3, width)).astype(np.float32)
    np.testing.assert_array_equal(topk.best(scores), tf.math.top_k(scores, k=5).indices.numpy())
