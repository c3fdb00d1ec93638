"""Where to clip a tensor's range, so that rare outliers don't coarsen all other values.

Pure arithmetic on histograms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 2048
"""Bins of a histogram, as TensorRT's calibrators have them."""

PERCENTILE = 99.99
"""The share of the values, in percent, that `percentile` keeps."""

# The count of an empty bin, because a logarithm of 0 is infinite: otherwise a single clipped value
# would outweigh all others. MXNet's calibration smooths in the same way.
_SMOOTHING = 1e-4


class Range(NamedTuple):
    """The smallest and the largest value of a tensor."""

    low: float
    high: float


def percentile(counts: NDArray[Any], span: Range, share: float = PERCENTILE) -> Range:
    """The range that holds `share` percent of the values, clipped by the same number at both ends.

    `counts` is a histogram over `span`. A bin that is partly inside is kept.

    >>> import numpy as np
    >>> percentile(np.array([1, 98, 0, 1]), Range(0.0, 4.0), share=98.0)
    Range(low=1.0, high=2.0)
    """
    import numpy as np

    total = np.cumsum(counts)
    cut = total[-1] * (1 - share / 100) / 2
    # A hair more than `cut`, so that rounding doesn't keep a bin that isn't needed.
    first = int(np.searchsorted(total, cut * (1 + 1e-9), side="right"))
    last = int(np.searchsorted(total, (total[-1] - cut) * (1 - 1e-9), side="left"))
    width = (span.high - span.low) / len(counts)
    return Range(span.low + first * width, span.low + (last + 1) * width)


def entropy(counts: NDArray[Any], span: Range) -> Range:
    """The range whose 8-bit form keeps most of the information in a histogram over `span`.

    The threshold with the least Kullback-Leibler divergence between the clipped values and their
    quantized form in 256 levels (128 where there is a sign; both signs share one threshold).
    S. Migacz, 8-bit inference with TensorRT, GTC 2017.
    """
    import numpy as np

    edges = np.linspace(span.low, span.high, len(counts) + 1)
    distances = np.abs((edges[:-1] + edges[1:]) / 2)
    largest = max(abs(span.low), abs(span.high))
    folded, _ = np.histogram(distances, bins=BINS, range=(0, largest), weights=counts)
    threshold = _best_threshold(folded, 256 if span.low >= 0 else 128) / BINS * largest
    return Range(max(span.low, -threshold), min(span.high, threshold))


def _best_threshold(counts: NDArray[Any], levels: int) -> int:
    """How many of the bins to keep."""
    import numpy as np

    best, least = len(counts), np.inf
    for kept in range(levels, len(counts) + 1, levels // 32):
        if not counts[: kept - 1].any():
            continue  # with all values in one bin, the divergence would be 0
        clipped = counts[:kept].astype(float)
        clipped[-1] += counts[kept:].sum()
        here = clipped > 0
        coarse = np.maximum(_in_levels(counts[:kept], levels), _SMOOTHING)[here]
        p, q = clipped[here] / clipped.sum(), coarse / coarse.sum()
        divergence = float(np.sum(p * np.log(p / q)))
        if divergence < least:
            best, least = kept, divergence
    return best


def _in_levels(counts: NDArray[Any], levels: int) -> NDArray[Any]:
    """A histogram whose bins are merged into this many levels.

    The first and the last bin stay: 0 and the end of a range are exact in integers, and after ReLU
    and ReLU6 most values are there.
    """
    import numpy as np

    inner = counts[1:-1]
    step = np.arange(len(inner)) * levels // len(inner)
    filled = inner > 0
    mean = np.bincount(step, inner, levels) / np.maximum(np.bincount(step, filled, levels), 1)
    return np.concatenate([counts[:1], np.where(filled, mean[step], 0.0), counts[-1:]])
