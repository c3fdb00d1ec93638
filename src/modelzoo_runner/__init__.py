"""Benchmark and score frozen TensorFlow models on CPUs: numbers that can be trusted and explained.

>>> from modelzoo_runner import benchmark
>>> print(benchmark("resnet50", weights="random"))  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from modelzoo_runner._version import __version__
from modelzoo_runner.api.sweep import sweep
from modelzoo_runner.api.verbs import accuracy, benchmark, machine, models
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

# Now and not when they are asked for: each is in a module of its own name, which would be found
# in the function's place once something else has loaded it.
from modelzoo_runner.planning.recommended import BestKnown, best_known
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.compare import compare
from modelzoo_runner.results.comparison import Comparison, SweepComparison
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, load
from modelzoo_runner.results.sweep import Failure, SweepResult
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset

if TYPE_CHECKING:
    from modelzoo_runner.api.ab import ab_test
    from modelzoo_runner.api.calibration import calibration_batches
    from modelzoo_runner.api.detections import score_detections
    from modelzoo_runner.api.history import History
    from modelzoo_runner.api.int8_report import Int8Report, int8_report
    from modelzoo_runner.backends.tensorflow.inspect import inspect_graph
    from modelzoo_runner.data.coco_convert import convert_coco
    from modelzoo_runner.data.convert import convert_imagenet
    from modelzoo_runner.int8.quantize import quantize
    from modelzoo_runner.legacy.launch_command import from_launch_command
    from modelzoo_runner.legacy.run import run
    from modelzoo_runner.results.draw import draw_detections

# Loaded when they are first asked for, so that importing the library stays quick.
_LATER = {
    "History": "api.history",
    "Int8Report": "api.int8_report",
    "ab_test": "api.ab",
    "calibration_batches": "api.calibration",
    "convert_coco": "data.coco_convert",
    "convert_imagenet": "data.convert",
    "draw_detections": "results.draw",
    "from_launch_command": "legacy.launch_command",
    "inspect_graph": "backends.tensorflow.inspect",
    "int8_report": "api.int8_report",
    "quantize": "int8.quantize",
    "run": "legacy.run",
    "score_detections": "api.detections",
}

__all__ = [
    "ABResult",
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
    "History",
    "Int8Report",
    "Interrupted",
    "MissingDependency",
    "Plan",
    "Preset",
    "PresetError",
    "RequestError",
    "ResultError",
    "RunnerError",
    "SweepComparison",
    "SweepResult",
    "UnknownModel",
    "UnsafeArchive",
    "WorkerError",
    "__version__",
    "ab_test",
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
