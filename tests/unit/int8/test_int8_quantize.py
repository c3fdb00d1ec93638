"""quantize() as it is called: whole graphs, every argument, every error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelzoo_runner.backends.tensorflow.kernels import check_kernels
from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors
from modelzoo_runner.errors import DataError, GraphError, RequestError
from modelzoo_runner.int8.quantize import quantize
from modelzoo_runner.values.context import Context

GraphDef = Any
Tensor = Any

FILTERS = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype("f4")
IMAGES = np.random.default_rng(1).uniform(0, 1, (4, 8, 8, 3)).astype("f4")


def graph_of(build: Callable[[Tensor], Tensor]) -> GraphDef:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.identity(build(image), name="output")
    return graph.as_graph_def()


def convolution(image: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.relu(tf.nn.conv2d(image, FILTERS, 1, "SAME", name="conv"))


def run(graph_def: GraphDef, batch: Any) -> list[Any]:
    input, outputs = guess_tensors(graph_def)
    check_kernels(graph_def, outputs=outputs.values())
    with open_step(graph_def, input=input, outputs=list(outputs.values())) as step:
        return step(batch)


def test_a_file_and_the_graph_in_it_give_the_same(tmp_path: Path) -> None:
    graph_def = graph_of(convolution)
    (tmp_path / "graph.pb").write_bytes(graph_def.SerializeToString())
    before = graph_def.SerializeToString(deterministic=True)
    of_graph = quantize(graph_def, [IMAGES])
    assert graph_def.SerializeToString(deterministic=True) == before
    for path in (tmp_path / "graph.pb", str(tmp_path / "graph.pb")):
        assert quantize(path, iter([IMAGES])) == of_graph
    named = quantize(graph_def, [IMAGES], input="input:0", outputs={"scores": "output:0"})
    assert named == of_graph


def test_the_first_half_of_a_graph() -> None:
    """What comes after the outputs isn't in the int8 graph."""
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        return tf.nn.conv2d(convolution(image), np.ones((1, 1, 8, 2), "f4"), 1, "SAME", name="last")

    int8 = quantize(graph_of(build), [IMAGES], outputs={"features": "Relu:0"})
    assert not {node.name for node in int8.node} & {"last", "output"}
    assert "Relu" in {node.name for node in int8.node}


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "entropy"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_every_recipe_gives_nearly_the_same_outputs(ranges: Any, per_channel: bool) -> None:
    graph_def = graph_of(convolution)
    int8 = quantize(graph_def, [IMAGES], ranges=ranges, per_channel=per_channel)
    (expected,), (found,) = run(graph_def, IMAGES), run(int8, IMAGES)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.999


def test_progress_is_passed_on() -> None:
    told: list[Any] = []
    quantize(
        graph_of(convolution),
        [IMAGES] * 2,
        context=Context(progress=lambda *said: told.append(said)),
    )
    assert told == [("calibration batches", 1, 2), ("calibration batches", 2, 2)]


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"calibration": []}, DataError,
         "calibration: there is no batch"),
        ({"calibration": [IMAGES[0]]}, RequestError,
         "the shape [?, 8, 8, 3], not [8, 8, 3]"),
        ({"calibration": [[1, 2]]}, RequestError,
         "an array of float32, not list"),
        ({"ranges": "kl"}, RequestError,
         "ranges='kl': should be one of minmax, percentile, entropy"),
        ({"exclude": "conv"}, RequestError,
         "exclude='conv': should be a list of names, as ['conv']"),
        ({"exclude": ["Conv2d"]}, RequestError,
         "Did you mean 'Conv2D' or 'conv'?"),
        ({"exclude": ["Conv2D"]}, GraphError, "nothing can be int8: it was excluded (1)"),
        ({"input": "inputs:0"}, GraphError,
         "Did you mean 'input:0'?"),
        ({"outputs": {"scores": "output"}}, GraphError,
         "scores: 'output' names a node"),
        ({"graph": "nowhere.pb"}, GraphError, "nowhere.pb: can't be read: No such file or"),
    ],
)  # fmt: skip
def test_what_can_not_be(how: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"graph": graph_of(convolution), "calibration": [IMAGES], **how}
    with pytest.raises(error) as raised:
        quantize(given.pop("graph"), given.pop("calibration"), **given)
    assert message in str(raised.value)


def test_a_graph_without_products() -> None:
    import tensorflow as tf

    with pytest.raises(GraphError, match="nothing to quantize"):
        quantize(graph_of(tf.tanh), [IMAGES])


def test_an_int8_graph_has_nothing_left_to_quantise() -> None:
    int8 = quantize(graph_of(convolution), [IMAGES])
    with pytest.raises(GraphError, match="there is nothing to quantize"):
        quantize(int8, [IMAGES])


def test_a_graph_that_can_not_be_trusted() -> None:
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        return convolution(image) + tf.strings.to_number(tf.io.read_file("x"))

    graph_def = graph_of(build)
    with pytest.raises(GraphError, match="operations that aren't known to be harmless: ReadFile"):
        quantize(graph_def, [IMAGES])


def test_what_is_wrong_with_the_graph_is_told_before_the_images_are_read() -> None:
    def never() -> Any:
        raise AssertionError("read")
        yield

    with pytest.raises(GraphError, match="nothing can be int8"):
        quantize(graph_of(convolution), never(), exclude=["conv"])


def test_a_name_that_is_taken() -> None:
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        made = convolution(image)
        return made + tf.tanh(image[..., :1], name="Relu/quint8")

    with pytest.raises(GraphError, match=r"'Relu/quint8'.*name.*Tanh"):
        quantize(graph_of(build), [IMAGES])


def test_a_batch_without_examples_does_not_end_the_process() -> None:
    """As a second stage has where the first found nothing. oneDNN's own Dequantize does end it."""
    import tensorflow as tf

    def build(image: Tensor) -> Tensor:
        made = tf.nn.relu(tf.nn.conv2d(image, FILTERS[..., :3], 2, "SAME"))
        return tf.nn.max_pool2d(made, 2, 2, "SAME") + 0.5

    int8 = quantize(graph_of(build), [IMAGES])
    assert len(run(int8, IMAGES[:0])[0]) == 0
