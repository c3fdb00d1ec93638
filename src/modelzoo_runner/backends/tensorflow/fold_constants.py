"""Compute ahead what depends on constants only, where that is a batch norm's arithmetic.

TensorFlow folds every constant itself when a session opens, but too late for what follows here. So
this is only what stands between the weights of a batch norm and its convolution: elementwise
arithmetic on floats, on results no larger than what goes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.structure import waits_for

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "AddV2": lambda a, b: a + b,
    "Mul": lambda a, b: a * b,
    "Neg": lambda a: -a,
    "RealDiv": lambda a, b: a / b,
    "Rsqrt": lambda a: 1 / a**0.5,
    "Sqrt": lambda a: a**0.5,
    "Square": lambda a: a * a,
    "Sub": lambda a, b: a - b,
    "Reshape": lambda a, shape: a.reshape(shape),
}


def fold_constants(draft: Draft) -> int:
    """Make nodes constants whose inputs are constants; returns how many."""
    import numpy as np

    count = 0
    for name in list(TopologicalSorter(waits_for(draft.nodes.values())).static_order()):
        node = draft.nodes[name]
        compute = _ARITHMETIC.get(node.op)
        if compute is None or not node.input or name in draft.fixed:
            continue
        values = _constants(draft, list(node.input))
        if values is None or values[0].dtype not in (np.float32, np.float64):
            continue
        # In float64 and rounded once: the basic operations come out as float32 has them.
        with np.errstate(all="ignore"):
            wide = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in values]
            result = np.asarray(compute(*wide)).astype(values[0].dtype)
        if result.size <= max(value.size for value in values):
            draft.set_constant(name, result)
            count += 1
    return count


def _constants(draft: Draft, tensors: list[str]) -> list[Array] | None:
    found = []
    for tensor in tensors:
        value = draft.constant(tensor)
        if value is None:
            return None
        found.append(value)
    return found
