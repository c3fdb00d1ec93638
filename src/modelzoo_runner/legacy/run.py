"""Entry point compatible with the original pipeline."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from modelzoo_runner.api import verbs
from modelzoo_runner.legacy import pipeline
from modelzoo_runner.legacy.parameters import Parameters
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult

logger = logging.getLogger("modelzoo_runner")


def run(
    *,
    data_location: str | Path | None = "",
    model_name: str | Path = "resnet50",
    precision: str = "int8",
    mode: str = "inference",
    batch_size: str | int | None = "-1",
    socket_id: str | int | None = "0",
    verbose: str | bool = "true",
    benchmark_or_accuracy: str = "benchmark",
    extra_model_args: str | dict[str, Any] = "",
    docker_image: str | None = "",
) -> BenchmarkResult | AccuracyResult:
    """Benchmark or score a model by the original pipeline's parameters, each also as text.

    Where a parameter means another thing than it did there, a warning of the result says so.

    Args:
        data_location: a path or a `gs://` address; empty for synthetic input.
        model_name: a model's name, or the path of a graph (`.pb`) or of a preset (`.toml`).
        precision: `fp32`, `int8` or `bfloat16`.
        mode: `inference`, the only one there is.
        batch_size: examples in a step; -1 or empty for the model's own.
        socket_id: the socket to use; -1 or empty for the whole machine.
        verbose: `true` logs progress to the logger `modelzoo_runner` at level INFO.
        benchmark_or_accuracy: `benchmark` or `accuracy`.
        extra_model_args: pairs such as `steps=100 warmup_steps=50`.
        docker_image: run in a container of this image, which must hold this library; empty: run
            here. The original's images are no longer needed.

    Returns:
        A `BenchmarkResult`, or an `AccuracyResult` for `benchmark_or_accuracy="accuracy"`.

    Raises:
        RequestError: naming the parameter, its value and what is allowed.
        RunnerError: as `benchmark` and `accuracy` do.

    Examples:
        >>> from modelzoo_runner import run
        >>> run(model_name="resnet50", batch_size="128", socket_id="0")  # doctest: +SKIP
    """
    given = dict(locals())  # the ten parameters, before there are other local variables
    call = pipeline.translate(Parameters(**given))
    verb = verbs.benchmark if call.verb == "benchmark" else verbs.accuracy
    result: BenchmarkResult | AccuracyResult = verb(
        call.model, **call.arguments, progress=_log if call.verbose else None
    )
    return dataclasses.replace(result, warnings=(*call.notes, *result.warnings))


def _log(what: str, done: int, total: int | None) -> None:
    logger.info("%s: %d of %s", what, done, "?" if total is None else total)
