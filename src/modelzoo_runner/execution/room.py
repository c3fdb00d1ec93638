"""Whether several instances have room in memory: asked before any is started.

A machine without memory left stops answering before it ends a process. The estimate is from below,
so what it refuses can't run; what it lets pass may still be too much.
"""

from __future__ import annotations

import math
from pathlib import Path

from modelzoo_runner.errors import BindingError
from modelzoo_runner.values.plan import Plan

BARE = 200 * 2**20
"""Bytes that a process has of its own once TensorFlow ran a small graph in it (2.21: 222 MiB)."""

COPIES = 3
"""Of the weights, at least: the graph as it was read, TensorFlow's constants, and oneDNN's copy in
the order in which it multiplies."""

BATCHES = 4
"""Of synthetic input, ready in memory before the first step."""


def check(plan: Plan, available: int | None) -> None:
    """Nothing, if the plan's instances may have room in so many bytes (`None`: not known).

    Raises:
        BindingError: they can't; says what they need at least, what there is, and what would fit.
    """
    each = least_bytes(plan)
    count = len(plan.instances)
    if available is None or count * each <= available:
        return
    fitting = available // each
    advice = f"ask for {fitting} or fewer" if fitting else "there isn't room for one"
    raise BindingError(
        f"instances: {count} of them need at least {_shown(count * each)} of memory "
        f"({_shown(each)} each), and {_shown(available)} are available here: {advice}, "
        "or use a smaller batch_size"
    )


def least_bytes(plan: Plan) -> int:
    """What an instance of the plan takes at least, in bytes."""
    weights = Path(plan.graph.path).stat().st_size
    batches = 0
    if plan.data_location is None and plan.preprocess is not None:
        batches = BATCHES * plan.batch_size * math.prod(plan.preprocess.size) * _PIXEL
    return BARE + COPIES * weights + batches


_PIXEL = 3 * 4  # bytes of three float32


def _shown(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
