from __future__ import annotations

from pathlib import Path

import pytest
from graphs_made import classifier, graph_of, made, node, placeholder, resnet_v1_50, while_loop

from modelzoo_runner.backends.tensorflow import operations
from modelzoo_runner.errors import GraphError

# What the ops of published attacks and of TensorFlow's own reach: files, network, processes,
# Python, other sessions' resources, debugging hooks.
DANGEROUS = """
    ReadFile WriteFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader
    FixedLengthRecordReader TFRecordReader TFRecordReaderV2 LMDBReader IdentityReader ReaderRead
    ReaderReadV2 Save SaveV2 SaveSlices Restore RestoreV2 RestoreSlice MergeV2Checkpoints
    LoadAndRemapMatrix ImmutableConst ShardedFilename InitializeTableFromTextFile
    InitializeTableFromTextFileV2 HashTableV2 LookupTableImportV2 PyFunc PyFuncStateless
    EagerPyFunc RemoteCall SymbolicGradient RpcClient RpcServer RpcCall Send Recv _Send _Recv
    _HostSend _HostRecv FIFOQueueV2 QueueEnqueueV2 TFRecordDataset TextLineDataset
    FixedLengthRecordDatasetV2 MatchingFilesDataset SqlDataset GeneratorDataset IteratorV2
    IteratorGetNext IteratorFromStringHandle DatasetToTFRecord SaveDatasetV2 LoadDataset
    SnapshotDatasetV2 DataServiceDatasetV4 RegisterDatasetV2 FileSystemSetConfiguration
    DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DumpTensor PrintV2 Abort
    CreateSummaryFileWriter CreateSummaryDbWriter WriteSummary WriteGraphSummary ImportEvent
    GetSessionHandleV2 GetSessionTensor VarHandleOp ReadVariableOp AssignVariableOp Stage MapStage
    Barrier CollectiveReduceV2 XlaCallModule XlaLaunch TPUExecute _TPUCompileMlir BatchFunction
    DecodeProtoV2 EncodeProto ParseTensor DecodeWav GenerateVocabRemapping SleepOp KernelLabel
    TensorListFromVariant CalibrationStatisticsSaver CustomAggregator
""".split()  # noqa: SIM905


def refusal(graph_def: object) -> str:
    with pytest.raises(GraphError) as error:
        operations.check(graph_def)
    return str(error.value)


@pytest.mark.parametrize("op", DANGEROUS)
def test_what_reaches_outside_is_not_allowed(op: str) -> None:
    assert op not in operations.ALLOWED
    assert refusal(graph_of(node("x", op))).startswith(
        f"operations that aren't known to be harmless: {op} (node 'x'). A graph is a program"
    )


def test_every_allowed_operation_exists_in_this_tensorflow() -> None:
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    del tf
    unknown = {op for op in operations.ALLOWED if op_def_registry.get(op) is None}
    assert unknown == set()


def test_no_allowed_operation_holds_a_resource_of_the_sessions() -> None:
    """Stateful ones are random, control flow, or arrays that live for one step."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    del tf
    stateful = {op for op in operations.ALLOWED if op_def_registry.get(op).is_stateful}
    expected = ("TensorArray", "Random", "Sample", "Truncated", "Multinomial", "CheckNumerics")
    others = {op for op in stateful if not op.startswith(expected)}
    assert others == {
        *("Assert", "Case", "If", "StatefulPartitionedCall", "While", "_Arg", "_Retval"),
        *("DeepCopy", "Empty", "GuaranteeConst"),
    }


def test_every_refused_operation_is_named_with_its_first_place() -> None:
    said = refusal(
        graph_of(
            node("a", "ReadFile"), node("b", "MyCustomOp"), node("c", "ReadFile"), node("d", "Relu")
        )
    )
    assert "MyCustomOp (node 'b'); ReadFile (node 'a' and 1 more)" in said
    assert said.endswith("If you trust where this one comes from, pass allow_unsafe_ops=True")


def test_functions_are_looked_into() -> None:
    graph_def = graph_of(node("call", "harmless"))
    function = graph_def.library.function.add()
    function.signature.name = "harmless"
    operations.check(graph_def)
    function.node_def.add(name="leak", op="ReadFile")
    assert "ReadFile (node 'leak' in function 'harmless')" in refusal(graph_def)


def test_a_function_may_not_take_an_operations_name() -> None:
    graph_def = graph_of(node("x", "ReadFile"))
    graph_def.library.function.add().signature.name = "ReadFile"
    assert refusal(graph_def) == (
        "the function library redefines TensorFlow's operations: ReadFile"
    )


def functional_control_flow() -> object:
    import tensorflow as tf

    def build() -> None:
        image = placeholder(None, 4)
        image = tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), (0, image))[1]
        image = tf.cond(tf.reduce_sum(image) > 0, lambda: image, lambda: -image)
        image = tf.map_fn(lambda row: row + 1.0, image)
        tf.identity(image, name="output")

    graph_def = made(build)
    assert {"StatelessWhile", "StatelessIf"} & {each.op for each in graph_def.node}
    assert graph_def.library.function
    return graph_def


def test_inference_graphs_are_allowed() -> None:
    for graph_def in (classifier(), while_loop(), resnet_v1_50(), functional_control_flow()):
        operations.check(graph_def)


def test_real_graphs_are_allowed(samples: Path) -> None:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    found = 0
    for path in (samples / "graphs").glob("*.pb"):
        if "NO_WEIGHTS" not in path.name:
            operations.check(GraphDef.FromString(path.read_bytes()))
            found += 1
    assert found
