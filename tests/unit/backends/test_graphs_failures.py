from __future__ import annotations

import pytest

from modelzoo_runner.backends.tensorflow import failures
from modelzoo_runner.errors import GraphError, RequestError, RunnerError

WRAPPED = """Graph execution error:

Detected at node 'a/conv' defined at (most recent call last):
Node: 'a/conv'
Missing 0-th output from {{node a/conv}}
\t [[{{node a/conv}}]]

Original stack trace for 'a/conv':
"""


def explained(kind: str, message: str) -> RunnerError:
    import tensorflow as tf

    return failures.explain_error(getattr(tf.errors, kind)(None, None, message), (2, 3))


def test_only_the_line_that_says_what_happened_is_kept() -> None:
    assert failures.first_line(ValueError(WRAPPED)) == "Missing 0-th output from 'a/conv'"
    assert failures.first_line(ValueError("[[{{function_node f}}]] is bad")) == "'f' is bad"
    assert failures.first_line(ValueError("")) == "ValueError"


@pytest.mark.parametrize(
    ("kind", "message", "expected", "said"),
    [
        (
            "ResourceExhaustedError",
            "OOM when allocating tensor",
            RequestError,
            "not enough memory for a batch of shape [2, 3]: OOM when allocating tensor. Ask for a "
            "smaller batch_size",
        ),
        (
            "InternalError",
            WRAPPED,
            GraphError,
            "an operation made no output: Missing 0-th output from 'a/conv'. Quantized "
            "convolutions do that where oneDNN is off: set TF_ENABLE_ONEDNN_OPTS=1 before "
            "TensorFlow is imported",
        ),
        (
            "UnknownError",
            "no idea",
            GraphError,
            "TensorFlow can't run the graph: no idea",
        ),
        (
            "InvalidArgumentError",
            "indices[0] = 7 is not in [0, 2)\n\t [[{{node a/picked}}]]",
            GraphError,
            "TensorFlow can't run the graph: indices[0] = 7 is not in [0, 2), in node 'a/picked'",
        ),
    ],
)
def test_errors_become_the_librarys_own(
    kind: str, message: str, expected: type[RunnerError], said: str
) -> None:
    error = explained(kind, message)
    assert type(error) is expected
    assert str(error) == said


def test_a_missing_kernel_names_the_version() -> None:
    import tensorflow as tf

    error = explained("NotFoundError", "No OpKernel was registered to support Op 'X'")
    assert isinstance(error, GraphError)
    assert str(error).startswith(f"TensorFlow {tf.__version__} has no CPU kernel for the graph: No")
