"""The original pipeline's ten parameters: `run`, and `translate`, into today's call.

Notes say where a meaning changed. `translate` runs and fetches nothing.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from modelzoo_runner.api import verbs
from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy import model_args, originals
from modelzoo_runner.legacy.model_args import Note
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult
from modelzoo_runner.values import bars, lines, presets, validate
from modelzoo_runner.values.options import Kind
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Told

logger = logging.getLogger("modelzoo_runner")

PRECISIONS = ("fp32", "int8", "bfloat16")
"""The original's choices. Which of them a model has, its preset says."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of `benchmark` or `accuracy`; `str()` of it is a line of Python.

    Attributes:
        verb: the function to call.
        model: its first argument.
        arguments: its keyword arguments; what isn't in there has the function's default.
        verbose: whether progress should be logged.
        notes: where something means another thing than it did in the original.
        line: where the command begins in the text or file that it was read from.
    """

    verb: Kind
    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False
    notes: tuple[Note, ...] = ()
    line: int = 1

    def __str__(self) -> str:
        return lines.python(self.verb, self.model, self.arguments)

    def shell(self) -> str:
        """The same call as a line for a shell."""
        return lines.shell(self.verb, self.model, self.arguments)

    def run(self, progress: Told = None) -> BenchmarkResult | AccuracyResult:
        """Do it; the notes are the first warnings of the result.

        Raises:
            RunnerError: as `benchmark` and `accuracy` do.
        """
        verb = verbs.benchmark if self.verb == "benchmark" else verbs.accuracy
        if progress is None and self.verbose and not bars.is_watched():
            progress = _log
        found: BenchmarkResult | AccuracyResult = verb(
            self.model, **self.arguments, progress=progress
        )
        return dataclasses.replace(found, warnings=(*map(str, self.notes), *found.warnings))


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
    return translate(**locals()).run()


DEFAULTS: Mapping[str, Any] = {
    name: each.default for name, each in inspect.signature(run).parameters.items()
}
"""The ten parameters in the original's order. Their defaults are the original's, except that the
batch size is the model's own (the original's 128 for its default model) and that no container is
used.
"""


def _log(what: str, done: int, total: int | None) -> None:
    logger.info("%s: %d of %s", what, done, "?" if total is None else total)


def translate(**given: Any) -> Call:
    """The call of `benchmark` or `accuracy` that the parameters of `run` ask for.

    Where they leave something open, the model's preset decides, and a note names what the original
    took.

    Raises:
        RequestError: naming the parameter, its value and what is allowed.

    >>> call = translate(model_name="resnet50", precision="fp32", batch_size="1")
    >>> print(call)
    benchmark("resnet50", precision="fp32", goal="latency", batch_size=1, socket_id=0)
    >>> print(call.shell())  # doctest: +NORMALIZE_WHITESPACE
    modelzoo-runner benchmark resnet50 --precision fp32 --goal latency --batch-size 1
    --socket-id 0
    """
    call = from_parameters(**given)
    notes = originals.left_to_preset(call.verb, call.model, call.arguments)
    return dataclasses.replace(call, notes=(*call.notes, *notes))


def from_parameters(**given: Any) -> Call:
    """The same without notes on what the parameters leave open."""
    given = {**DEFAULTS, **given}
    validate.word("mode", given["mode"], ("inference",))
    precision = validate.word("precision", given["precision"], PRECISIONS)
    verb = validate.word("benchmark_or_accuracy", given["benchmark_or_accuracy"], get_args(Kind))
    is_benchmark = verb == "benchmark"
    model = str(given["model_name"])
    preset = _preset(model)
    extra, extra_notes = model_args.translate(
        model_args.parse(given["extra_model_args"]),
        model=model,
        precision=precision,
        preset=preset,
        benchmark=is_benchmark,
    )
    location = _location(given["data_location"])
    batch, batch_notes = _batch_size(given["batch_size"], model, preset)
    image, image_notes = _image(given["docker_image"])
    arguments = {
        "precision": precision,
        "goal": "latency" if is_benchmark and batch == 1 else None,
        "data_location": location,
        "batch_size": batch,
        "socket_id": validate.count_or_unset(
            "socket_id", given["socket_id"], 0, unset="the whole machine"
        ),
        "docker_image": image,
        **extra,
    }
    return Call(
        verb=cast(Kind, verb),
        model=model,
        arguments={name: value for name, value in arguments.items() if value is not None},
        verbose=validate.word("verbose", given["verbose"], ("true", "false")) == "true",
        notes=(
            *_data_notes(model, preset, is_benchmark, location),
            *batch_notes,
            *extra_notes,
            *image_notes,
        ),
    )


def _preset(model_name: str) -> Preset | None:
    """The preset of that name, or `None` for a path, which isn't opened here."""
    return None if presets.is_path(model_name) else presets.find(model_name, argument="model_name")


def _location(value: str | Path | None) -> str | None:
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise RequestError(
            f"data_location={value!r}: should be a path or a gs:// address, or empty"
        )
    return str(value or "").strip() or None


def _batch_size(
    value: str | int | None, model_name: str, preset: Preset | None
) -> tuple[int | None, list[Note]]:
    batch = validate.count_or_unset("batch_size", value, 1, unset="the model's own")
    if preset is None or preset.task != "detection" or batch in (None, 1):
        return batch, []
    if model_name == "ssd-mobilenet":
        why = (
            "up to release 1.5.0, the original ran ssd-mobilenet with one image at a time whatever "
            "it was given, and so does this call; later releases ran batches"
        )
        return 1, [Note(f"batch_size={batch}", "batch_size=1", why)]
    raise RequestError(
        f"batch_size={value!r}: {model_name} takes one image at a time: 1, or -1 for the model's "
        "own"
    )


def _image(value: str | None) -> tuple[str | None, list[Note]]:
    image = validate.image_name(value or None)
    if image is None:
        return None, []
    repository = re.split("[:@]", image.rsplit("/", 1)[-1])[0]
    if _ORIGINAL_IMAGES.fullmatch(repository):
        why = "the image holds what the original's scripts needed, and not this library"
        return None, [Note(f"docker_image={image}", "not run in it", why)]
    return image, []


_ORIGINAL_IMAGES = re.compile(
    r"intel-tf-(image-recognition|object-detection)|intel-optimized-tensorflow|tf-cpu[0-9.-]*"
)


def _data_notes(
    model_name: str, preset: Preset | None, is_benchmark: bool, location: str | None
) -> list[Note]:
    is_detector = preset is not None and preset.task == "detection"
    if is_benchmark and location is None:
        fed = "needed images" if is_detector else _DUMMY.get(model_name, "had dummy data")
        return [
            Note(
                "data_location is empty",
                "synthetic input, made from a seed, within the model's real range",
                f"the original {fed}",
            )
        ]
    if is_benchmark:
        ignored = model_name in ("inceptionv4", "inception_resnet_v2")
        why = (
            f"the original's benchmark of {model_name} ignored its data"
            if ignored
            else "the original added the wait for data in some models and not in others"
        )
        now = "step times are of inference alone; the wait for data is reported beside them"
        return [Note("data_location", now, why)]
    if is_detector:
        now = "COCO's official rules: areas in pixels, crowds, every image"
        why = "the original's rules were others; legacy_scores has the scores by them"
        return [Note("COCO scores", now, why)]
    return []


_DUMMY = {
    "resnet50": "drew 0..255 anew for each step",
    "resnet101": "fed 0..255, from which the mean was not taken",
    "inceptionv3": "fed 0..255 where the model takes -1..1",
    "inceptionv4": "fed one batch of deviation 10 where the model takes -1..1",
    "inception_resnet_v2": "fed zeros",
}
