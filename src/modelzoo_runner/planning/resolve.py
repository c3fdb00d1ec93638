"""Decide every default of a request, in the order *argument > preset > library*. Pure.

`Plan.why` says which of them decided.
"""

from __future__ import annotations

from typing import Any

from modelzoo_runner.backends import base
from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning.request import Request, graph_precision, preset_graph
from modelzoo_runner.results.stats import SAMPLES_FOR
from modelzoo_runner.values.options import run_options
from modelzoo_runner.values.plan import GraphFile, Image, Placement, Plan, Source
from modelzoo_runner.values.preset import MASKS, Graph, Preset, Run, Task

WARMUP_STEPS = 10
STEPS = 50
"""What the original launch scripts did by default, in all models that had a default."""


def resolve(
    preset: Preset,
    request: Request,
    placement: Placement,
    instances: tuple[Placement, ...] = (),
) -> Plan:
    """The plan of a valid request; files are where they were asked for.

    Raises:
        RequestError: the graph that prepares the images isn't published.
    """
    graph = preset_graph(preset, request)
    run = _recommended_run(preset, request)
    why: dict[str, str] = {}

    def decide(name: str, default: Any) -> Any:
        """The value of an option that a preset can recommend."""
        sources = (
            (getattr(request, name), "argument"),
            (getattr(run, name, None), "preset"),
            (default, "library default"),
        )
        value, why[name] = next(each for each in sources if each[0] is not None)
        return value

    is_benchmark = request.kind == "benchmark"
    steps = decide("steps", STEPS) if is_benchmark else None
    if request.arrivals is not None and request.steps is None:
        steps, why["steps"] = SAMPLES_FOR[0.99], "library default with arrivals: enough for p99"
    label_offset = request.label_offset
    if label_offset is not None:
        why["label_offset"] = "argument"
    elif preset.label_offset is not None:
        label_offset, why["label_offset"] = preset.label_offset, "preset"
    batch_size = decide("batch_size", 1)
    preprocess_graph = _preprocess_graph(request, preset.name, graph)
    if preprocess_graph is not None:
        why["preprocess_graph"] = "argument" if request.preprocess_graph else "preset"
    return Plan(
        **run_options(request),
        model=preset.name,
        task=preset.task,
        goal=request.goal if is_benchmark else "accuracy",
        graph=_model_graph(request, preset.task, graph),
        preprocess=preset.preprocess,
        preprocess_graph=preprocess_graph,
        label_offset=label_offset,
        batch_size=batch_size,
        warmup_steps=decide("warmup_steps", WARMUP_STEPS) if is_benchmark else 0,
        steps=steps,
        placement=placement,
        instances=instances,
        docker_image=Image(name=request.docker_image) if request.docker_image else None,
        published=graph.published,
        release=graph.release,
        runtime=request.runtime or base.name_for(request.weights),
        why={**why, **{f"placement.{key}": said for key, said in placement.why.items()}},
    )


def _recommended_run(preset: Preset, request: Request) -> Run | None:
    """The preset's run for this precision and goal, if it has one."""
    goal = "accuracy" if request.kind == "accuracy" else request.goal
    return preset.run.get(graph_precision(request.precision), {}).get(goal)


def _model_graph(request: Request, task: Task, graph: Graph) -> GraphFile:
    """The graph to measure, and its tensors."""
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


def _preprocess_graph(request: Request, model: str, graph: Graph) -> GraphFile | None:
    """The graph that prepares the images: the one asked for, the preset's, or none."""
    known = graph.preprocess_graph
    if request.input not in (None, graph.input):
        known = None  # it makes what the preset's input takes, and another is fed
    asked = request.preprocess_graph
    if not asked and known is None:
        return None
    if not asked and known is not None and not known.files:
        raise RequestError(
            f"preprocess_graph: the preset {model!r} says what goes in and out of the graph "
            "that prepares its images, and not where it is published; give its path"
        )
    return GraphFile(
        source="path" if asked else "pretrained",
        path=asked or "pretrained",
        input=None if known is None else known.input,
        outputs={} if known is None else {"image": known.output},
    )
