"""Translate the original pipeline's parameters into a call of `benchmark` or `accuracy`.

Notes say where a meaning changed. Nothing is run, fetched or passed to a shell here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy import model_args
from modelzoo_runner.legacy.parameters import Parameters
from modelzoo_runner.values import presets, validate
from modelzoo_runner.values.options import Kind
from modelzoo_runner.values.preset import Preset

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
    """

    verb: Kind
    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        given = [f"{name}={_literal(value)}" for name, value in self.arguments.items()]
        return f"{self.verb}({', '.join([_literal(self.model), *given])})"


def translate(given: Parameters) -> Call:
    """The call of `benchmark` or `accuracy` that the parameters ask for.

    Raises:
        RequestError: naming the parameter, its value and what is allowed.

    >>> print(translate(Parameters(model_name="resnet50", precision="fp32", batch_size="1")))
    benchmark("resnet50", precision="fp32", goal="latency", batch_size=1, socket_id=0)
    """
    validate.word("mode", given.mode, ("inference",))
    precision = validate.word("precision", given.precision, PRECISIONS)
    verb = validate.word("benchmark_or_accuracy", given.benchmark_or_accuracy, get_args(Kind))
    is_benchmark = verb == "benchmark"
    model = str(given.model_name)
    preset = _preset(model)
    extra, extra_notes = model_args.translate(
        model_args.parse(given.extra_model_args),
        model=model,
        precision=precision,
        preset=preset,
        benchmark=is_benchmark,
    )
    location = _location(given.data_location)
    batch, batch_notes = _batch_size(given.batch_size, model, preset)
    image, image_notes = _image(given.docker_image)
    arguments = {
        "precision": precision,
        "goal": "latency" if is_benchmark and batch == 1 else None,
        "data_location": location,
        "batch_size": batch,
        "socket_id": validate.count_or_unset(
            "socket_id", given.socket_id, 0, unset="the whole machine"
        ),
        "docker_image": image,
        **extra,
    }
    return Call(
        verb=cast(Kind, verb),
        model=model,
        arguments={name: value for name, value in arguments.items() if value is not None},
        verbose=validate.word("verbose", given.verbose, ("true", "false")) == "true",
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
) -> tuple[int | None, list[str]]:
    batch = validate.count_or_unset("batch_size", value, 1, unset="the model's own")
    if preset is None or preset.task != "detection" or batch in (None, 1):
        return batch, []
    if model_name == "ssd-mobilenet":
        return 1, [
            f"batch_size={batch}: up to release 1.5.0, the original ran ssd-mobilenet with one "
            "image at a time whatever it was given, and so does this call. Later ones ran batches."
        ]
    raise RequestError(
        f"batch_size={value!r}: {model_name} takes one image at a time: 1, or -1 for the model's "
        "own"
    )


def _image(value: str | None) -> tuple[str | None, list[str]]:
    image = validate.image_name(value or None)
    if image is None:
        return None, []
    repository = re.split("[:@]", image.rsplit("/", 1)[-1])[0]
    if _ORIGINAL_IMAGES.fullmatch(repository):
        return None, [
            f"docker_image={image}: holds what the original's scripts needed and not this library, "
            "so the run doesn't happen in it."
        ]
    return image, []


_ORIGINAL_IMAGES = re.compile(
    r"intel-tf-(image-recognition|object-detection)|intel-optimized-tensorflow|tf-cpu[0-9.-]*"
)


def _data_notes(
    model_name: str, preset: Preset | None, is_benchmark: bool, location: str | None
) -> list[str]:
    is_detector = preset is not None and preset.task == "detection"
    if is_benchmark and location is None:
        fed = "needed images" if is_detector else _DUMMY.get(model_name)
        return [
            "data_location is empty: the input is synthetic, made from a seed, and within the "
            "model's real range" + (f"; the original {fed}." if fed else ".")
        ]
    if is_benchmark:
        ignored = model_name in ("inceptionv4", "inception_resnet_v2")
        return [
            "data_location: step times are of inference alone, the wait for data is told apart"
            + (f"; the original's benchmark of {model_name} ignored its data." if ignored else ".")
        ]
    if is_detector:
        return [
            "COCO scores are by the official rules (areas in pixels, crowds, every image); the "
            "original's were not, and legacy_scores has them as it counted."
        ]
    return []


_DUMMY = {
    "resnet50": "drew 0..255 anew for each step",
    "resnet101": "fed 0..255, from which the mean was not taken",
    "inceptionv3": "fed 0..255 where the model takes -1..1",
    "inceptionv4": "fed one batch of deviation 10 where the model takes -1..1",
    "inception_resnet_v2": "fed zeros",
}


def _literal(value: Any) -> str:
    is_text = isinstance(value, (str, dict))
    return json.dumps(value, ensure_ascii=False) if is_text else repr(value)
