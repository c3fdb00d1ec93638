"""What a quantiser calibrates with: a plan's inputs, without their labels; and doing it here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.base import TensorSpec
from modelzoo_runner.backends.tensorflow import load, session
from modelzoo_runner.backends.tensorflow import thread_pools as pool
from modelzoo_runner.errors import DataError
from modelzoo_runner.int8 import quantize
from modelzoo_runner.machine import binding, environment
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import atomic
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray


def batches(plan: Plan, fed: TensorSpec) -> Iterator[NDArray[Any]]:
    """The first `plan.limit` examples of the plan's data, or so many made ones where it has none.

    `fed` is what the graph takes.

    Raises:
        DataError: there are fewer, or the data can't be read.
        RequestError: the graph leaves the shape of its input open, and so does the plan.
    """
    left = plan.limit or 1
    with tasks.open_source(plan, fed) as given:
        if given.examples is not None and given.examples < left:
            raise DataError(
                f"{plan.data_location}: there are {given.examples} examples to calibrate with, "
                f"and examples={left}: ask for fewer"
            )
        for batch in given.batches:
            yield batch.inputs[:left]
            left -= len(batch)
            if left <= 0:
                return


def run(plan: Plan, out: Path, *, progress: Progress | None = None) -> None:
    """Write the plan's float32 graph in int8 to `out`, calibrated with its inputs.

    It is done in this process, on the plan's CPUs and with its threads.

    Raises:
        RunnerError: what reading, calibrating or quantising raises.
        OSError: `out` can't be written.
    """
    with environment.variables(plan.placement.env), binding.bound(plan.placement):
        pool.make(
            inter_threads=plan.placement.inter_threads, intra_threads=plan.placement.intra_threads
        )
        graph, input, outputs = load.resolve_graph(
            plan.graph.path,
            input=plan.graph.input,
            outputs=plan.graph.outputs,
            allow_unsafe_ops=plan.allow_unsafe_ops,
        )
        int8 = quantize.quantize(
            graph,
            batches(plan, session.input_spec(graph, input)),
            input=input,
            outputs=outputs,
            allow_unsafe_ops=plan.allow_unsafe_ops,
            progress=progress,
        )
        with atomic.writing(out) as file:
            file.write(int8.SerializeToString(deterministic=True))
