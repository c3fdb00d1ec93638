from __future__ import annotations

import numpy as np
import pytest
from graphs_made import constant, made, placeholder, run
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.prepare import fold_constants

BINARY = ("Add", "AddV2", "Mul", "RealDiv", "Sub")
UNARY = ("Neg", "Rsqrt", "Sqrt", "Square")
NUMBERS = st.floats(min_value=0.0009765625, max_value=1000, width=32)


def folded(graph_def: object) -> tuple[int, object]:
    draft = Draft(graph_def, ["input", "output"])
    return fold_constants(draft), draft.graph_def()


@settings(max_examples=25)
@given(
    st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5),
    st.sampled_from(BINARY + UNARY),
)
def test_it_computes_what_tensorflow_computes(pairs: list[tuple[float, float]], op: str) -> None:
    import tensorflow as tf

    def build() -> None:
        a, b = (constant(column) for column in zip(*pairs, strict=True))
        result = getattr(tf.raw_ops, op)(x=a, y=b) if op in BINARY else getattr(tf.raw_ops, op)(x=a)
        tf.add(result, placeholder(None, name="input"), name="output")

    graph_def = made(build)
    count, after = folded(graph_def)
    assert count == 1
    zero = np.zeros(len(pairs), "f4")
    before, after = (run(each, zero, "output:0")[0] for each in (graph_def, after))
    if op == "Rsqrt":
        # TensorFlow's own is an approximation.
        np.testing.assert_allclose(after, before, rtol=3e-7)
    else:
        np.testing.assert_array_equal(after, before)


def test_chains_are_folded_through() -> None:
    import tensorflow as tf

    def build() -> None:
        factor = tf.math.rsqrt(constant([4.0, 16.0]) + 0.0) * constant([1.0, 2.0])
        tf.multiply(placeholder(None, 2), tf.reshape(factor, [1, 2]), name="output")

    count, after = folded(made(build))
    assert count == 4
    np.testing.assert_array_equal(run(after, np.ones((1, 2), "f4"), "output:0")[0], [[0.5, 0.5]])


@pytest.mark.parametrize("case", ["outer product", "integers", "waits", "fetched", "unknown"])
def test_what_is_left_alone(case: str) -> None:
    import tensorflow as tf

    def build() -> None:
        x = placeholder(1)
        value: object
        if case == "outer product":
            value = constant(np.ones((1000, 1))) * constant(np.ones((1, 1000)))
        elif case == "integers":
            value = tf.cast(tf.constant([1]) + tf.constant([2]), "float32")
        elif case == "unknown":
            value = tf.sin(constant([1.0]))
        elif case == "waits":
            with tf.control_dependencies([x]):
                value = constant([1.0]) * constant([2.0])
        else:
            value = tf.multiply(constant([1.0]), constant([2.0]), name="product")
        tf.add(x, value, name="output")

    draft = Draft(made(build), ["input", "output", "product"])
    assert fold_constants(draft) == 0
