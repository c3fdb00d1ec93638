"""The operations a graph may have, as data.

A graph is a program: TensorFlow has operations that read and write files, open connections, load
data sets and call back into Python, and a model file can hold any of them, in its function library
too. A list of the bad ones is never complete, so this is the list of the good ones: what inference
graphs of image models compute with, control flow included, and nothing that reaches outside the
graph. Sources: the graphs of the presets, the classifiers of slim and Keras, and the TensorFlow
Object Detection API's exports; for the int8 operations, those oneDNN has kernels for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.structure import bodies
from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

_GROUPS = {
    "ends": "Const HostConst Placeholder PlaceholderV2 PlaceholderWithDefault _Arg _Retval NoOp",
    "pass through": """
        Identity IdentityN Snapshot StopGradient PreventGradient CheckNumerics CheckNumericsV2
        EnsureShape GuaranteeConst DeepCopy _HostCast""",
    "arithmetic": """
        Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh Ceil ClipByValue Cos Cosh Cross
        Cumprod Cumsum Div DivNoNan Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Inv Log Log1p Maximum
        Minimum Mod Mul MulNoNan Neg Pow RealDiv Reciprocal Rint Round Rsqrt Sigmoid Sign Sin Sinh
        Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy""",
    "comparing and choosing": """
        ApproximateEqual BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterEqual Invert IsFinite
        IsInf IsNan LeftShift Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual RightShift
        Select SelectV2 Where""",
    "reducing": """
        All Any ArgMax ArgMin Bincount DenseBincount EuclideanNorm L2Loss Max Mean Min Prod
        SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Sum UnsortedSegmentMax
        UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum""",
    "layers": """
        AvgPool AvgPool3D BatchNormWithGlobalNormalization BiasAdd BiasAddV1 Conv2D
        Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 DepthwiseConv2dNative Dilation2D Elu
        FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D LRN
        LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Relu Relu6 Selu Softmax
        Softplus Softsign""",
    "layers that were fused": """
        _FusedBatchNormEx _FusedConv2D _FusedConv3D _FusedDepthwiseConv2dNative _FusedMatMul""",
    "matrices": """
        BatchMatMul BatchMatMulV2 BatchMatMulV3 Diag DiagPart Einsum MatMul MatrixBandPart
        MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
        MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3""",
    "shapes and slices": """
        BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Cast Concat ConcatOffset
        ConcatV2 DepthToSpace DynamicPartition DynamicStitch Empty ExpandDims Fill Gather GatherNd
        GatherV2 InvertPermutation LinSpace ListDiff MirrorPad OneHot OnesLike Pack Pad PadV2
        ParallelConcat ParallelDynamicStitch Range Rank Reshape Reverse ReverseSequence ReverseV2
        Roll ScatterNd Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND SpaceToDepth
        SparseToDense Split SplitV Squeeze StridedSlice TensorScatterAdd TensorScatterMax
        TensorScatterMin TensorScatterSub TensorScatterUpdate Tile Transpose Unique UniqueV2
        UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex ZerosLike""",
    "images and boxes": """
        AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
        DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng
        DecodeRaw DrawBoundingBoxes DrawBoundingBoxesV2 ExtractGlimpse ExtractGlimpseV2
        ExtractImagePatches ExtractJpegShape HSVToRGB ImageProjectiveTransformV2
        ImageProjectiveTransformV3 NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3
        NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps RGBToHSV ResizeArea
        ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate""",
    "ordering": "InTopK InTopKV2 LowerBound NthElement TopK TopKV2 UpperBound",
    # An Example that comes in as a string tensor, not from a file: what "tf_example" exports take.
    "parsing what was fed": """
        AsString ParseExample ParseExampleV2 ParseSingleExample ReduceJoin StringFormat StringJoin
        StringLength StringSplit StringSplitV2 StringToNumber Substr""",
    # Left behind in graphs frozen in training mode. They harm numbers, not machines.
    "random": """
        Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
        SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 TruncatedNormal""",
    # Assert writes its tensors into an error message, which is as far as it gets.
    "control flow": """
        Assert Case ControlTrigger Enter Exit FakeParam If LoopCond Merge NextIteration
        PartitionedCall RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSwitch
        StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile Switch While""",
    "arrays and lists inside the graph": """
        EmptyTensorList TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3
        TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3
        TensorArrayWriteV3 TensorListConcat TensorListConcatV2 TensorListElementShape
        TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
        TensorListPushBack TensorListReserve TensorListResize TensorListScatter
        TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack""",
    "quantizing": """
        Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
        FakeQuantWithMinMaxVarsPerChannel QuantizeAndDequantize QuantizeAndDequantizeV2
        QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeDownAndShrinkRange QuantizeV2
        RequantizationRange RequantizationRangePerChannel Requantize RequantizePerChannel""",
    "int8": """
        QuantizedAdd QuantizedAvgPool QuantizedBiasAdd QuantizedConcat QuantizedConcatV2
        QuantizedConv2D QuantizedConv2DAndRelu QuantizedConv2DAndReluAndRequantize
        QuantizedConv2DAndRequantize QuantizedConv2DPerChannel QuantizedConv2DWithBias
        QuantizedConv2DWithBiasAndRelu QuantizedConv2DWithBiasAndReluAndRequantize
        QuantizedConv2DWithBiasAndRequantize QuantizedConv2DWithBiasSignedSumAndReluAndRequantize
        QuantizedConv2DWithBiasSumAndRelu QuantizedConv2DWithBiasSumAndReluAndRequantize
        QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias
        QuantizedDepthwiseConv2DWithBiasAndRelu
        QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize QuantizedMatMul
        QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize
        QuantizedMatMulWithBiasAndRelu QuantizedMatMulWithBiasAndReluAndRequantize
        QuantizedMatMulWithBiasAndRequantize QuantizedMaxPool QuantizedMul QuantizedRelu
        QuantizedRelu6 QuantizedReshape QuantizedResizeBilinear
        _FusedQuantizedConv2D _FusedQuantizedDepthwiseConv2D""",
}

ALLOWED: frozenset[str] = frozenset(name for group in _GROUPS.values() for name in group.split())
"""Operations that only compute with what they are given."""


def check(graph_def: GraphDef, *, besides: Collection[str] = ()) -> None:
    """Check that every operation is one of `ALLOWED`, of `besides`, or a function of the graph.

    Raises:
        GraphError: naming each operation, how often it occurs and where first.
    """
    functions = _own_functions(graph_def)
    places: dict[str, list[str]] = defaultdict(list)
    for where, nodes, _ in bodies(graph_def):
        for node in nodes:
            if not (node.op in ALLOWED or node.op in besides or node.op in functions):
                places[node.op].append(f"node {node.name!r}{where}")
    if places:
        found = "; ".join(f"{op} ({_some(where)})" for op, where in sorted(places.items()))
        raise GraphError(
            f"operations that aren't known to be harmless: {found}. A graph is a program and may "
            "read files, use the network or run code. If you trust where this one comes from, "
            "pass allow_unsafe_ops=True"
        )


def _own_functions(graph_def: GraphDef) -> set[str]:
    """The names of the library's functions, none of which may hide an operation behind its name."""
    from tensorflow.python.framework import op_def_registry

    names = {function.signature.name for function in graph_def.library.function}
    disguised = sorted(name for name in names if op_def_registry.get(name) is not None)
    if disguised:
        raise GraphError(
            f"the function library redefines TensorFlow's operations: {', '.join(disguised)}"
        )
    return names


def _some(places: list[str]) -> str:
    rest = len(places) - 1
    return places[0] + (f" and {rest} more" if rest else "")
