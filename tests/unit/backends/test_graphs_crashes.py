from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphs_made import batch_of, graph_of, int8_residual, node, run

from modelzoo_runner.backends.tensorflow.kernels import check_crashes
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors
from modelzoo_runner.errors import GraphError

SUM = "QuantizedConv2DWithBiasSumAndReluAndRequantize"


def refusal(graph_def: object, *outputs: str) -> str:
    with pytest.raises(GraphError) as error:
        check_crashes(graph_def, outputs=outputs)
    return str(error.value)


def test_a_residual_block_passes_and_runs() -> None:
    graph_def = int8_residual()
    check_crashes(graph_def, outputs=["output:0"])
    (found,) = run(graph_def, 6 * np.abs(batch_of(2, 8, 8, 4)), "output:0")
    assert found.shape == (2, 8, 8, 4)
    assert 0 < found.max() <= 6


def test_a_summand_that_passes_through_other_nodes_passes() -> None:
    graph_def = int8_residual("through")
    graph_def.node.add(name="through", op="Identity", input=["first"])
    check_crashes(graph_def, outputs=["output:0"])


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([("s", "Const")], "is in memory of 's' (Const)"),
        ([("s", "Identity", "c"), ("c", "Const")], "is in memory of 'c' (Const)"),
        ([("s", "Bitcast", "input")], "is in memory of 'input' (Placeholder)"),
        ([("s", "Split", "first")], "is in memory of 's' (Split)"),
        ([("s", "Identity", "second")], "is its input as well"),
        (
            [("s", "Identity", "first"), ("other", "QuantizedMaxPool", "first")],
            "'other' may need later",
        ),
        (
            [("s", "Identity", "first"), ("t", "Reshape", "s"), ("other", "Dequantize", "t")],
            "'other' may need later",
        ),
    ],
)
def test_a_summand_that_is_not_free_is_refused(nodes: list[tuple[str, ...]], said: str) -> None:
    graph_def = int8_residual("s")
    graph_def.node.extend(node(*each) for each in nodes)
    assert refusal(graph_def) == (
        f"node 'sum' ({SUM}) writes its sum over 's', which {said}: TensorFlow crashes on this. "
        "Quantize the graph again and leave this node in float32"
    )


def test_a_summand_that_is_fetched_is_refused() -> None:
    assert "over 'first', which is fetched as an output" in refusal(
        int8_residual(), "output:0", "first:0"
    )


def test_the_ranges_of_a_summand_may_be_needed_later() -> None:
    graph_def = int8_residual()
    graph_def.node.add(name="other", op="Relu", input=["first:2"])
    check_crashes(graph_def)


def test_the_newer_operation_is_looked_into_too() -> None:
    fused = node("sum", "_FusedQuantizedConv2D", "second", "filter", "bias", "s")
    fused.attr["fused_ops"].list.s.extend([b"BiasAdd", b"Sum", b"Relu", b"Requantize"])
    graph_def = graph_of(node("filter", "Const"), node("s", "Const"), fused)
    assert "writes its sum over 's', which is in memory of 's' (Const)" in refusal(graph_def)
    del fused.attr["fused_ops"].list.s[1]
    check_crashes(graph_of(node("filter", "Const"), node("s", "Const"), fused))


@pytest.mark.parametrize("op", ["Const", "HostConst"])
def test_a_constant_filter_passes_through_identity(op: str) -> None:
    convolution = node("conv", "QuantizedConv2D", "x", "i")
    check_crashes(graph_of(node("f", op), node("i", "Identity", "f"), convolution))


def test_a_filter_that_is_no_constant_is_refused() -> None:
    convolution = node("conv", "QuantizedDepthwiseConv2D", "x", "f")
    assert refusal(graph_of(node("f", "QuantizeV2", "w"), convolution)) == (
        "node 'conv' (QuantizedDepthwiseConv2D) has a filter that isn't a constant but comes from "
        "'f' (QuantizeV2): oneDNN can't run it. Freeze the graph before quantizing it"
    )


def test_functions_are_looked_into() -> None:
    graph_def = graph_of(node("x", "Placeholder"))
    function = graph_def.library.function.add()
    function.signature.name = "f"
    function.signature.input_arg.add(name="weights")
    function.node_def.add(name="conv", op="QuantizedConv2D", input=["x", "weights"])
    assert "node 'conv' in function 'f' (QuantizedConv2D) has a filter" in refusal(graph_def)
    assert "comes from 'weights' (an argument)" in refusal(graph_def)


def test_real_int8_graphs_pass(samples: Path) -> None:
    for path in (samples / "graphs").glob("*int8*.pb"):
        graph_def = read_graph(path)
        check_crashes(graph_def, outputs=guess_tensors(graph_def)[1].values())
