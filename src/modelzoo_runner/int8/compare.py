"""Two graphs of one model side by side: how fast each is, and how far their outputs agree."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.backends.tensorflow.session import Step, open_step
from modelzoo_runner.metrics.coco_evidence import iou

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef

    Outputs = Mapping[str, NDArray[Any]]

DETECTED = 0.3
"""The least score of a detection that counts; half of it is enough in the other graph."""

OVERLAP = 0.5
"""The least intersection over union of matching boxes."""

WARMUP_STEPS = 3

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
        # Top, left, bottom, right as start and extent.
        ours, theirs = (
            np.hstack([each[:, :2], each[:, 2:] - each[:, :2]])
            for each in (boxes, other["detection_boxes"][image])
        )
        near = iou(ours[:, None], theirs[None]) >= OVERLAP
        near &= classes[:, None] == other["detection_classes"][image][None]
        near &= other["detection_scores"][image][None] >= DETECTED / 2
        total += int(counts.sum())
        matched += int(np.any(near, axis=1)[counts].sum())
    return matched / total if total else 1.0


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was measured with one batch, steps of both graphs taking turns in one process.

    Seconds are medians over `steps` steps. `agreement` is as the function of that name says.
    """

    examples: int
    steps: int
    fp32_seconds: float
    int8_seconds: float
    agreement: Mapping[str, float]

    @property
    def speedup(self) -> float:
        """How many times as fast int8 is."""
        return self.fp32_seconds / self.int8_seconds


def compare(
    fp32: GraphDef,
    int8: GraphDef,
    batch: NDArray[Any],
    *,
    input: str,
    outputs: Mapping[str, str],
    steps: int,
) -> Compared:
    """Both graphs, prepared as for any run, with the same batch; `outputs` are tensors by role.

    Raises:
        RequestError: the batch isn't what a graph takes.
        GraphError: a graph can't be run here, or would end the process.
    """
    fetched = list(outputs.values())

    def opened(graph_def: GraphDef) -> Step:
        prepared = prepare(graph_def, input=input, outputs=fetched).graph_def
        check_kernels(prepared, outputs=fetched)
        return open_step(prepared, input=input, outputs=fetched)

    with opened(fp32) as run_fp32, opened(int8) as run_int8:
        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(WARMUP_STEPS + steps):
            for run, taken in zip((run_fp32, run_int8), seconds, strict=True):
                start = time.perf_counter()
                run(batch)
                if number >= WARMUP_STEPS:
                    taken.append(time.perf_counter() - start)
        said = [dict(zip(outputs, run(batch), strict=True)) for run in (run_fp32, run_int8)]
    return Compared(
        examples=len(batch),
        steps=steps,
        fp32_seconds=statistics.median(seconds[0]),
        int8_seconds=statistics.median(seconds[1]),
        agreement=agreement(*said),
    )
