"""The original pipeline's parameters, in today's words.

`translate` turns them, also as the strings that a pipeline passes, into a call of `benchmark` or
`accuracy`, and says where a meaning changed. Pure: nothing is run, fetched or passed through a
shell here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy import model_args
from modelzoo_runner.values import preset as presets
from modelzoo_runner.values import validate
from modelzoo_runner.values.options import Kind
from modelzoo_runner.values.preset import Preset

PRECISIONS = ("fp32", "int8", "bfloat16")
"""The choices the original had. Which of them a model has is the model's affair."""

PARAMETERS = (
    *("data_location", "model_name", "precision", "mode", "batch_size", "socket_id", "verbose"),
    *("benchmark_or_accuracy", "extra_model_args", "docker_image"),
)
"""The original's ten, in its order."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of `benchmark` or `accuracy`: `str()` gives it as a line of Python.

    `arguments` are its keyword arguments; what isn't in there is left to be decided. `notes` say in
    words where something means another thing than it did in the original.
    """

    verb: Kind
    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        given = [f"{name}={_literal(value)}" for name, value in self.arguments.items()]
        return f"{self.verb}({', '.join([_literal(self.model), *given])})"


def translate(
    *,
    data_location: str | Path | None = "",
    model_name: str | Path = "resnet50",
    precision: str = "int8",
    mode: str = "inference",
    batch_size: str | int | None = "-1",
    socket_id: str | int | None = "0",
    verbose: str | bool = "true",
    benchmark_or_accuracy: str = "benchmark",
    extra_model_args: str | Mapping[str, Any] = "",
    docker_image: str | None = "",
) -> Call:
    """The call that the original pipeline's parameters ask for.

    The defaults are the original's, except that the batch size is the model's own (which is the
    original's 128 for its default model) and that no container is used.

    Args:
        data_location: a path or a `gs://` address; empty for synthetic input.
        model_name: a model's name, or the path of a graph (`.pb`) or of a preset (`.toml`).
        precision: `fp32`, `int8` or `bfloat16`.
        mode: `inference`, the only one there is.
        batch_size: examples in a step; -1 or empty for the model's own.
        socket_id: the socket to use; -1 or empty for the whole machine.
        verbose: `true` or `false`.
        benchmark_or_accuracy: `benchmark` or `accuracy`.
        extra_model_args: pairs such as `steps=100 warmup_steps=50`, quoted as in a shell, or the
            same as a mapping.
        docker_image: the image of a container to run in; empty for none.

    Raises:
        RequestError: naming the parameter, its value and what is allowed.

    >>> print(translate(model_name="resnet50", precision="fp32", batch_size="1"))
    benchmark("resnet50", precision="fp32", goal="latency", batch_size=1, socket_id=0)
    """
    validate.word("mode", mode, ("inference",))
    precision = validate.word("precision", precision, PRECISIONS)
    verb = validate.word("benchmark_or_accuracy", benchmark_or_accuracy, ("benchmark", "accuracy"))
    is_benchmark = verb == "benchmark"
    model_name = str(model_name)
    preset = _preset(model_name)
    extra, extra_notes = model_args.translate(
        model_args.parse(extra_model_args),
        model=model_name,
        precision=precision,
        preset=preset,
        benchmark=is_benchmark,
    )
    location = _location(data_location)
    batch, batch_notes = _batch_size(batch_size, model_name, preset)
    image, image_notes = _image(docker_image)
    arguments = {
        "precision": precision,
        "goal": "latency" if is_benchmark and batch == 1 else None,
        "data_location": location,
        "batch_size": batch,
        "socket_id": validate.count_or_unset("socket_id", socket_id, 0, unset="the whole machine"),
        "docker_image": image,
        **extra,
    }
    return Call(
        verb="benchmark" if is_benchmark else "accuracy",
        model=model_name,
        arguments={name: value for name, value in arguments.items() if value is not None},
        verbose=validate.word("verbose", verbose, ("true", "false")) == "true",
        notes=(
            *_data_notes(model_name, preset, is_benchmark, location),
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
            f"batch_size={batch}: the original ran ssd-mobilenet with one image at a time whatever "
            "it was given, and so does this call."
        ]
    raise RequestError(
        f"batch_size={value!r}: {model_name} takes one image at a time: 1, or -1 for the model's "
        "own"
    )


def _image(value: str | None) -> tuple[str | None, list[str]]:
    image = validate.image_name(value)
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
