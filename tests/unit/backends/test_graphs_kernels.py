from __future__ import annotations

from pathlib import Path

import pytest
from graphs_made import classifier, graph_of, int8_residual, node, resnet_v1_50, while_loop

from modelzoo_runner.backends.tensorflow.kernels import check_kernels, count_int8
from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors
from modelzoo_runner.errors import GraphError
from modelzoo_runner.machine import onednn


def refusal(graph_def: object) -> str:
    with pytest.raises(GraphError) as error:
        check_kernels(graph_def)
    return str(error.value)


def typed(name: str, op: str, *inputs: str, **types: int) -> object:
    made = node(name, op, *inputs)
    for key, number in types.items():
        made.attr[key].type = number
    return made


FLOAT, INT8, STRING, BFLOAT16 = 1, 6, 7, 14


def test_graphs_that_run_pass() -> None:
    for graph_def in (classifier(), while_loop(), resnet_v1_50(), int8_residual()):
        check_kernels(graph_def)


def test_an_operation_that_nobody_knows_is_refused() -> None:
    import tensorflow as tf

    said = refusal(graph_of(node("a", "MyCustomOp"), node("b", "MyCustomOp")))
    assert said == (
        f"TensorFlow {tf.__version__} can't run these operations on a CPU: MyCustomOp (not an "
        "operation of this TensorFlow): 2 nodes, the first is 'a'. A graph for a GPU, a TPU, "
        "another TensorFlow or with custom operations won't run here: take one exported for "
        "inference on a CPU"
    )


def test_a_type_without_a_kernel_is_refused() -> None:
    said = refusal(
        graph_of(
            typed("x", "Const", dtype=STRING),
            typed("a", "Relu", "x", T=STRING),
            typed("b", "Conv2D", "x", "x", T=INT8),
        )
    )
    assert "Conv2D of T=int8: 1 node, the first is 'b'; Relu of T=string: 1 node" in said


def test_an_operation_without_a_cpu_kernel_is_refused() -> None:
    assert "CudnnRNN: 1 node, the first is 'a'" in refusal(
        graph_of(typed("a", "CudnnRNN", T=FLOAT))
    )


def test_types_left_out_are_the_operations_defaults() -> None:
    # QuantizedReshape's Tshape is int32 unless it says otherwise.
    check_kernels(graph_of(typed("a", "Reshape", "a", "a", T=FLOAT)))


def test_functions_are_looked_into_and_may_be_called() -> None:
    graph_def = graph_of(node("call", "f"))
    function = graph_def.library.function.add()
    function.signature.name = "f"
    function.node_def.add(name="relu", op="Relu").attr["T"].placeholder = "T"
    check_kernels(graph_def)
    function.node_def.add(name="custom", op="MyCustomOp")
    assert "the first is 'custom' in function 'f'" in refusal(graph_def)


def test_a_graph_for_a_newer_tensorflow_is_refused() -> None:
    import tensorflow as tf

    graph_def = classifier()
    graph_def.versions.min_consumer = 99_999
    assert refusal(graph_def) == (
        "the graph needs a TensorFlow of graph version 99999 at least, and TensorFlow "
        f"{tf.__version__} has {tf.version.GRAPH_DEF_VERSION}: use a newer TensorFlow"
    )


def test_int8_is_refused_where_onednn_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    said = refusal(int8_residual())
    assert said.startswith(
        "the graph has operations that only oneDNN computes: "
        "QuantizedConv2DWithBiasAndReluAndRequantize (2), "
        "QuantizedConv2DWithBiasSumAndReluAndRequantize (1); and oneDNN is off in this process"
    )
    assert "Set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported" in said
    check_kernels(classifier())


def test_a_fused_addition_is_refused_where_onednn_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = typed("a", "_FusedConv2D", T=FLOAT)
    fused.attr["fused_ops"].list.s.extend([b"BiasAdd", b"Relu"])
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    check_kernels(graph_of(fused))
    fused.attr["fused_ops"].list.s.append(b"Add")
    assert "only oneDNN computes: _FusedConv2D (1)" in refusal(graph_of(fused))


def test_a_crash_is_refused_here_too() -> None:
    graph_def = int8_residual()
    with pytest.raises(GraphError, match="is fetched as an output"):
        check_kernels(graph_def, outputs=["first:0"])


def test_real_graphs_have_kernels(samples: Path) -> None:
    for path in (samples / "graphs").glob("*.pb"):
        if "NO_WEIGHTS" not in path.name:
            graph_def = read_graph(path)
            check_kernels(graph_def, outputs=guess_tensors(graph_def)[1].values())


def test_layers_that_compute_in_int8_are_counted(samples: Path) -> None:
    assert count_int8(classifier()) == 0
    assert count_int8(int8_residual()) == sum(
        node.op.startswith("QuantizedConv2D") for node in int8_residual().node
    )
    graph_def = read_graph(samples / "graphs" / "mobilenet_v1_1.0_224_int8_inc.pb")
    assert count_int8(graph_def) == 28
