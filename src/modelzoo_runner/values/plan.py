"""What one run is, with nothing left to decide.

A `Plan` prints, compares, travels as JSON and sits inside the result. How its values were decided
is not known here (see `resolve`), nor how they are carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelzoo_runner.values import markup
from modelzoo_runner.values.options import Allocator, CpuOptions, Goal, RunOptions
from modelzoo_runner.values.preset import Preprocess, Task

Source = Literal["pretrained", "random", "path"]


@dataclass(frozen=True, kw_only=True)
class Placement(CpuOptions):
    """Which part of the machine a run gets.

    `cpus` are logical CPU ids (empty: leave the process where it is), `numa_nodes` the NUMA nodes
    its memory should come from (empty: no policy), `env` the variables to set for the run.
    `allocator` is the malloc to preload into a child. `why` says what decided each field,
    `warnings` what was asked for and isn't possible, although the run can go on.
    """

    cpus: tuple[int, ...] = ()
    numa_nodes: tuple[int, ...] = ()
    inter_threads: int
    intra_threads: int
    allocator: Allocator = "system"
    why: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GraphFile:
    """The graph that a plan runs: a file on this machine, and what goes in and out.

    `input` and `outputs` (role -> tensor) are `None` and empty where the graph is to be asked, and
    `optional` are outputs that are fetched too if it has them. `origin` says of a graph that was
    frozen here what it was made from.
    """

    source: Source
    path: str
    sha256: str | None = None
    input: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    """The container image that a run happens in.

    `id` is the engine's name for what is in it (`sha256:...`), `digest` the registry's, where the
    image came from one.
    """

    name: str
    id: str | None = None
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan(RunOptions):
    """One run. Counts are of steps or examples, times are seconds.

    `data_location` is a local path, or `None` for synthetic input made from `seed`; `annotations`
    is the JSON beside it, where that isn't to be looked for; `limit` is the number of examples to
    stop after. With `stream` they are in a store, and are read there while the plan runs.
    `preprocess` is how a classifier's images become its input, `preprocess_graph` the graph that
    does the same for a detector which doesn't do it itself. With `docker_image` the run happens in
    a container of it. `why` says for each decided field whether the argument, the preset or the
    library decided.

    `encoded_input` says that the graph takes images as they are encoded, and decodes them itself.

    `examples` makes it a part of a run: only the examples from the first number to before the
    second, in the order of the data, which is that of a run over all of it.

    `instances` are the placements of several processes that run this at once; `placement` then has
    the CPUs of all and the thread counts of each.
    """

    model: str
    task: Task
    goal: Goal
    graph: GraphFile
    examples: tuple[int, int] | None = None
    preprocess: Preprocess | None = None
    preprocess_graph: GraphFile | None = None
    encoded_input: bool = False
    label_offset: int | None = None
    batch_size: int
    warmup_steps: int = 0
    steps: int | None = None
    placement: Placement
    instances: tuple[Placement, ...] = ()
    docker_image: Image | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    release: str | None = None
    why: Mapping[str, str] = field(default_factory=dict)
    runtime: str = "tensorflow"

    @property
    def short_name(self) -> str:
        """The model, the precision and the batch."""
        return f"{self.model} {self.precision}, batch {self.batch_size}"

    def _repr_html_(self) -> str:
        """Who decided what, and the files."""
        graph = self.graph
        data = self.data_location or f"made from seed {self.seed}"
        files = {
            "graph": f"{graph.path} ({graph.source}), run by {self.runtime}",
            "sha256": graph.sha256,
            "input": graph.input,
            "outputs": graph.outputs,
            "data": f"{data}, streamed" if self.stream else data,
            "container": None if self.docker_image is None else self.docker_image.name,
        }
        decided = (
            (name.removeprefix("placement."), markup.shown(self._decided(name)), by)
            for name, by in self.why.items()
        )
        return markup.card(
            markup.title(f"{self.kind} {self.short_name}"),
            markup.table(("what", "value", "decided by"), decided),
            markup.facts((name, [markup.shown(each)]) for name, each in files.items() if each),
        )

    def _decided(self, name: str) -> Any:
        """The value of a name in `why`, such as `placement.env.OMP_NUM_THREADS`."""
        value: Any = self
        for part in name.split(".", 2):
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        return value
