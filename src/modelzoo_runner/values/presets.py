"""Read preset files, and find those that come with the library.

A preset is data: whoever wrote it decides nothing that a caller couldn't undo, runs no code, and
names no file that the caller didn't.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelzoo_runner.errors import PresetError, UnknownModel, did_you_mean
from modelzoo_runner.values import codec, files, markup, validate
from modelzoo_runner.values.preset import ROLES, Graph, Preprocess, Preset, RemoteFile


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
    try:
        return bool(path.suffix and path.is_file()) or any(
            (path / each).is_file() for each in parts
        )
    except OSError:  # no file can have such a name
        return False


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
        record = tomllib.loads(files.read(path, most=_LARGEST).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise PresetError(f"{path}: can't be read as TOML: {error}") from None
    try:
        found = codec.from_dict({"name": path.stem, **record}, Preset)
    except codec.CodecError as error:
        raise PresetError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None
    return check(found, str(path))


_LARGEST = 1 << 20


def check(preset: Preset, where: str, *, is_whole: bool = True) -> Preset:
    """The preset, if all its values can be and, if it `is_whole`, go together.

    Raises:
        PresetError: a line for each that can't be, which begins with `where`.
    """
    problems = [*_values(preset), *(_contradictions(preset) if is_whole else ())]
    if problems:
        raise PresetError("\n".join(f"{where}: {problem}" for problem in problems))
    return preset


class Models(dict[str, Preset]):
    """Presets by name; a table in a notebook, their names elsewhere."""

    def __repr__(self) -> str:
        return f"<{len(self)} models: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        rows = (
            (
                f"{each.name}\n{each.description}",
                ", ".join(each.precisions),
                ", ".join(map(str, each.batch_sizes)),
                "\n".join(each.published(most=2)),
            )
            for each in self.values()
        )
        header = ("model", "precisions", "batches", "published scores")
        return markup.card(markup.title(f"{len(self)} models"), markup.table(header, rows))


def every() -> Iterator[Preset]:
    """The presets that come with the library, by name."""
    return (read(folder() / f"{name}.toml") for name in names())


ENV_PREFIXES = (
    "DNNL_",
    "GOMP_",
    "KMP_",
    "MALLOC_",
    "MKL_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "TCMALLOC_",
    "TF_",
)
"""What a file's variables are called: they say how libraries compute, not what is loaded."""

_NAMES_CODE_OR_FILES = re.compile("CONFIG|DIR|DUMP|FILE|FLAGS|LIBRAR|PATH|PLUGIN|PREFIX|TOOL")
"""With such a name, as OMP_TOOL_LIBRARIES or TF_PLUGGABLE_DEVICE_LIBRARY_PATH, they would."""

_LOCATION = re.compile(r"(https?|gs)://", re.IGNORECASE)
_OPEN = re.compile(r"http://(?!(localhost|127(\.\d+){3}|\[::1\])[:/])", re.IGNORECASE)
"""Without encryption, and not on this machine."""
_LONGEST_SIDE = 16_384
"""Pixels of an image's side."""


def _values(preset: Preset) -> Iterator[str]:
    """The values that can't be, each for itself."""
    words = {"name": preset.name, "topology": preset.topology}
    words |= {f"table [graph.{each!r}]": each for each in preset.graph}
    for where, word in words.items():
        if word is not None and not re.fullmatch(r"[^\W_][\w.+ ()-]{0,199}", word):
            yield f"{where}: {word!r} should be a plain name, of letters, digits, spaces and ._+-()"
    for precision, graph in preset.graph.items():
        yield from _graph_values(f"graph.{precision}", graph)
    for precision, env in preset.env.items():
        yield from variable_problems(f"env.{precision}", env)
    yield from _number("label_offset", preset.label_offset, -(10**6), 10**6)
    for precision, threads in preset.threads.items():
        where = f"threads.{precision}.inter_threads"
        yield from _number(where, threads.inter_threads, 1, validate.MOST_THREADS)
    for precision, runs in preset.run.items():
        for goal, run in runs.items():
            where = f"run.{precision}.{goal}"
            yield from _number(f"{where}.batch_size", run.batch_size, 1, validate.MOST)
            yield from _number(f"{where}.warmup_steps", run.warmup_steps, 0, validate.MOST)
            yield from _number(f"{where}.steps", run.steps, 1, validate.MOST)
    if preset.preprocess is not None:
        for side in preset.preprocess.size:
            yield from _number("preprocess.size", side, 1, _LONGEST_SIDE)
        yield from _number("preprocess.resize_to", preset.preprocess.resize_to, 1, _LONGEST_SIDE)
        if not all(map(math.isfinite, (*preset.preprocess.mean, preset.preprocess.scale))):
            yield "table [preprocess]: mean and scale should be finite numbers"


def _number(where: str, value: int | None, least: int, most: int) -> Iterator[str]:
    if value is not None and not least <= value <= most:
        limit = f"at least {least:,}" if value < least else f"at most {most:,}"
        yield f"{where}: {validate.shown(value)} should be {limit}"


def _graph_values(where: str, graph: Graph) -> Iterator[str]:
    prepare = graph.preprocess_graph
    tensors = [graph.input, *graph.outputs.values()]
    tensors += [prepare.input, prepare.output] if prepare else []
    for tensor in tensors:
        if not tensor.isprintable():
            yield f"{where}: {tensor!r} should be the name of a tensor"
    for name, value in graph.published.items():
        if not 0 <= value <= 1:
            yield f"{where}.published.{name}: {value} should be a fraction, from 0 to 1"
    for file in (*graph.files, *(prepare.files if prepare else ())):
        yield from _file_values(f"{where}.files", file)


def _file_values(where: str, file: RemoteFile) -> Iterator[str]:
    is_text = file.url.isprintable() and (file.member or "").isprintable() and file.url
    if not is_text or (":/" in file.url and not _LOCATION.match(file.url)):
        yield f"{where}: {file.url!r} should be https://... or gs://..., or the path of a file"
    elif _OPEN.match(file.url) and file.sha256 is None:
        yield f"{where}: {file.url!r} should be https://..., or have a sha256"
    if file.sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", file.sha256):
        yield f"{where}: sha256 = {file.sha256!r} should be 64 hexadecimal digits"
    yield from _number(f"{where}: size", file.size, 0, validate.MOST)


def variable_problems(where: str, env: Mapping[str, str]) -> Iterator[str]:
    """What of these variables only a caller may set, and no file; a sentence each."""
    for name, value in env.items():
        is_allowed = name.startswith(ENV_PREFIXES) and not _NAMES_CODE_OR_FILES.search(name)
        if not is_allowed or not re.fullmatch(r"\w+", name, re.ASCII):
            yield (
                f"{where}: a file may set variables that begin with {', '.join(ENV_PREFIXES)} "
                f"and name neither code nor files, and not {name!r}; give it as env= if you want it"
            )
        if not value.isprintable() or "/" in value:
            yield f"{where}.{name}: {value!r} should be a plain value: it can't be a path"


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
        for goal in runs:
            if goal not in ("throughput", "latency", "accuracy"):
                yield f"table [run.{precision}.{goal}]: a goal is throughput, latency or accuracy"
    if preset.task == "classification" and preset.preprocess is None:
        yield "table [preprocess]: a classification model needs it"
    if preset.preprocess is not None:
        yield from _preprocess_contradictions(preset.preprocess)


def _preprocess_contradictions(preprocess: Preprocess) -> Iterator[str]:
    needed = {"shorter_side": "resize_to", "central_fraction": "central_fraction"}
    key = needed[preprocess.resize]
    if getattr(preprocess, key) is None:
        yield f'preprocess.{key}: the key is missing; resize = "{preprocess.resize}" needs it'
    if preprocess.central_fraction is not None and not 0 < preprocess.central_fraction <= 1:
        yield f"preprocess.central_fraction: {preprocess.central_fraction} should be in (0, 1]"
