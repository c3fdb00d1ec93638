"""Benchmark and score frozen TensorFlow models on CPUs: numbers that can be trusted and explained.

>>> from modelzoo_runner import benchmark
>>> print(benchmark("resnet50", weights="random"))  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from modelzoo_runner._version import __version__

if TYPE_CHECKING:
    from modelzoo_runner.api.ab import ab_test
    from modelzoo_runner.api.calibration import calibration_batches
    from modelzoo_runner.api.convert import convert_coco, convert_imagenet
    from modelzoo_runner.api.detections import score_detections
    from modelzoo_runner.api.doctor import doctor
    from modelzoo_runner.api.history import History
    from modelzoo_runner.api.int8_report import Int8Report, int8_report
    from modelzoo_runner.api.max_rate import max_rate
    from modelzoo_runner.api.paired import PairedComparison, compare_predictions
    from modelzoo_runner.api.quantize import quantize
    from modelzoo_runner.api.report import report
    from modelzoo_runner.api.runtimes import runtimes
    from modelzoo_runner.api.sweep import sweep
    from modelzoo_runner.api.tune import tune
    from modelzoo_runner.api.verbs import accuracy, benchmark, machine, models
    from modelzoo_runner.backends.tensorflow.inspect import inspect_graph
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
    from modelzoo_runner.execution.opening import release
    from modelzoo_runner.legacy.launch_command import from_launch_command
    from modelzoo_runner.legacy.pipeline import run
    from modelzoo_runner.planning.recommended import BestKnown, best_known
    from modelzoo_runner.results.ab import ABResult
    from modelzoo_runner.results.compare import compare
    from modelzoo_runner.results.comparison import Comparison, SweepComparison
    from modelzoo_runner.results.diagnosis import Diagnosis
    from modelzoo_runner.results.draw import draw_detections
    from modelzoo_runner.results.load import load
    from modelzoo_runner.results.max_rate import MaxRateResult
    from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult
    from modelzoo_runner.results.runtimes import RuntimesResult
    from modelzoo_runner.results.sweep import Failure, SweepResult
    from modelzoo_runner.results.tune import TuneResult
    from modelzoo_runner.values.plan import Plan
    from modelzoo_runner.values.preset import Preset

_MODULES = {
    "ABResult": "results.ab",
    "AccuracyResult": "results.result",
    "BenchmarkResult": "results.result",
    "BestKnown": "planning.recommended",
    "BindingError": "errors",
    "Comparison": "results.comparison",
    "ContainerError": "errors",
    "DataError": "errors",
    "DataRequired": "errors",
    "Diagnosis": "results.diagnosis",
    "Failure": "results.sweep",
    "FetchError": "errors",
    "GraphError": "errors",
    "HashMismatch": "errors",
    "History": "api.history",
    "Int8Report": "api.int8_report",
    "Interrupted": "errors",
    "MaxRateResult": "results.max_rate",
    "MissingDependency": "errors",
    "PairedComparison": "api.paired",
    "Plan": "values.plan",
    "Preset": "values.preset",
    "PresetError": "errors",
    "RequestError": "errors",
    "ResultError": "errors",
    "RunnerError": "errors",
    "RuntimesResult": "results.runtimes",
    "SweepComparison": "results.comparison",
    "SweepResult": "results.sweep",
    "TuneResult": "results.tune",
    "UnknownModel": "errors",
    "UnsafeArchive": "errors",
    "WorkerError": "errors",
    "ab_test": "api.ab",
    "accuracy": "api.verbs",
    "benchmark": "api.verbs",
    "best_known": "planning.recommended",
    "calibration_batches": "api.calibration",
    "compare": "results.compare",
    "compare_predictions": "api.paired",
    "convert_coco": "api.convert",
    "convert_imagenet": "api.convert",
    "doctor": "api.doctor",
    "draw_detections": "results.draw",
    "from_launch_command": "legacy.launch_command",
    "inspect_graph": "backends.tensorflow.inspect",
    "int8_report": "api.int8_report",
    "load": "results.load",
    "machine": "api.verbs",
    "max_rate": "api.max_rate",
    "models": "api.verbs",
    "quantize": "api.quantize",
    "release": "execution.opening",
    "report": "api.report",
    "run": "legacy.pipeline",
    "runtimes": "api.runtimes",
    "score_detections": "api.detections",
    "sweep": "api.sweep",
    "tune": "api.tune",
}
"""Public name -> module, which is loaded when the name is first asked for."""

# `machine` is a function and also a package. Once the package has been imported, importing a module
# of it doesn't bind that name here again.
importlib.import_module(f"{__name__}.machine")
del globals()["machine"]

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
    "Diagnosis",
    "Failure",
    "FetchError",
    "GraphError",
    "HashMismatch",
    "History",
    "Int8Report",
    "Interrupted",
    "MaxRateResult",
    "MissingDependency",
    "PairedComparison",
    "Plan",
    "Preset",
    "PresetError",
    "RequestError",
    "ResultError",
    "RunnerError",
    "RuntimesResult",
    "SweepComparison",
    "SweepResult",
    "TuneResult",
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
    "compare_predictions",
    "convert_coco",
    "convert_imagenet",
    "doctor",
    "draw_detections",
    "from_launch_command",
    "inspect_graph",
    "int8_report",
    "load",
    "machine",
    "max_rate",
    "models",
    "quantize",
    "release",
    "report",
    "run",
    "runtimes",
    "score_detections",
    "sweep",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
