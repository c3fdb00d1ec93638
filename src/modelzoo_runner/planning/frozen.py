"""A SavedModel, Keras model or checkpoint as a frozen graph, frozen once and cached.

A child process does it: freezing opens sessions, which size TensorFlow's thread pools, and runs the
model's own loading code.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from modelzoo_runner.backends.tensorflow import model_files
from modelzoo_runner.backends.tensorflow.freeze import VERSION
from modelzoo_runner.planning import random_graph
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import GraphFile, Plan
from modelzoo_runner.values.preset import Graph


def cached(plan: Plan, path: Path, known: Graph, context: Context) -> GraphFile | None:
    """The frozen graph of the model at a path; `None` if there is no model to freeze there.

    The tensors of the preset's own graph (`known`) aren't those of a frozen model.

    Raises:
        GraphError: it can't be frozen, with what to do.
        RequestError: there is no such signature, or several to choose from.
        FetchError: it can't be cached.
        WorkerError: the child that froze it died.
    """
    from modelzoo_runner.execution import freezing, launch, protocol
    from modelzoo_runner.storage import built

    model = model_files.recognize(path)
    if model is None:
        return None
    graph = plan.graph
    named: tuple[str | None, ...] = ()
    if model.kind == "checkpoint":  # it has only the tensors that somebody named
        named = (graph.input, *graph.outputs.values())
    else:
        if graph.input == (known.input or None):
            graph = dataclasses.replace(graph, input=None)
        if graph.outputs == known.outputs:
            graph = dataclasses.replace(graph, outputs={})
    asked = dataclasses.replace(
        plan,
        graph=dataclasses.replace(plan.graph, path=str(path)),
        placement=dataclasses.replace(
            plan.placement, env={**plan.placement.env, "KERAS_BACKEND": "tensorflow"}
        ),
        data_location=None,
        annotations=None,
        instances=(),
        timeout=None,
    )

    def build(out: Path) -> None:
        with context.phase("freeze"):
            launch.write(asked, protocol.FREEZE, out, context)

    folder = random_graph.folder(
        f"freezer {VERSION}", model.digest(), str(plan.signature), json.dumps(named)
    )
    out = folder / f"{path.stem}.pb"
    sha256 = built.get_or_build(out, build)
    origin = f"{path.absolute()}: {_origin(freezing.origin_file(out))}"
    return dataclasses.replace(graph, path=str(out), sha256=sha256, origin=origin)


def _origin(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["origin"])
    except (OSError, ValueError, KeyError):
        return "a model that was frozen"
