"""What a preset file may say, and finding one.

A preset is all that is known about one model, as one TOML file: where its graphs are published,
which tensors go in and out, how an image becomes its input, and the runs that are recommended.
Adding a model is adding a file. Nothing here fetches, decides or runs anything.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelzoo_runner.errors import PresetError, UnknownModel, did_you_mean
from modelzoo_runner.values import codec

Task = str
"""A key of `ROLES`."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One place where a graph is published.

    `member` is a file-name pattern (`*/frozen_inference_graph.pb`) when the URL is an archive.
    `sha256` and `size` (bytes) are of the file at `url`, where somebody published them.
    """

    url: str
    member: str | None = None
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class PreprocessGraph:
    """A graph of its own that makes the input of another: where it is, and what goes in and out.

    It takes one uint8 image, [1, height, width, 3] in RGB, and gives one row of the other's input.
    """

    files: tuple[RemoteFile, ...] = ()
    input: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One frozen graph: where it is, newest place first, and what goes in and out.

    `outputs` maps a role to a tensor: `scores` for classification; `num_detections`,
    `detection_boxes`, `detection_scores`, `detection_classes` for detection.
    `preprocess_graph` prepares a detector's images where the graph doesn't do it itself.
    `published` maps score names (`top1`, `top5`, `AP`, ...) to the values the publisher printed,
    as fractions, and `release` says in which of its releases.
    """

    files: tuple[RemoteFile, ...] = ()
    input: str
    outputs: Mapping[str, str]
    preprocess_graph: PreprocessGraph | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    release: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an encoded image becomes a classifier's input: float32, [height, width, 3].

    Decode; if `unit_range`, divide by 255; then either resize the shorter side to `resize_to` and
    cut the centre of `size` out (`resize="shorter_side"`), or cut the central `central_fraction`
    out and resize that to `size` (`resize="central_fraction"`); then `(x - mean) * scale`,
    the mean in the order RGB; then the channels are put in `channel_order`.
    `rounding` is how the longer side becomes a whole number of pixels: the originals differ.
    """

    size: tuple[int, int]
    resize: Literal["shorter_side", "central_fraction"]
    resize_to: int | None = None
    central_fraction: float | None = None
    rounding: Literal["down", "nearest"] = "down"
    unit_range: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    channel_order: Literal["RGB", "BGR"] = "RGB"
    fancy_upscaling: bool = False
    dct_method: Literal["INTEGER_FAST", "INTEGER_ACCURATE"] = "INTEGER_FAST"

    @property
    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest value an input can hold after this, over all channels."""
        top = 1.0 if self.unit_range else 255.0
        ends = [(edge - mean) * self.scale for edge in (0.0, top) for mean in self.mean]
        return min(ends), max(ends)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recommended run. `None` leaves the value to the library's own default."""

    batch_size: int
    warmup_steps: int | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Threads:
    """How this model departs from the default thread rule (see `machine.placement`).

    `inter_threads` fixes the inter-op count; `inter_threads_from="threads_per_core"` derives it.
    `intra_threads_from="cores_per_socket"` ignores the cores asked for, as the original did.
    `omp_from` says what OMP_NUM_THREADS follows; `omp_from_accuracy` where accuracy runs differ.
    `allocator` is the preset's wish, never a demand.
    """

    inter_threads: int | None = None
    inter_threads_from: Literal["threads_per_core"] | None = None
    intra_threads_from: Literal["cores_per_socket"] | None = None
    omp_from: Literal["intra_threads", "cores", "logical_cpus"] = "intra_threads"
    omp_from_accuracy: Literal["intra_threads", "cores", "logical_cpus"] | None = None
    allocator: Literal["tcmalloc", "jemalloc"] | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that is known about one model; the tables `graph`, `run`, `threads` and `env` are keyed
    by precision, `run` by goal below that.

    `label_offset` is what has to be added to a label of 1..1000 (0 = background) to get the index
    of its score; `None` lets the width of the graph's output decide.
    """

    name: str
    task: Task
    description: str = ""
    topology: str | None = None
    label_offset: int | None = None
    graph: Mapping[str, Graph]
    preprocess: Preprocess | None = None
    run: Mapping[str, Mapping[str, Run]] = field(default_factory=dict)
    threads: Mapping[str, Threads] = field(default_factory=dict)
    env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions there is a graph for."""
        return tuple(self.graph)


def folder() -> Path:
    """The folder of the presets that come with the library."""
    inside_wheel = Path(__file__).parents[1] / "presets"
    return inside_wheel if inside_wheel.is_dir() else Path(__file__).parents[3] / "presets"


def names() -> tuple[str, ...]:
    """The names of the models that come with the library, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


_SUFFIXES = (
    *(".pb", ".pbtxt", ".toml", ".keras", ".h5", ".hdf5", ".tflite", ".meta", ".index"),
    *(".onnx", ".xml"),
)


def is_path(model: str | os.PathLike[str]) -> bool:
    """Whether `model` names a file or folder, and not one of the library's models.

    >>> is_path("resnet50"), is_path("resnet50.pb"), is_path("models/resnet50")
    (False, True, True)
    """
    path = Path(model)
    return path.suffix in _SUFFIXES or os.sep in str(model) or _is_saved_model(path)


def _is_saved_model(path: Path) -> bool:
    return any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))


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


ROLES: dict[Task, tuple[str, ...]] = {
    "classification": ("scores",),
    "detection": (
        "num_detections",
        "detection_boxes",
        "detection_scores",
        "detection_classes",
    ),
}
"""The outputs a graph has to have, by task."""

MASKS = "detection_masks"
"""The output that some detectors have besides, and that is fetched where there is one."""
