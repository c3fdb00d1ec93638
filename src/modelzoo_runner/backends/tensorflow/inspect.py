"""What a graph file is, as one page: tensors, operations, weights, precision, arithmetic."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from modelzoo_runner.backends.base import show_shape
from modelzoo_runner.backends.tensorflow import geometry, load
from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.opdef import stated
from modelzoo_runner.backends.tensorflow.prepare import fold_constants, remove_pass_through
from modelzoo_runner.backends.tensorflow.tensors import ends, guess_tensors, placeholders
from modelzoo_runner.errors import GraphError, visible
from modelzoo_runner.machine import runtime_log
from modelzoo_runner.values import markup
from modelzoo_runner.values.deprecated import accepts_former_names

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_SHOWN_OPERATIONS = 12


@dataclass(frozen=True)
class TensorCard:
    """A tensor that goes in or out. Sizes that are free are `None`; `shape` is, if the rank is."""

    name: str
    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None

    def __str__(self) -> str:
        """Name, type and shape, as far as they are known."""
        shape = None if self.shape is None else show_shape(self.shape)
        return visible(" ".join(part for part in (self.name, self.dtype, shape) if part))


@dataclass(frozen=True)
class LayerCount:
    """How many convolutions and matrix products there are, and how much work they are.

    `multiply_adds` are for one example; `None` where the size of the image can't be told from the
    graph. `int8` and `int8_multiply_adds` are those of quantized layers.
    """

    layers: int
    int8: int
    multiply_adds: int | None
    int8_multiply_adds: int | None

    def __str__(self) -> str:
        """The multiply-adds in a sentence."""
        total, int8 = self.multiply_adds, self.int8_multiply_adds
        if total is None or int8 is None:
            return "multiply-adds unknown: the size of the image isn't in the graph"
        share = int8 / total if total else 0
        return f"{total / 1e9:.3f} G multiply-adds for one example, {share:.1%} int8"


@dataclass(frozen=True, kw_only=True)
class GraphCard:
    """What `inspect_graph` found. `str()` of it is a page to read.

    `parameters` counts the numbers in all weights (constants of floats or quantized integers with
    at least one dimension), batch norm statistics and anchor boxes included. `producer` is the
    version of TensorFlow's graph format that wrote the file, 0 if it doesn't say.
    """

    path: str
    size: int
    sha256: str
    producer: int
    nodes: int
    functions: int
    inputs: tuple[TensorCard, ...]
    outputs: tuple[TensorCard, ...]
    operations: Mapping[str, int]
    parameters: int
    layers: LayerCount

    @property
    def precision(self) -> str:
        """`fp32` without quantized layers, else `int8`."""
        return "int8" if self.layers.int8 else "fp32"

    def _rows(self) -> list[tuple[str, str]]:
        layers, functions = self.layers, f", {self.functions} library functions"
        return [
            ("file", f"{self.path} ({self.size:,} bytes)"),
            ("sha256", self.sha256),
            ("producer", f"graph version {self.producer}" if self.producer else "not stated"),
            *(("input", str(tensor)) for tensor in self.inputs),
            *(("output", str(tensor)) for tensor in self.outputs),
            ("nodes", f"{self.nodes:,}{functions if self.functions else ''}"),
            ("parameters", f"{self.parameters:,}"),
            (
                "precision",
                f"{self.precision}: {layers.int8} of {layers.layers} convolutions and matrix "
                "products are int8",
            ),
            ("", str(layers)),
        ]

    def __str__(self) -> str:
        """The card as a page of text."""
        page = [f"{label:<11}{text}" for label, text in self._rows()]
        shown = Counter(self.operations).most_common(_SHOWN_OPERATIONS)
        width = max((len(op) for op, _ in shown), default=0)
        page += ["operations", *(f"  {op:<{width}} {count:>6,}" for op, count in shown)]
        rest = len(self.operations) - len(shown)
        return visible("\n".join([*page, f"  and {rest} more"] if rest > 0 else page))

    def _repr_html_(self) -> str:
        work = self.layers.multiply_adds
        known = () if work is None else (f"{work / 1e9:.3g} G multiply-adds",)
        operations = Counter(self.operations).most_common()
        return markup.card(
            markup.title(f"{PurePath(self.path).name}, {self.precision}"),
            markup.figures(f"{self.parameters / 1e6:.3g} M parameters", *known),
            markup.facts((name, [said]) for name, said in self._rows()),
            markup.folded(
                f"{len(operations)} kinds of operations",
                markup.table(("operation", "nodes"), ((op, f"{n:,}") for op, n in operations)),
            ),
        )


@runtime_log.held_back()
@accepts_former_names
def inspect_graph(path: str | os.PathLike[str], *, allow_unsafe_ops: bool = False) -> GraphCard:
    """The card of a frozen graph. Nothing of the graph is run.

    Raises:
        GraphError: the file isn't a graph that can be run, as `load.read_graph` says.
    """
    found = load.locate(path)
    content = load.read_bytes(found)
    graph_def = load.parse(content, found, allow_unsafe_ops=allow_unsafe_ops)
    nodes = {node.name: node for node in graph_def.node}
    return GraphCard(
        path=str(path),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        producer=graph_def.versions.producer,
        nodes=len(graph_def.node),
        functions=len(graph_def.library.function),
        inputs=tuple(_input(nodes[name]) for name in placeholders(graph_def)),
        outputs=_outputs(graph_def),
        operations=dict(Counter(node.op for node in graph_def.node).most_common()),
        parameters=sum(map(_parameters, graph_def.node)),
        layers=_layers(graph_def),
    )


def _input(node: NodeDef) -> TensorCard:
    from tensorflow.python.framework.dtypes import as_dtype

    shape = stated(node, "shape").shape
    # A graph that doesn't say anything about the shape looks like one that says "a scalar".
    is_known = "shape" in node.attr and not shape.unknown_rank
    sizes = tuple(dim.size if dim.size >= 0 else None for dim in shape.dim) if is_known else None
    return TensorCard(f"{node.name}:0", as_dtype(stated(node, "dtype").type).name, sizes)


def _outputs(graph_def: GraphDef) -> tuple[TensorCard, ...]:
    """The outputs as `guess_tensors` has them, or all candidates where it can't tell."""
    try:
        names: Iterable[str] = guess_tensors(graph_def)[1].values()
    except GraphError:
        names = [f"{name}:0" for name in ends(graph_def)]
    return tuple(map(TensorCard, names))


def _parameters(node: NodeDef) -> int:
    from tensorflow.python.framework.dtypes import as_dtype

    if node.op != "Const":
        return 0
    tensor = stated(node, "value").tensor
    dtype = as_dtype(tensor.dtype)
    if not tensor.tensor_shape.dim or not (dtype.is_floating or dtype.is_quantized):
        return 0
    return math.prod(dim.size for dim in tensor.tensor_shape.dim)


def _layers(graph_def: GraphDef) -> LayerCount:
    """Each layer multiplies every weight once for each place of its window in one image."""
    # Without what stands between a layer and its weights, and hides how large they are.
    draft = Draft(graph_def, fixed=())
    remove_pass_through(draft)
    fold_constants(draft)
    nodes = draft.nodes
    sizes = geometry.sizes(nodes)
    work: list[int | None] = []
    int8_work: list[int | None] = []
    for node in nodes.values():
        weights = geometry.filter_shape(node, nodes)
        if weights is None or not (geometry.is_convolution(node.op) or "MatMul" in node.op):
            continue
        places = geometry.layer_places(node, sizes[node.name])
        work.append(None if places is None else math.prod(weights) * places)
        if "Quantized" in node.op:
            int8_work.append(work[-1])
    if None in work:
        return LayerCount(len(work), len(int8_work), None, None)
    done, int8_done = (sum(filter(None, each)) for each in (work, int8_work))
    return LayerCount(len(work), len(int8_work), done, int8_done)
