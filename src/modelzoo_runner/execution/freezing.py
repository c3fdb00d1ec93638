"""Freeze a plan's model in this process."""

from __future__ import annotations

import json
from pathlib import Path

from modelzoo_runner.backends.tensorflow import freeze, model_files
from modelzoo_runner.errors import GraphError
from modelzoo_runner.machine import environment
from modelzoo_runner.values import atomic
from modelzoo_runner.values.plan import Plan


def run(plan: Plan, out: Path) -> None:
    """Write the model at the plan's `graph.path` as a frozen graph to `out`.

    `origin_file(out)` then says what it was made from. Raises what `freeze.freeze` does.
    """
    model = model_files.recognize(Path(plan.graph.path))
    if model is None:
        raise GraphError(f"{plan.graph.path}: no longer a model that can be frozen")
    with environment.variables(plan.placement.env):
        frozen = freeze.freeze(
            model,
            signature=plan.signature,
            input=plan.graph.input,
            outputs=plan.graph.outputs,
            allow_unsafe_ops=plan.allow_unsafe_ops,
        )
    of = f", signature {frozen.signature!r}" if frozen.signature else ""
    origin = f"{model.kind}{of}; largest difference from its own outputs {frozen.difference:.1g}"
    atomic.write_text(origin_file(out), json.dumps({"origin": origin}))
    with atomic.writing(out) as file:
        file.write(frozen.graph_def.SerializeToString(deterministic=True))


def origin_file(path: Path) -> Path:
    """The file that says what a frozen graph was made from."""
    return path.with_name(f"{path.name}.json")
