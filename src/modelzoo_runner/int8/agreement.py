"""How much two graphs of one model say the same, from their outputs for the same input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]

DETECTED = 0.3
"""The score from which on a detection counts; half of it is enough for the other graph's."""

OVERLAP = 0.5
"""The intersection over union from which on two boxes are one."""

_PARTS = ("boxes", "classes", "scores")


def agreement(reference: Outputs, other: Outputs) -> dict[str, float]:
    """Numbers by name, for the outputs of two graphs by role; 1 is the best each can be.

    Detectors: `found`, the share of the reference's detections that the other has too, of the same
    class at the same place, and `confirmed`, the share of the other's that the reference has; 1
    where there are none. Everything else: `correlation` over all values of all outputs, and with
    one output `same_top1`, the share of examples with the same best class.
    """
    import numpy as np

    if "detection_boxes" in reference:
        return {"found": _found(reference, other), "confirmed": _found(other, reference)}
    first = np.concatenate([reference[role].ravel() for role in reference]).astype(np.float64)
    second = np.concatenate([other[role].ravel() for role in reference]).astype(np.float64)
    numbers = {"correlation": _correlation(first, second)}
    if len(reference) == 1:
        (role,) = reference
        examples = len(reference[role])
        best = (outputs[role].reshape(examples, -1).argmax(1) for outputs in (reference, other))
        numbers["same_top1"] = float(np.mean(np.equal(*best)))
    return numbers


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Pearson's, 1 for equal values even if they are constant."""
    import numpy as np

    if np.array_equal(first, second):
        return 1.0
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale else 0.0


def _found(reference: Outputs, other: Outputs) -> float:
    import numpy as np

    total = matched = 0
    for image in range(len(reference["detection_boxes"])):
        boxes, classes, scores = (reference[f"detection_{part}"][image] for part in _PARTS)
        counts = scores >= DETECTED
        near = _overlaps(boxes, other["detection_boxes"][image]) >= OVERLAP
        near &= classes[:, None] == other["detection_classes"][image][None]
        near &= other["detection_scores"][image][None] >= DETECTED / 2
        total += int(counts.sum())
        matched += int(np.any(near, axis=1)[counts].sum())
    return matched / total if total else 1.0


def _overlaps(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of each box (top, left, bottom, right) with each."""
    import numpy as np

    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [
        np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1) for boxes in (first, second)
    ]
    union = areas[0][:, None] + areas[1][None] - both
    overlaps: NDArray[Any] = np.where(union > 0, both / np.maximum(union, 1e-12), 0.0)
    return overlaps
