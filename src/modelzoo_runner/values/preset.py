"""What a preset file can contain.

A preset is all that is known about one model, in one TOML file: where its graphs are published,
their input and output tensors, how images are preprocessed, and the recommended runs. Adding a
model is adding a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelzoo_runner.values import markup

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

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Those of the recommended runs, the largest first."""
        sizes = {run.batch_size for runs in self.run.values() for run in runs.values()}
        return tuple(sorted(sizes, reverse=True))

    def published(self, most: int | None = None) -> Iterator[str]:
        """The published scores of each precision, or the first ones of them, a line each."""
        for precision, graph in self.graph.items():
            if graph.published:
                first = list(graph.published.items())[:most]
                scores = (f"{name} {value:g}" for name, value in first)
                yield f"{precision}: {', '.join(scores)}"

    def _repr_html_(self) -> str:
        runs = (
            (precision, goal, *map(markup.shown, (run.batch_size, run.warmup_steps, run.steps)))
            for precision, by_goal in self.run.items()
            for goal, run in by_goal.items()
        )
        return markup.card(
            markup.title(self.name),
            markup.facts(
                (
                    ("what it is", [self.description]),
                    ("task", [self.task]),
                    ("published", [*self.published()] or ["nothing"]),
                )
            ),
            markup.table(("precision", "goal", "batch", "warm-up steps", "steps"), runs),
        )


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


def __getattr__(name: str) -> Any:
    """`read` by its former place, for one release."""
    if name != "read":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import warnings

    from modelzoo_runner.values import presets

    warnings.warn(f"{__name__}.read is now in {presets.__name__}", DeprecationWarning, stacklevel=2)
    return presets.read
