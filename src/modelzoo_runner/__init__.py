"""Benchmark and score frozen TensorFlow models on CPUs: numbers that can be trusted and explained.

>>> from modelzoo_runner import benchmark
>>> print(benchmark("resnet50", weights="random"))  # doctest: +SKIP
"""

from modelzoo_runner._version import __version__
from modelzoo_runner.api import accuracy, benchmark, models
from modelzoo_runner.errors import (
    BindingError,
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
from modelzoo_runner.plan import Plan
from modelzoo_runner.preset import Preset
from modelzoo_runner.results.compare import Comparison, compare
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, load

__all__ = [
    "AccuracyResult",
    "BenchmarkResult",
    "BindingError",
    "Comparison",
    "DataError",
    "DataRequired",
    "FetchError",
    "GraphError",
    "HashMismatch",
    "Interrupted",
    "MissingDependency",
    "Plan",
    "Preset",
    "PresetError",
    "RequestError",
    "ResultError",
    "RunnerError",
    "UnknownModel",
    "UnsafeArchive",
    "WorkerError",
    "__version__",
    "accuracy",
    "benchmark",
    "compare",
    "load",
    "models",
]
