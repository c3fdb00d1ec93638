"""From a request to a plan: every default decided.

The order is *argument > preset > library*; `Plan.why` says which of them decided. Pure: no file is
opened, nothing is fetched and nothing is measured here.
"""

from __future__ import annotations

from typing import Any

from modelzoo_runner.planning import graph_files
from modelzoo_runner.planning.graph_files import graph_precision
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values.plan import Image, Placement, Plan
from modelzoo_runner.values.preset import Goal, Preset, Run

WARMUP_STEPS = 10
STEPS = 50
"""What the original launch scripts did by default, in all models that had a default."""


def resolve(
    preset: Preset,
    request: Request,
    placement: Placement,
    instances: tuple[Placement, ...] = (),
) -> Plan:
    """The plan that a checked request comes to, every default decided.

    The graph is still where it was asked for (`GraphFile.path` as given, no hash): fetching comes
    after resolving, so that a bad argument fails before any download.
    """
    graph = graph_files.of_preset(preset, request)
    run = recommended(preset, request)
    why: dict[str, str] = {}

    def decide(name: str, asked: Any, from_preset: Any, default: Any) -> Any:
        for value, who in (
            (asked, "argument"),
            (from_preset, "preset"),
            (default, "library default"),
        ):
            if value is not None:
                why[name] = who
                return value
        why[name] = "not limited"
        return None

    batch_size = decide("batch_size", request.batch_size, run and run.batch_size, 1)
    preprocess_graph = graph_files.preparing(request, graph)
    if preprocess_graph is not None:
        why["preprocess_graph"] = "argument" if request.preprocess_graph else "preset"
    is_benchmark = request.kind == "benchmark"
    return Plan(
        kind=request.kind,
        model=preset.name,
        task=preset.task,
        precision=request.precision,
        goal="accuracy" if request.kind == "accuracy" else _goal(request.goal),
        graph=graph_files.of_model(request, preset.task, graph),
        optimize=request.optimize,
        allow_unsafe_ops=request.allow_unsafe_ops,
        data_location=request.data_location or None,
        annotations=request.annotations or None,
        stream=request.stream,
        allow_partial=request.allow_partial,
        limit=request.limit,
        preprocess=preset.preprocess,
        preprocess_graph=preprocess_graph,
        label_offset=preset.label_offset,
        input_shape=request.input_shape,
        batch_size=batch_size,
        warmup_steps=decide(
            "warmup_steps", request.warmup_steps, run and run.warmup_steps, WARMUP_STEPS
        )
        if is_benchmark
        else 0,
        steps=decide("steps", request.steps, run and run.steps, STEPS) if is_benchmark else None,
        min_seconds=request.min_seconds,
        seed=request.seed,
        placement=placement,
        instances=instances,
        isolation=request.isolation,  # type: ignore[arg-type] # checked above
        docker_image=Image(name=request.docker_image) if request.docker_image else None,
        timeout=request.timeout,
        predictions=request.predictions,
        published=graph.published,
        release=graph.release,
        why={**why, **{f"placement.{key}": said for key, said in placement.why.items()}},
    )


def recommended(preset: Preset, request: Request) -> Run | None:
    """The preset's run for this precision and goal, if it recommends one."""
    goal = "accuracy" if request.kind == "accuracy" else request.goal
    return preset.run.get(graph_precision(request.precision), {}).get(goal)


def _goal(goal: str) -> Goal:
    return "latency" if goal == "latency" else "throughput"
