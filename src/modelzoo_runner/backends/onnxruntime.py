"""ONNX Runtime as a runtime, on its CPU kernels: see `base.Backend` and `base.Converter`.

A frozen graph is converted by tf2onnx; int8 is ONNX Runtime's static quantization.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends import own_files
from modelzoo_runner.backends.base import Compiled, TensorSpec, Timed
from modelzoo_runner.backends.own_files import Model
from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine import environment, processor
from modelzoo_runner.values.plan import Placement

if TYPE_CHECKING:
    from modelzoo_runner.backends.base import Array

NAME = "onnxruntime"
SUFFIXES = (".onnx",)
READS = SUFFIXES
CONVERTED = ".onnx"
PACKAGES = ("onnxruntime", "onnx")
CONVERTERS: Mapping[str, tuple[str, ...]] = {"fp32": ("tf2onnx",), "int8": ("tf2onnx",)}
ABORTS_WITH = ()

OPSET = 18
"""The newest set of operations that tf2onnx writes."""

LAYERS = ("Conv", "MatMul", "Gemm")
INT8_LAYERS = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


def blocker(placement: Placement) -> str | None:
    """Why this process can't honor the placement any more, or `None`; threads are per model."""
    prefixes = ("ORT_",) if NAME in sys.modules else ()
    read = environment.read_once(placement.env, os.environ, prefixes)
    return f"this process has read {', '.join(read)} already" if read else None


def import_runtime() -> None:
    """Load ONNX Runtime."""
    own_files.require(NAME, PACKAGES)
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # errors; it prints warnings about any model


def set_threads(placement: Placement) -> dict[str, int]:
    """The threads that `compile` gives the model."""
    return own_files.thread_counts(placement)


def load(path: str, *, allow_unsafe_ops: bool) -> Model:
    """The model in an .onnx file. ONNX has no operations that read or write files."""
    import onnx

    with own_files.failures(f"{path}: can't be read as ONNX"):
        graph = onnx.load(path, load_external_data=False).graph
    weights = {each.name for each in graph.initializer}
    dequantized = {
        name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    return Model(
        path=path,
        inputs={each.name: _spec(each) for each in graph.input if each.name not in weights},
        outputs=tuple(each.name for each in graph.output),
        int8_layers=sum(
            node.op_type in INT8_LAYERS
            or (node.op_type in LAYERS and dequantized.issuperset(node.input[:2]))
            for node in graph.node
        ),
    )


def _spec(value: Any) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(input_dtype=dtype, input_shape=shape)


def compile(
    model: Model,
    *,
    input: str,
    outputs: Sequence[str],
    placement: Placement,
    precision: str,
    optimize: bool,
    timed: Timed,
) -> Compiled:
    """A session's step."""
    import onnxruntime as ort

    if precision == "int8" and not model.int8_layers:
        raise RequestError(
            f'precision="int8": {model.path} has no int8 layers; give the frozen float32 graph, '
            "which is quantized here, or an .onnx file that is quantized"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = placement.intra_threads
    options.inter_op_num_threads = 1
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    with timed("session"), own_files.failures(f"{model.path}: ONNX Runtime can't run it"):
        session = ort.InferenceSession(model.path, options, providers=["CPUExecutionProvider"])
    names = list(outputs)

    def run(batch: Array) -> list[Array]:
        found: list[Array] = session.run(names, {input: batch})
        return found

    return own_files.compiled(
        model,
        own_files.Step(model.input_spec(input), run, "ONNX Runtime"),
        {"int8_layers": model.int8_layers},
        own_files.thread_notes(placement, "ONNX Runtime"),
    )


def convert(
    graph_def: Any,
    out: Path,
    *,
    input: str,
    outputs: Sequence[str],
    calibration: Sequence[Array] | None,
) -> None:
    """Write a frozen graph as an .onnx file, quantized if there are inputs to calibrate with."""
    import tf2onnx

    with (
        tempfile.TemporaryDirectory(dir=out.parent) as folder,
        own_files.failures("the graph can't be converted to ONNX"),
    ):
        float32 = out if calibration is None else Path(folder, "float32.onnx")
        tf2onnx.convert.from_graph_def(
            graph_def,
            input_names=[input],
            output_names=list(outputs),
            opset=OPSET,
            output_path=str(float32),
        )
        if calibration is not None:
            _quantize(float32, out, input, calibration)


def _quantize(float32: Path, out: Path, input: str, calibration: Sequence[Array]) -> None:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.left = iter(calibration)

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self.left, None)
            return None if batch is None else {input: batch}

    prepared = float32.with_name("prepared.onnx")
    quant_pre_process(str(float32), str(prepared), skip_symbolic_shape=True)
    nodes = onnx.load(prepared, load_external_data=False).graph.node
    # A detector also decodes boxes, and numbers classes, with additions.
    adds = () if any(node.op_type == "NonMaxSuppression" for node in nodes) else ("Add",)
    quantization.quantize_static(
        str(prepared),
        str(out),
        Reader(),
        op_types_to_quantize=[*LAYERS, *adds, "MaxPool", "AveragePool", "GlobalAveragePool"],
        per_channel=True,
        reduce_range=processor.saturates_int8(processor.flags()),
    )


def facts() -> dict[str, Any]:
    """The version of the ONNX Runtime that is loaded."""
    import onnxruntime

    return {"name": NAME, "version": onnxruntime.__version__}
