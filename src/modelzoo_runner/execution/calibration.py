"""Calibration data (a plan's inputs without labels), and quantizing with it in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends import base as backends
from modelzoo_runner.backends.base import TensorSpec
from modelzoo_runner.errors import DataError
from modelzoo_runner.int8 import quantize
from modelzoo_runner.machine import binding, environment
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import atomic
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray


def batches(plan: Plan, fed: TensorSpec) -> Iterator[NDArray[Any]]:
    """The inputs of the first `plan.limit` examples; synthetic ones if the plan has no data.

    `fed` is what the graph takes.

    Raises:
        DataError: there are fewer, or the data can't be read.
        RequestError: the graph leaves its input shape open, and so does the plan.
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


def run(plan: Plan, out: Path, context: Context = QUIET) -> None:
    """Write the plan's float32 graph in int8 to `out`, calibrated with its inputs.

    It is done in this process, on the plan's CPUs and with its threads.
    """
    backend = backends.find(plan.runtime)
    with environment.variables(plan.placement.env), binding.bound(plan.placement):
        backend.set_threads(plan.placement)
        model = backend.load(plan.graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
        input = plan.graph.input or model.guess_tensors()[0]
        int8 = quantize.quantize(
            plan.graph.path,
            batches(plan, model.input_spec(input)),
            input=input,
            outputs=plan.graph.outputs,
            allow_unsafe_ops=plan.allow_unsafe_ops,
            context=context,
        )
        with atomic.writing(out) as file:
            file.write(int8.SerializeToString(deterministic=True))
