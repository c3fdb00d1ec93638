"""Whether a run fits in memory, by an estimate from below, before it takes any.

A machine that runs out of memory stops responding before it ends a process. What the estimate
refuses can't run; what it accepts may still be too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine import facts
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.tasks import synthetic
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from modelzoo_runner.backends.base import Model, TensorSpec

BARE = 200 * 2**20
"""Bytes that a process has of its own once TensorFlow ran a small graph in it (2.21: 222 MiB)."""

COPIES = 3
"""Of the weights, at least: the graph as it was read, TensorFlow's constants, and oneDNN's copy in
the order in which it multiplies."""

BATCHES = 4
"""Of synthetic input, ready in memory before the first step."""

TIGHT = 64
"""Times the bytes of its input that a network may take. The largest two tensors of the published
ones have 10 to 30 times as many."""

_FLOAT = 4


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that a run takes at least: whatever its batch is, and for each example in it."""

    fixed: int
    example: int = 0

    def of(self, batch_size: int) -> int:
        """Of a run with that batch."""
        return self.fixed + batch_size * self.example

    def largest(self, available: int) -> int:
        """The largest batch with which it fits in so many bytes; 0 if none does."""
        return max(0, available - self.fixed) // max(1, self.example)


def of(plan: Plan) -> Need:
    """What the plan takes, as far as that is known before its graph is read."""
    weights = COPIES * file_bytes(plan)
    if plan.data_location is not None or plan.preprocess is None:
        return Need(fixed=BARE + weights)
    height, width = plan.preprocess.size
    return Need(fixed=BARE + weights, example=BATCHES * height * width * 3 * _FLOAT)


def require(plan: Plan, model: Model, available: int | None = None) -> None:
    """Check that the plan's batch fits with the graph that was read, which is in memory by now.

    Args:
        plan: what is to be run.
        model: its graph.
        available: bytes; those that this process can still allocate if not given.

    Raises:
        BindingError: what it needs at least, what is available, and the largest batch that fits.
    """
    if available is None:
        available = facts.memory_for_this_process()
    if available is None:
        return
    need = Need(fixed=(COPIES - 1) * file_bytes(plan), example=_of_example(plan, model))
    if need.of(plan.batch_size) <= available:
        return
    largest = need.largest(available)
    advice = f"at most batch_size={largest} fits" if largest else "not even one example fits"
    needed, of_each, there = map(_size, (need.of(plan.batch_size), need.example, available))
    raise BindingError(
        f"batch_size={plan.batch_size}: the run needs at least {needed} of memory ({of_each} for "
        f"each example), and {there} are available here: {advice}"
    )


def is_tight(plan: Plan) -> bool:
    """Whether the plan might take more than half of what this process can still allocate.

    Then its process might be ended, and had better be a child.
    """
    available = facts.memory_for_this_process()
    need = of(plan)
    guess = need.fixed + TIGHT // BATCHES * plan.batch_size * need.example
    return available is not None and guess > available / 2


def exhausted(plan: Plan) -> BindingError:
    """The error of a run that memory was refused to."""
    return BindingError(f"there isn't memory enough for the run. {advice(plan)}")


def advice(plan: Plan) -> str:
    """What to do about a run that took too much."""
    available = facts.memory_for_this_process()
    largest = plan.batch_size // 2
    if available is not None:
        largest = min(largest, of(plan).largest(available) or 1)
    return f"batch_size={plan.batch_size}: try {max(1, largest)}"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def file_bytes(plan: Plan) -> int:
    """The size of the graph's file, which is mostly weights; 0 where it is no file."""
    path = Path(plan.graph.path)
    return path.stat().st_size if path.is_file() else 0


def _of_example(plan: Plan, model: Model) -> int:
    """Bytes of one example: its input, as often as there is one, and the largest tensors of it."""
    import numpy as np

    input = plan.graph.input or ""
    spec = model.input_spec(input)
    shape = _shape(plan, spec)
    if shape is None:
        return 0
    size = int(np.prod(shape, dtype=np.float64)) * np.dtype(spec.input_dtype).itemsize
    count = getattr(model, "least_bytes", None)
    inside = 0 if count is None else int(count(input, (1, *shape)))
    return size * (BATCHES if plan.data_location is None else 1) + inside


def _shape(plan: Plan, spec: TensorSpec) -> tuple[int, ...] | None:
    """Of one example, where it is known before there is one."""
    if plan.data_location is not None and plan.preprocess is None:
        return None
    try:
        return synthetic.example_shape(plan, spec, tasks.find(plan.task).IMAGE)
    except RequestError:
        return None
