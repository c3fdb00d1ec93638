"""What of a graph is int8 and why the rest isn't; and what that comes to, measured here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from modelzoo_runner.api.calibration import calibration_batches
from modelzoo_runner.api.quantize import try_graph
from modelzoo_runner.errors import GraphError, RequestError, visible
from modelzoo_runner.int8.compare import Compared, compare
from modelzoo_runner.int8.layers import Layer, State, layers
from modelzoo_runner.machine import runtime_log
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.results.checks import WITHOUT_VNNI
from modelzoo_runner.values import markup, validate
from modelzoo_runner.values.arguments import documented
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import accepts_former_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef

_WORDS: Mapping[State, str] = {
    "int8": "int8",
    "fp32": "kept in float32",
    "unsupported": "can't run here",
}

_CONVERSIONS = ("QuantizeV2", "Dequantize", "Requantize")

RANDOM = "random values"

# How many layers are named of those that share a reason.
_SHOWN = 2


@dataclass(frozen=True, kw_only=True)
class Int8Report:
    """What `int8_report` found. `str()` of it is a page to read.

    `operations` counts the quantized operations that aren't layers: pooling and concatenation of
    quantized tensors, and conversions between float32 and quantized tensors. `instruction_set` is
    the one that oneDNN uses on this CPU, `None` if there is none. `compared` is what was measured,
    `None` without a float32 graph or where the int8 graph can't run; `fed` names its input.
    """

    graph: str
    layers: tuple[Layer, ...]
    operations: Mapping[str, int]
    instruction_set: str | None
    compared: Compared | None = None
    fed: str = ""

    def count(self, state: State) -> int:
        """How many layers are in that state."""
        return sum(layer.state == state for layer in self.layers)

    @property
    def multiply_adds(self) -> int | None:
        """Of all layers, for one example; None where the size of one isn't known."""
        return _work(self.layers)

    @property
    def int8_share(self) -> float | None:
        """The share of all multiply-adds that int8 layers do; None where one's size isn't known."""
        total = self.multiply_adds
        int8 = _work(layer for layer in self.layers if layer.state == "int8")
        return int8 / total if total and int8 is not None else None

    def __str__(self) -> str:
        """The report as a page of text."""
        rows = self._rows()
        rows[2:2] = [("", row) for row in _table(self)]
        return visible("\n".join(f"{label:<12} {text}" for label, text in rows))

    def _repr_html_(self) -> str:
        speed = () if self.compared is None else (f"{self.compared.speedup:.2f} times fp32",)
        groups = (
            (op, str(len(members)), _share(self, members), _WORDS[state], why, _names(members))
            for (op, state, why), members in _groups(self).items()
        )
        return markup.card(
            markup.title(f"int8 in {PurePath(self.graph).name}"),
            markup.figures(f"{self.count('int8')} of {len(self.layers)} layers", *speed),
            markup.facts((name, [said]) for name, said in self._rows()),
            markup.table(("operation", "layers", "work", "state", "why", "such as"), groups),
        )

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("graph", self.graph), ("int8", _summary(self))]
        counts = Counter(self.operations)
        for label, wanted in (("quantized", False), ("conversions", True)):
            shown = [
                f"{op} {n}" for op, n in counts.most_common() if (op in _CONVERSIONS) == wanted
            ]
            rows.append((label, ", ".join(shown) or "none"))
        rows.append(("here", _here(self.instruction_set)))
        if self.compared is not None:
            rows += _measured(self.compared, self.fed)
        elif self.count("unsupported"):
            rows.append(("speed", "not measured: not all layers can run here"))
        return rows


@runtime_log.held_back()
@accepts_former_names
@documented(
    graph="the graph to look into, or the path of its file.",
    batch="what both are run with; also, sizes that the graph leaves open are known with "
    "it. Without it, images are taken, or else random values.",
    model="whose preprocessing images get, and in whose range random values are: a model's "
    "name, the path of a preset (`.toml`) or a `Preset`.",
    data_location="images, as `calibration_batches` reads them; the first `batch_size` of them.",
    batch_size="how many images or random examples.",
    input_shape="of one random example, where the graph leaves it open.",
    steps="how many steps of each graph are timed, after 3 that aren't.",
)
def int8_report(
    graph: GraphDef | str | os.PathLike[str],
    *,
    fp32: GraphDef | str | os.PathLike[str] | None = None,
    batch: NDArray[Any] | None = None,
    model: Model | None = None,
    data_location: str | Path | None = None,
    batch_size: int = 1,
    input_shape: tuple[int, ...] | None = None,
    steps: int = 20,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    allow_unsafe_ops: bool = False,
    offline: bool = False,
) -> Int8Report:
    """What of a graph is int8, why the rest isn't, and what can't run here.

    The graph may be made here or downloaded; of a float32 graph the report says what could be int8.
    With the float32 graph of the same model beside it, both are run, taking turns, and their speed
    and outputs compared: in this process, with as many threads as TensorFlow likes.

    Raises:
        RequestError: an argument can't be, or the batch isn't what a graph takes.
        GraphError: a graph can't be read or run, or a tensor isn't there.
        FetchError, DataError: the images aren't available or can't be read.

    Examples:
        >>> from modelzoo_runner import int8_report
        >>> print(int8_report("int8.pb", fp32="fp32.pb", model="resnet50"))  # doctest: +SKIP
    """
    steps = validate.count("steps", steps)
    batch_size = validate.count("batch_size", batch_size)
    if batch is not None and (model is not None or data_location is not None):
        raise RequestError("batch: and model= or data_location=; give one of them")
    _import_tensorflow()
    from modelzoo_runner.backends.tensorflow import load
    from modelzoo_runner.machine import onednn, processor

    graph_def, input, outputs = load.resolve_graph(
        graph, input=input, outputs=outputs, allow_unsafe_ops=allow_unsafe_ops
    )
    other = None
    if fp32 is not None:
        try:
            other, _, _ = load.resolve_graph(
                fp32, input=input, outputs=outputs, allow_unsafe_ops=allow_unsafe_ops
            )
        except GraphError as error:
            raise GraphError(f"fp32: {error}") from None
    fed = "the batch given"
    if batch is None and (other is not None or model is not None or data_location is not None):
        batch = next(
            calibration_batches(
                graph_def if model is None else model,
                data_location,
                input=input,
                outputs=outputs,
                synthetic=data_location is None,
                examples=batch_size,
                batch_size=batch_size,
                input_shape=input_shape,
                allow_unsafe_ops=allow_unsafe_ops,
                offline=offline,
            )
        )
        fed = RANDOM if data_location is None else f"images of {data_location}"
    found = layers(graph_def, input=input, outputs=list(outputs.values()), batch=batch)
    can_run = all(layer.state != "unsupported" for layer in found)
    compared = None
    if other is not None and batch is not None and can_run:
        for each in (graph, fp32 or graph_def):
            try_graph(
                each,
                batch.shape,
                Context(),
                input=input,
                outputs=outputs,
                allow_unsafe_ops=allow_unsafe_ops,
            )
        compared = compare(other, graph_def, batch, input=input, outputs=outputs, steps=steps)
    names = {layer.name for layer in found}
    return Int8Report(
        graph=str(graph) if isinstance(graph, (str, os.PathLike)) else "a GraphDef",
        layers=found,
        operations=Counter(
            node.op
            for node in graph_def.node
            if node.name not in names and ("Quantized" in node.op or node.op in _CONVERSIONS)
        ),
        instruction_set=onednn.instruction_set(processor.flags(), os.environ),
        compared=compared,
        fed=fed,
    )


def _import_tensorflow() -> None:
    """With oneDNN on, as for a run, unless the user's own variable says otherwise."""
    from modelzoo_runner.machine import environment, placement

    wanted = {key: value for key, value in placement.DEFAULT_ENV.items() if key not in os.environ}
    with environment.variables(wanted):
        import tensorflow  # noqa: F401


def _summary(report: Int8Report) -> str:
    share, work = report.int8_share, report.multiply_adds
    if share is None or work is None:
        known = "multiply-adds unknown: the size of the image isn't in the graph"
    else:
        known = f"{share:.1%} of {work / 1e9:.3f} G multiply-adds"
    return f"{report.count('int8')} of {len(report.layers)} layers, {known}"


def _groups(report: Int8Report) -> dict[tuple[str, State, str], list[Layer]]:
    """All layers of one operation that are in one state for one reason."""
    groups: dict[tuple[str, State, str], list[Layer]] = {}
    for layer in report.layers:
        groups.setdefault((layer.op, layer.state, layer.why), []).append(layer)
    return groups


def _share(report: Int8Report, members: Sequence[Layer]) -> str:
    """Of all multiply-adds; empty where they aren't known."""
    work, total = _work(members), report.multiply_adds
    return f"{work / total:.1%}" if total and work is not None else ""


def _table(report: Int8Report) -> Iterator[str]:
    groups = _groups(report)
    width = max((len(op) for op, _, _ in groups), default=0)
    for (op, state, why), members in groups.items():
        share = f"{_share(report, members):>7}"
        reason = f": {why}" if why else ""
        yield f"{op:<{width}} {len(members):>4} {share}  {_WORDS[state]}{reason}"
        if why:
            yield f"  {_names(members)}"


def _names(members: Sequence[Layer]) -> str:
    more = len(members) - _SHOWN
    shown = ", ".join(layer.name for layer in members[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _work(members: Iterable[Layer]) -> int | None:
    total = 0
    for layer in members:
        if layer.multiply_adds is None:
            return None
        total += layer.multiply_adds
    return total


def _here(instruction_set: str | None) -> str:
    if instruction_set is None:
        return "oneDNN has no int8 kernels for this CPU"
    if instruction_set in WITHOUT_VNNI:
        return (
            f"{instruction_set}, without VNNI (avx512_vnni or avx_vnni): int8 gains less, and "
            "accuracy is lost unless the weights were quantized for it"
        )
    return f"{instruction_set}, which has VNNI"


def _measured(compared: Compared, fed: str) -> Iterator[tuple[str, str]]:
    int8, fp32 = compared.int8_seconds * 1000, compared.fp32_seconds * 1000
    yield (
        "speed",
        f"{compared.speedup:.2f} times fp32: {int8:.2f} ms a step against {fp32:.2f} ms, batch "
        f"{compared.examples}, medians of {compared.steps} steps in turn",
    )
    # Of random values no class is clearly the best, and any rounding changes which one it is.
    said = ", ".join(
        f"{name} {value:.3f}"
        for name, value in compared.agreement.items()
        if name != "same_top1" or fed != RANDOM
    )
    yield "agreement", f"{said} with fp32, on {fed}"
