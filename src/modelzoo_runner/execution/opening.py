"""A plan's graph, from its file to a step: read, checked, prepared, in a session.

What is done with the step is not known here.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow import kernels, load, session
from modelzoo_runner.backends.tensorflow import prepare as preparation
from modelzoo_runner.execution import preprocessing
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import ROLES

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.session import Step


@dataclass
class Start:
    """When a run began, how busy the machine was, and how many seconds each part of it took."""

    at: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    )
    load_average: tuple[float, float, float] = field(default_factory=os.getloadavg)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A graph that is ready to run: the plan with its tensors found, and what became of it."""

    plan: Plan
    step: Step
    prepare: Step | None
    card: Mapping[str, Any]


@contextlib.contextmanager
def opened(plan: Plan, start: Start) -> Iterator[Opened]:
    """The plan's graph, ready to run; `start` is told how long each part of that took.

    Raises:
        GraphError: the graph can't be run here.
    """
    with start.timed("read"):
        graph = load.read_graph(plan.graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
    plan = with_own_facts(plan, graph)
    source_tensor, outputs = plan.graph.input or "", plan.graph.outputs
    load.check_tensors(graph, source_tensor, outputs)
    nodes = len(graph.node)
    changes: Mapping[str, int] = {}
    if plan.optimize:
        with start.timed("prepare"):
            prepared = preparation.prepare(
                graph,
                input=source_tensor,
                outputs=list(outputs.values()),
                bfloat16=plan.precision == "bfloat16",
            )
            graph, changes = prepared.graph_def, prepared.changes
    kernels.check_kernels(graph, outputs=outputs.values())
    card = {
        "nodes": nodes,
        "nodes_run": len(graph.node),
        "int8_layers": kernels.count_int8(graph),
        "changes": dict(changes),
    }
    with start.timed("session"):
        step = session.open_step(
            graph,
            input=source_tensor,
            outputs=list(outputs.values()),
            inter_threads=plan.placement.inter_threads,
            intra_threads=plan.placement.intra_threads,
            auto_mixed_precision_bfloat16=plan.precision == "bfloat16",
        )
    with step, preprocessing.opened(plan, step) as (plan, prepare):
        yield Opened(plan=plan, step=step, prepare=prepare, card=card)


def with_own_facts(plan: Plan, graph: Any) -> Plan:
    """The plan with the graph's own tensors, and what follows from them, where nobody named any.

    And with the optional outputs that it has.
    """
    besides = load.present_outputs(graph, plan.graph.optional)
    named = replace(plan.graph, outputs={**plan.graph.outputs, **besides}, optional={})
    precision = plan.precision
    if named.input is None or not plan.graph.outputs:
        found_input, found_outputs = load.guess_tensors(graph)
        named = replace(
            named, input=named.input or found_input, outputs=plan.graph.outputs or found_outputs
        )
        if precision == "fp32" and kernels.count_int8(graph) > 0:
            precision = "int8"
    is_detector = set(ROLES["detection"]) <= set(named.outputs)
    task = "detection" if is_detector else plan.task
    return replace(plan, graph=named, task=task, precision=precision)
