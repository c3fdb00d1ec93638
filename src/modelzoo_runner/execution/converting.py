"""A plan's frozen graph as a file of its runtime, and how its outputs agree with TensorFlow's.

It is done in the process that calls this, a child: the run after it then needs no TensorFlow.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from modelzoo_runner.backends import base as backends
from modelzoo_runner.backends import own_files
from modelzoo_runner.backends.base import Model, TensorSpec
from modelzoo_runner.errors import GraphError, RunnerError
from modelzoo_runner.execution import opening
from modelzoo_runner.machine import binding, environment
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import atomic
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATED_WITH = 50
"""Examples of real data for int8."""

MADE = 4
"""Examples that are made, where there is no data."""

COMPARED = 4
"""Examples in the batch of which the outputs are compared; one with a detector."""

ROUNDING = 1e-3
"""The largest difference in float32, as a share of the largest output, that rounding explains."""


def run(plan: Plan, out: Path) -> None:
    """Write the plan's frozen graph in its runtime's format, with a description beside it.

    Raises:
        GraphError: the graph can't be converted, or the runtime can't run it.
        RunnerError: what reading the graph or the data raises.
    """
    converter = backends.converter(plan.runtime)
    tensorflow = backends.find(backends.DEFAULT)
    with environment.variables(plan.placement.env), binding.bound(plan.placement):
        tensorflow.set_threads(plan.placement)
        model: Any = tensorflow.load(plan.graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
        if model.int8_layers:
            raise GraphError(
                f"{plan.graph.path}: a graph of TensorFlow's int8 operations, which other runtimes "
                'don\'t have; give the float32 graph, and precision="int8"'
            )
        model = model.with_feeds(plan.feeds) if plan.feeds else model
        plan = opening.with_own_facts(plan, model)
        input, outputs = plan.graph.input or "", plan.graph.outputs
        model.check_tensors(input, outputs)
        spec = model.input_spec(input)
        if spec.input_dtype == backends.ENCODED:
            raise GraphError(f"{plan.graph.path}: decodes images itself; only TensorFlow runs that")
        examples = _examples(plan, spec)
        converter.convert(
            model.graph_def,
            out,
            input=input,
            outputs=list(outputs.values()),
            calibration=examples if plan.precision == "int8" else None,
        )
        agreement = _agreement(plan, model, out, examples)
    said = {
        "input": input,
        "outputs": dict(outputs),
        "agreement": agreement,
        "notes": list(_notes(plan, len(examples), agreement)),
    }
    atomic.write_text(own_files.description_file(out), json.dumps(said))


def _examples(plan: Plan, spec: TensorSpec) -> list[NDArray[Any]]:
    count = MADE if plan.data_location is None else CALIBRATED_WITH
    plan = replace(plan, kind="benchmark", batch_size=1, limit=count, preprocess_graph=None)
    with tasks.open_source(plan, spec) as source:
        return [batch.inputs for batch in itertools.islice(source.batches, count)]


def _agreement(plan: Plan, model: Model, out: Path, examples: list[NDArray[Any]]) -> dict[str, Any]:
    """The largest differences from TensorFlow's outputs for one batch, by role."""
    import numpy as np

    some = 1 if plan.task == "detection" else COMPARED
    batch = np.concatenate(examples[:some])
    runtime = backends.find(plan.runtime)
    own = runtime.load(str(out), allow_unsafe_ops=False)
    given = _outputs(plan, runtime, own, batch, plan.precision)
    try:
        expected = _outputs(plan, backends.find(backends.DEFAULT), model, batch, "fp32")
    except RunnerError as error:
        return {"examples": len(batch), "problem": f"TensorFlow can't run the graph: {error}"}
    found: dict[str, Any] = {"examples": len(batch), "outputs": {}}
    outputs = dict(zip(plan.graph.outputs, zip(given, expected, strict=True), strict=True))
    if "detection_scores" in outputs:
        ranked = surely_ranked(outputs["detection_scores"][1])
        found["detections"] = int(ranked.sum())
        for role in ("detection_boxes", "detection_classes"):
            if all(each.shape[: ranked.ndim] == ranked.shape for each in outputs[role]):
                ours, theirs = outputs[role]
                outputs[role] = ours[ranked], theirs[ranked]
    for role, (ours, theirs) in outputs.items():
        found["outputs"][role] = _difference(ours, theirs)
        if role == "scores" and ours.shape == theirs.shape and plan.task == "classification":
            found["same_top1"] = int((ours.argmax(-1) == theirs.argmax(-1)).sum())
    return found


def surely_ranked(scores: NDArray[Any]) -> NDArray[Any]:
    """Which detections, the best first, are so far from their neighbors' scores that rounding can't
    change the order. What follows the last isn't known, so it never is.

    >>> import numpy as np
    >>> surely_ranked(np.array([[0.9, 0.5, 0.49999, 0.2, 0.1]])).tolist()
    [[True, False, False, True, False]]
    """
    import numpy as np

    apart = np.diff(scores, axis=-1) < -ROUNDING * scores.max(initial=0.0)
    first, last = np.ones_like(apart[..., :1]), np.zeros_like(apart[..., :1])
    before = np.concatenate((first, apart), axis=-1)
    after = np.concatenate((apart, last), axis=-1)
    found: NDArray[Any] = before & after
    return found


def _outputs(
    plan: Plan, runtime: backends.Backend, model: Any, batch: NDArray[Any], precision: str
) -> list[NDArray[Any]]:
    compiled = runtime.compile(
        model,
        input=plan.graph.input or "",
        outputs=list(plan.graph.outputs.values()),
        placement=plan.placement,
        precision=precision,
        optimize=True,
        timed=Context().phase,
    )
    with contextlib.closing(compiled.step) as step:
        return step(batch)


def _difference(ours: NDArray[Any], theirs: NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    if ours.shape != theirs.shape:
        return {"shapes": [list(ours.shape), list(theirs.shape)]}
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0)
    largest = np.abs(theirs.astype(np.float64)).max(initial=0.0)
    if not np.isfinite(difference):
        return {"problem": "not finite"}
    return {"largest_difference": float(difference), "largest_value": float(largest)}


def _notes(plan: Plan, examples: int, agreement: Mapping[str, Any]) -> Iterator[str]:
    """What a user of the converted file has to know: warnings of every result of it."""
    if plan.precision == "int8" and plan.data_location is None and plan.graph.source != "random":
        yield (
            f'precision="int8": calibrated with {examples} made inputs, because there is no '
            "data_location: the speed is that of int8, the outputs say nothing"
        )
    elif plan.precision == "int8" and plan.data_location is not None:
        yield (
            f'precision="int8": calibrated with the first {examples} examples of '
            f"{plan.data_location}: scores on the same data are a little too good"
        )
    if "problem" in agreement:
        yield cast(str, agreement["problem"])
    for role, each in agreement.get("outputs", {}).items():
        limit = ROUNDING * each.get("largest_value", 0.0)
        if plan.precision == "fp32" and each.get("largest_difference", 1.0) > limit:
            yield f"{role}: differs from TensorFlow's output by more than rounding: {each}"
