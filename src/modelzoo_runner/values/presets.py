"""Read preset files, and find those that come with the library."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from modelzoo_runner.errors import PresetError, UnknownModel, did_you_mean
from modelzoo_runner.values import codec
from modelzoo_runner.values.preset import ROLES, Preprocess, Preset


def folder() -> Path:
    """The folder of the presets that come with the library."""
    inside_wheel = Path(__file__).parents[1] / "presets"
    return inside_wheel if inside_wheel.is_dir() else Path(__file__).parents[3] / "presets"


def names() -> tuple[str, ...]:
    """The names of the models that come with the library, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


_SUFFIXES = (
    ".pb",
    ".pbtxt",
    ".toml",
    ".keras",
    ".h5",
    ".hdf5",
    ".tflite",
    ".onnx",
    ".meta",
    ".index",
)


def is_path(model: str | os.PathLike[str]) -> bool:
    """Whether `model` names a file or folder, and not one of the library's models.

    >>> is_path("resnet50"), is_path("resnet50.pb"), is_path("models/resnet50")
    (False, True, True)
    """
    path = Path(model)
    if path.suffix in _SUFFIXES or os.sep in str(model):
        return True
    # A file of another runtime, or a SavedModel.
    parts = ("saved_model.pb", "saved_model.pbtxt")
    return bool(path.suffix and path.is_file()) or any((path / name).is_file() for name in parts)


def find(name: str, *, argument: str = "model") -> Preset:
    """The preset of that name, which the caller took as the value of `argument`.

    Raises:
        UnknownModel: with the near names.
    """
    if name not in names():
        raise UnknownModel(
            f"{argument}={name!r}: neither the name of a model nor a path to one (.pb, .keras, "
            ".h5, a SavedModel's folder) or to a preset (.toml). "
            + did_you_mean(name, names(), otherwise="Models")
        )
    return read(folder() / f"{name}.toml")


def read(path: Path | str) -> Preset:
    """The preset that a TOML file describes; its name is the file's.

    Raises:
        PresetError: naming file, table, key and the nearest valid key.
    """
    import tomllib

    path = Path(path)
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PresetError(f"{path}: can't be read as TOML: {error}") from None
    try:
        found = codec.from_dict({"name": path.stem, **record}, Preset)
    except codec.CodecError as error:
        raise PresetError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None
    problems = tuple(_contradictions(found))
    if problems:
        raise PresetError("\n".join(f"{path}: {problem}" for problem in problems))
    return found


def every() -> Iterator[Preset]:
    """The presets that come with the library, by name."""
    return (read(folder() / f"{name}.toml") for name in names())


def _contradictions(preset: Preset) -> Iterator[str]:
    """What the types can't say."""
    if preset.task not in ROLES:
        yield f"task: {preset.task!r} should be one of {', '.join(ROLES)}"
        return
    roles = ROLES[preset.task]
    if not preset.graph:
        yield "table [graph]: needs at least one precision, as in [graph.fp32]"
    for precision, graph in preset.graph.items():
        missing = [role for role in roles if role not in graph.outputs]
        if missing:
            yield (
                f"graph.{precision}.outputs: a {preset.task} model needs the roles "
                f"{', '.join(roles)}; missing: {', '.join(missing)}"
            )
        if graph.preprocess_graph is not None and preset.task != "detection":
            yield (
                f"table [graph.{precision}.preprocess_graph]: only for detectors; how a "
                "classifier's images are prepared is said in [preprocess]"
            )
    for table in ("run", "threads", "env"):
        for precision in getattr(preset, table):
            if precision not in preset.graph:
                yield f"table [{table}.{precision}]: there is no [graph.{precision}]"
    for precision, runs in preset.run.items():
        for goal, run in runs.items():
            where = f"run.{precision}.{goal}"
            if goal not in ("throughput", "latency", "accuracy"):
                yield f"table [{where}]: a goal is throughput, latency or accuracy"
            for number in dataclasses.fields(run):
                value = getattr(run, number.name)
                least = 0 if number.name == "warmup_steps" else 1
                if value is not None and value < least:
                    yield f"{where}.{number.name}: {value} should be at least {least}"
    if preset.task == "classification" and preset.preprocess is None:
        yield "table [preprocess]: a classification model needs it"
    if preset.preprocess is not None:
        yield from _preprocess_contradictions(preset.preprocess)


def _preprocess_contradictions(preprocess: Preprocess) -> Iterator[str]:
    needed = {"shorter_side": "resize_to", "central_fraction": "central_fraction"}
    key = needed[preprocess.resize]
    if getattr(preprocess, key) is None:
        yield f'preprocess.{key}: the key is missing; resize = "{preprocess.resize}" needs it'
    if min(preprocess.size) < 1:
        yield f"preprocess.size: {list(preprocess.size)} should be two positive numbers"
    if preprocess.central_fraction is not None and not 0 < preprocess.central_fraction <= 1:
        yield f"preprocess.central_fraction: {preprocess.central_fraction} should be in (0, 1]"
