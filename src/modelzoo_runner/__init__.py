"""Benchmark and score frozen TensorFlow models on CPUs: numbers that can be trusted and explained.

>>> from modelzoo_runner import benchmark
>>> print(benchmark("resnet50", weights="random"))  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from modelzoo_runner._version import __version__
from modelzoo_runner.api import accuracy, benchmark, models
from modelzoo_runner.errors import (
    BindingError,
    ContainerError,
    DataError,
    DataRequired,
    FetchError,
    GraphError,
    HashMismatch,
    Interrupted,
    MissingDependency,
    PresetError,
    RequestError,
    ResultError,
    RunnerError,
    UnknownModel,
    UnsafeArchive,
    WorkerError,
)
from modelzoo_runner.places import machine
from modelzoo_runner.plan import Plan
from modelzoo_runner.preset import Preset

# Now and not when they are asked for: each is in a module of its own name, which would be found
# in the function's place once something else has loaded it.
from modelzoo_runner.recommended import BestKnown, best_known
from modelzoo_runner.results.compare import Comparison, compare
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, load
from modelzoo_runner.results.sweep import Failure, SweepResult
from modelzoo_runner.sweep import sweep

if TYPE_CHECKING:
    from modelzoo_runner.calibration import calibration_batches
    from modelzoo_runner.data.coco_convert import convert_coco
    from modelzoo_runner.data.convert import convert_imagenet
    from modelzoo_runner.detection import score_detections
    from modelzoo_runner.graphs.inspect import inspect_graph
    from modelzoo_runner.graphs.quantize import quantize
    from modelzoo_runner.launch_command import from_launch_command
    from modelzoo_runner.original import run
    from modelzoo_runner.readiness import Int8Report, int8_report
    from modelzoo_runner.results.draw import draw_detections

# Loaded when they are first asked for, so that importing the library stays quick.
_LATER = {
    "Int8Report": "readiness",
    "calibration_batches": "calibration",
    "convert_coco": "data.coco_convert",
    "convert_imagenet": "data.convert",
    "draw_detections": "results.draw",
    "from_launch_command": "launch_command",
    "inspect_graph": "graphs.inspect",
    "int8_report": "readiness",
    "quantize": "graphs.quantize",
    "run": "original",
    "score_detections": "detection",
}

__all__ = [
    "AccuracyResult",
    "BenchmarkResult",
    "BestKnown",
    "BindingError",
    "Comparison",
    "ContainerError",
    "DataError",
    "DataRequired",
    "Failure",
    "FetchError",
    "GraphError",
    "HashMismatch",
    "Int8Report",
    "Interrupted",
    "MissingDependency",
    "Plan",
    "Preset",
    "PresetError",
    "RequestError",
    "ResultError",
    "RunnerError",
    "SweepResult",
    "UnknownModel",
    "UnsafeArchive",
    "WorkerError",
    "__version__",
    "accuracy",
    "benchmark",
    "best_known",
    "calibration_batches",
    "compare",
    "convert_coco",
    "convert_imagenet",
    "draw_detections",
    "from_launch_command",
    "inspect_graph",
    "int8_report",
    "load",
    "machine",
    "models",
    "quantize",
    "run",
    "score_detections",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
