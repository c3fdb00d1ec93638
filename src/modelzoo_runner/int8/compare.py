"""Two graphs of one model side by side: how fast, and how much they say the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.backends.tensorflow.session import Step, open_step
from modelzoo_runner.int8.agreement import agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef

WARMUP_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was measured with one batch, steps of both graphs taking turns in one process.

    Seconds are medians over `steps` steps. `agreement` is as `int8.agreement.agreement` says.
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
    warmup_steps: int = WARMUP_STEPS,
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
        for number in range(warmup_steps + steps):
            for run, taken in zip((run_fp32, run_int8), seconds, strict=True):
                start = time.perf_counter()
                run(batch)
                if number >= warmup_steps:
                    taken.append(time.perf_counter() - start)
        said = [dict(zip(outputs, run(batch), strict=True)) for run in (run_fp32, run_int8)]
    return Compared(
        examples=len(batch),
        steps=steps,
        fp32_seconds=statistics.median(seconds[0]),
        int8_seconds=statistics.median(seconds[1]),
        agreement=agreement(*said),
    )
