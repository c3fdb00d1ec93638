"""What the tests of the topologies share: build once, run, count."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.topologies import catalog

GraphDef = Any
TRAINED = ("weights", "depthwise_weights", "biases", "gamma", "beta")


@pytest.fixture(scope="session")
def built() -> Callable[..., GraphDef]:
    """`catalog.build`, each call's graph kept for the next test that wants the same."""
    return functools.cache(catalog.build)


@pytest.fixture(scope="session")
def run() -> Callable[..., list[np.ndarray]]:
    return _run


@pytest.fixture(scope="session")
def arrays() -> Callable[[GraphDef], dict[str, np.ndarray]]:
    return _arrays


@pytest.fixture(scope="session")
def parameter_count() -> Callable[[GraphDef], int]:
    """The number of trained weights: not the batch norms' statistics, which nothing trains."""
    return lambda graph_def: sum(
        math.prod(dim.size for dim in node.attr["value"].tensor.tensor_shape.dim)
        for node in graph_def.node
        if node.op == "Const" and node.name.rpartition("/")[2] in TRAINED
    )


@pytest.fixture(scope="session")
def shapes() -> Callable[..., dict[str, tuple[int | None, ...]]]:
    return _shapes


@pytest.fixture(scope="session")
def transplant() -> Callable[..., dict[str, np.ndarray]]:
    return _transplant


@pytest.fixture(scope="session")
def multiply_adds() -> Callable[..., int]:
    return _multiply_adds


_last: list[Any] = [None, None]
"""The graph that ran last, and its session: the next test often runs the same one."""


def _run(
    graph_def: GraphDef, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
) -> list[np.ndarray]:
    """The values of the tensors `fetches`."""
    import tensorflow as tf

    if _last[0] is not graph_def:
        if _last[1] is not None:
            _last[1].close()
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(graph_def, name="")
        config = tf.compat.v1.ConfigProto()
        # A graph that runs once isn't worth the optimizer's time.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        _last[:] = graph_def, tf.compat.v1.Session(graph=graph, config=config)
    return _last[1].run(list(fetches), dict(feeds))


def _arrays(graph_def: GraphDef) -> dict[str, np.ndarray]:
    """The float constants by node name: the variables, as a checkpoint has them."""
    import tensorflow as tf

    return {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in graph_def.node
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum
    }


def _transplant(
    keras: Any,
    layers: Mapping[str, tuple[str, str | None]],
    graph_def: GraphDef,
) -> dict[str, np.ndarray]:
    """Gives a Keras model the weights of our graph; returns what it then computes by our names.

    Keras's own initial batch norms do nothing and its biases are zero, so that a comparison could
    not see them in a wrong place: they get values. Where Keras has a bias before a batch norm it is
    returned as what it is, a shift of the batch norm's mean.

    Args:
        keras: the model.
        layers: the scope of each layer of ours, and the names of Keras's layer and batch norm.
        graph_def: the graph with our weights.
    """
    drawn = _arrays(graph_def)
    held = {}
    for scope, (name, norm) in layers.items():
        kernel_name = next(
            each for each in (f"{scope}/weights", f"{scope}/depthwise_weights") if each in drawn
        )
        kernel = drawn[kernel_name]
        layer = keras.get_layer(name)
        shapes = [weight.shape for weight in layer.weights]
        rng = np.random.default_rng(len(held))
        biases = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes[1:]]
        layer.set_weights([kernel.reshape(shapes[0]), *biases])
        held[kernel_name] = kernel
        if norm is None:
            held[f"{scope}/biases"] = biases[0]
            continue
        kinds = ("gamma", "beta", "moving_mean", "moving_variance")
        names = [f"{scope}/BatchNorm/{kind}" for kind in kinds]
        statistics = {each: drawn[each] for each in names if each in drawn}
        keras.get_layer(norm).set_weights(list(statistics.values()))
        held |= statistics
        if biases:
            held[names[2]] = statistics[names[2]] - biases[0]
    return held


def _imported(graph_def: GraphDef, feeds: Mapping[str, Sequence[int]]) -> Any:
    """The graph with inputs of these shapes, so that the shapes of all the rest follow.

    Shapes don't depend on weights, which take long to import: they become placeholders too.
    """
    import tensorflow as tf

    light = tf.compat.v1.GraphDef(versions=graph_def.versions)
    for node in graph_def.node:
        shape = feeds.get(node.name)
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            shape = [dim.size for dim in node.attr["value"].tensor.tensor_shape.dim]
        if shape is None:
            light.node.append(node)
            continue
        placeholder = light.node.add(name=node.name, op="Placeholder")
        placeholder.attr["dtype"].type = node.attr["dtype"].type
        placeholder.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(light, name="")
    return graph


def _shapes(graph_def: GraphDef, **feeds: Sequence[int]) -> dict[str, tuple[int | None, ...]]:
    """The static shape of each operation's first output when the inputs have these shapes."""
    return {
        operation.name: tuple(operation.outputs[0].shape)
        for operation in _imported(graph_def, feeds).get_operations()
        if operation.outputs and operation.outputs[0].shape.rank is not None
    }


def _multiply_adds(graph_def: GraphDef, **feeds: Sequence[int]) -> int:
    """The multiply-adds of all convolutions and matrix products."""
    total = 0
    for operation in _imported(graph_def, feeds).get_operations():
        if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
            kernel = operation.inputs[1].shape
            outputs = math.prod(operation.outputs[0].shape)
            total += outputs * math.prod(kernel[:3] if operation.type == "Conv2D" else kernel[:2])
        elif operation.type == "MatMul":
            total += math.prod(operation.outputs[0].shape) * operation.inputs[1].shape[0]
    return total
