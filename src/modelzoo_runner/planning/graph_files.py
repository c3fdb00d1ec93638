"""From a request to the graph files of its plan: the model's, and the one that prepares its images.

Pure: they are still where they were asked for, and without their hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values.plan import GraphFile, Source
from modelzoo_runner.values.preset import MASKS, Graph, Preset, Task

if TYPE_CHECKING:
    from modelzoo_runner.planning.request import Request


def of_model(request: Request, task: Task, graph: Graph) -> GraphFile:
    """The graph that is measured, and what goes in and out of it."""
    source: Source = "path"
    if request.weights in ("pretrained", "random"):
        source = "random" if request.weights == "random" else "pretrained"
    # Fetched too where the graph has them, as the exports of some detectors do.
    masks = task == "detection" and not request.outputs and MASKS not in graph.outputs
    return GraphFile(
        source=source,
        path=request.weights,
        input=request.input or graph.input or None,
        outputs=request.outputs or graph.outputs,
        optional={MASKS: f"{MASKS}:0"} if masks else {},
    )


def preparing(request: Request, graph: Graph) -> GraphFile | None:
    """The graph that prepares the images, if there is one: that asked for, or the preset's."""
    known = graph.preprocess_graph
    if request.input not in (None, graph.input):
        known = None  # it makes what the preset's input takes, and another is fed
    if not request.preprocess_graph and known is None:
        return None
    return GraphFile(
        source="path" if request.preprocess_graph else "pretrained",
        path=request.preprocess_graph or "pretrained",
        input=None if known is None else known.input,
        outputs={} if known is None else {"image": known.output},
    )


def check_preparing(request: Request, preset: Preset) -> None:
    """Nothing, if the graph that prepares the images can be used and can be had.

    Raises:
        RequestError: saying why it can't.
    """
    if request.preprocess_graph and preset.preprocess is not None:
        raise RequestError(
            f"preprocess_graph={request.preprocess_graph!r}: only for detectors; a classifier's "
            "images are prepared as its preset's [preprocess] says"
        )
    graph = of_preset(preset, request)
    planned, known = preparing(request, graph), graph.preprocess_graph
    if planned is not None and planned.source == "pretrained" and not (known and known.files):
        raise RequestError(
            f"preprocess_graph: the preset {preset.name!r} says what goes in and out of the graph "
            "that prepares its images, and not where it is published; give its path"
        )


def of_preset(preset: Preset, request: Request) -> Graph:
    """The graph to run: what is built here is the float32 one, and keeps its tensors in int8."""
    if request.weights == "random" and "fp32" in preset.graph:
        return preset.graph["fp32"]
    return preset.graph[graph_precision(request.precision)]


def graph_precision(precision: str) -> str:
    """The precision of the graph file behind a run: bfloat16 runs the fp32 graph."""
    return "fp32" if precision == "bfloat16" else precision
