"""OpenVINO as a runtime, on its CPU plugin: see `base.Backend` and `base.Converter`.

It reads a frozen graph itself; int8 is NNCF's post-training quantization.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
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

NAME = "openvino"
SUFFIXES = (".xml",)
READS = (".xml", ".onnx")
CONVERTED = ".xml"
PACKAGES = ("openvino",)
CONVERTERS: Mapping[str, tuple[str, ...]] = {"fp32": (), "bfloat16": (), "int8": ("nncf",)}
ABORTS_WITH = ("tcmalloc",)

HINTS = {"fp32": "f32", "int8": "f32", "bfloat16": "bf16"}
"""Without a hint OpenVINO computes float32 models in bfloat16 where the processor has it."""

LAYERS = ("Convolution", "FullyConnected", "MatMul", "Deconvolution")

_cpus: frozenset[int] | None = None
"""The CPUs of this process when the plugin was first used: it counts them once."""


def blocker(placement: Placement) -> str | None:
    """Why this process can't honor the placement any more, or `None`; threads are per model."""
    prefixes = ("OV_", "OPENVINO_", "TBB_") if NAME in sys.modules else ()
    read = environment.read_once(placement.env, os.environ, prefixes)
    if read:
        return f"this process has read {', '.join(read)} already"
    if _cpus is not None and _cpus != frozenset(placement.cpus or os.sched_getaffinity(0)):
        return "OpenVINO was used here with other CPUs, and counts them once"
    return None


def import_runtime() -> None:
    """Load OpenVINO."""
    own_files.require(NAME, PACKAGES)
    import openvino  # noqa: F401


def set_threads(placement: Placement) -> dict[str, int]:
    """The threads that `compile` gives the model."""
    return own_files.thread_counts(placement)


def load(path: str, *, allow_unsafe_ops: bool) -> Model:
    """The model in an OpenVINO IR or an .onnx file; neither has operations that use files."""
    import openvino as ov

    with own_files.failures(f"{path}: OpenVINO can't read it"):
        native = ov.Core().read_model(path)
    return Model(
        path=path,
        inputs={each.get_any_name(): _spec(each) for each in native.inputs},
        # A tensor can have several names, and any of them may be asked for.
        outputs=tuple(name for each in native.outputs for name in sorted(each.get_names())),
        int8_layers=sum(op.get_type_name() == "FakeQuantize" for op in native.get_ops()),
        native=native,
    )


def _spec(port: Any) -> TensorSpec:
    shape = port.partial_shape
    return TensorSpec(
        input_dtype=port.element_type.to_dtype().name,
        input_shape=None
        if shape.rank.is_dynamic
        else tuple(None if size.is_dynamic else size.get_length() for size in shape),
    )


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
    """A compiled model's step; one stream, which is bound as the process is."""
    import openvino as ov

    global _cpus
    core = ov.Core()
    if precision == "bfloat16" and "BF16" not in core.get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        raise RequestError(
            'precision="bfloat16": OpenVINO has no bfloat16 kernels for this processor; use "fp32"'
        )
    threads = placement.intra_threads
    asked = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": HINTS[precision],
    }
    with timed("session"), own_files.failures(f"{model.path}: OpenVINO can't run it"):
        native = core.compile_model(model.native, "CPU", asked)
    _cpus = _cpus or frozenset(os.sched_getaffinity(0))
    layers = _precisions(native)
    int8_layers = layers["i8"] + layers["u8"]
    if precision == "int8" and not int8_layers:
        raise RequestError(
            f'precision="int8": {model.path} has no int8 layers; give the frozen float32 graph, '
            "which is quantized here, or a model that is quantized"
        )
    request = native.create_infer_request()
    ports = [native.output(name) for name in outputs]

    def run(batch: Array) -> list[Array]:
        # The input isn't copied; the outputs are, because the next batch overwrites them.
        found = request.infer({input: batch}, share_inputs=True)
        return [found[port] for port in ports]

    notes = own_files.thread_notes(placement, "OpenVINO")
    found = native.get_property("INFERENCE_NUM_THREADS")
    if found != threads:
        notes.append(f"num_intra_threads={threads}: OpenVINO runs the model with {found} threads")
    if not optimize:
        notes.append("optimize=False: has no effect, OpenVINO optimizes every model")
    card = {"int8_layers": int8_layers}
    if precision == "bfloat16":
        card |= {"bfloat16_layers": layers["bf16"], "layers": layers.total()}
    step = own_files.Step(model.input_spec(input), run, "OpenVINO")
    return own_files.compiled(model, step, card, notes)


def _precisions(native: Any) -> Counter[str]:
    """How many layers the plugin computes in which precision, as it says of the compiled model."""
    infos = [each.get_rt_info() for each in native.get_runtime_model().get_ops()]
    return Counter(
        str(info["runtimePrecision"].astype(str))
        for info in infos
        if str(info["layerType"].astype(str)) in LAYERS
    )


def convert(
    graph_def: Any,
    out: Path,
    *,
    input: str,
    outputs: Sequence[str],
    calibration: Sequence[Array] | None,
) -> None:
    """Write a frozen graph as OpenVINO IR, quantized if there are inputs to calibrate with."""
    import openvino as ov

    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        frozen = Path(folder, "frozen.pb")
        frozen.write_bytes(graph_def.SerializeToString(deterministic=True))
        with own_files.failures(
            "the graph can't be converted for OpenVINO; another runtime= may run it"
        ):
            model = ov.convert_model(frozen, input=[input], output=list(outputs))
            if calibration is not None:
                import nncf

                saturates = processor.saturates_int8(processor.flags())
                fix = nncf.OverflowFix.ENABLE if saturates else nncf.OverflowFix.FIRST_LAYER
                model = nncf.quantize(
                    model,
                    nncf.Dataset(list(calibration)),
                    subset_size=len(calibration),
                    advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
                )
            for name, port in zip(outputs, model.outputs, strict=True):
                port.get_tensor().add_names({name})
            ov.save_model(model, out, compress_to_fp16=False)


def facts() -> dict[str, Any]:
    """The version of the OpenVINO that is loaded."""
    import openvino

    return {"name": NAME, "version": openvino.__version__}
