"""TensorFlow's errors in a sentence or two."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.errors import GraphError, RequestError, RunnerError

if TYPE_CHECKING:
    import tensorflow as tf

# Around the names of nodes.
_BRACKETS = re.compile(r"\[*\{\{(?:function_)?node ([^}]*)\}\}\]*")

# Lines that don't say what happened, before and after the one that does.
_NOISE = ("Graph execution error", "Detected at node", "Node: ", "Original stack", "1 root error")


def explain_error(
    error: tf.errors.OpError, batch_shape: Sequence[int] | None = None
) -> RunnerError:
    """The error to raise in place of one of TensorFlow's, in a sentence or two."""
    import tensorflow as tf

    said = first_line(error)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        batch = f"a batch of shape {list(batch_shape)}" if batch_shape is not None else "this graph"
        return RequestError(f"not enough memory for {batch}: {said}. Ask for a smaller batch_size")
    if "Missing 0-th output" in said:
        return GraphError(
            f"an operation made no output: {said}. Quantized convolutions do that where oneDNN is "
            "off: set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported"
        )
    if "No OpKernel was registered" in said or "No kernel" in said:
        return GraphError(f"TensorFlow {tf.__version__} has no CPU kernel for the graph: {said}")
    return GraphError(f"TensorFlow can't run the graph: {said}{_where(error, said)}")


def _where(error: tf.errors.OpError, said: str) -> str:
    """The node that failed, if the error names one and what is said of it doesn't."""
    node = _BRACKETS.search(error.message)
    return f", in node {node[1]!r}" if node and repr(node[1]) not in said else ""


def first_line(error: Exception) -> str:
    r"""The line of an error's message that says what happened, without TensorFlow's decoration.

    >>> first_line(ValueError("Graph execution error:\n\nNode: 'x'\ntoo large: {{node x}}"))
    "too large: 'x'"
    """
    message = str(getattr(error, "message", None) or error)
    lines = [line.strip() for line in message.splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    return _BRACKETS.sub(r"'\1'", telling[0]) if telling else type(error).__name__
