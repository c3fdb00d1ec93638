"""The graph that prepares a detector's images, where its own graph doesn't."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from modelzoo_runner.backends import base
from modelzoo_runner.backends.base import Model, Step, fits, show_shape
from modelzoo_runner.errors import GraphError, RequestError
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import GraphFile, Plan

TRIAL_SIDE = 32
"""Height and width of the image that is tried first, where the graph leaves them open."""


@contextlib.contextmanager
def opened(plan: Plan, fed: Step) -> Iterator[tuple[Plan, Step | None]]:
    """The plan with the preprocessing graph's tensors filled in, and its step; `None` without one.

    The step takes one image, uint8 [1, height, width, 3], and gives one row of what `fed` takes. It
    can be called by several threads at once, and isn't optimized.

    Raises:
        GraphError: the graph can't be run, or its output isn't what `fed` takes.
    """
    if plan.preprocess_graph is None:
        yield plan, None
        return
    backend = base.find(plan.runtime)
    model = backend.load(plan.preprocess_graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
    file = _with_tensors(plan.preprocess_graph, model)
    model.check_tensors(file.input or "", file.outputs)
    compiled = backend.compile(
        model,
        input=file.input or "",
        outputs=list(file.outputs.values()),
        placement=plan.placement,
        precision="fp32",
        optimize=False,
        timed=Context().phase,
    )
    with contextlib.closing(compiled.step) as step:
        _try(file, step, plan.graph, fed)
        yield replace(plan, preprocess_graph=file), step


def _with_tensors(file: GraphFile, model: Model) -> GraphFile:
    """The file with the graph's own tensors, where no preset names them."""
    if file.outputs:
        return file
    try:
        found, outputs = model.guess_tensors()
    except GraphError as error:
        raise GraphError(
            f"{file.path}: {error}, in a preset's table [graph.<precision>.preprocess_graph]"
        ) from None
    if len(outputs) > 1:
        raise GraphError(
            f"{file.path}: is a detector; preprocess_graph is the graph that prepares its images"
        )
    return replace(file, input=found, outputs={"image": next(iter(outputs.values()))})


def _try(file: GraphFile, step: Step, graph: GraphFile, fed: Step) -> None:
    """Prepare a black image, to check before the run that the two graphs fit."""
    import numpy as np

    sides = (step.input_shape or (None,) * 4)[1:-1]
    image = np.zeros((1, *(side or TRIAL_SIDE for side in sides), 3), np.uint8)
    try:
        (made,) = step(image)
    except RequestError as error:
        raise GraphError(
            f"{file.path}: should take an image, uint8 [1, height, width, 3], at {file.input}. "
            f"{error}"
        ) from None
    wanted = fed.input_shape or (None,) * made.ndim
    any_batch = (*(None for _ in wanted[:1]), *wanted[1:])
    if not fits(any_batch, made.shape) or made.dtype.name != fed.input_dtype:
        raise GraphError(
            f"{file.path}: makes {made.dtype.name} {show_shape(made.shape)} of an image, and "
            f"{graph.path} takes {fed.input_dtype} {show_shape(wanted)} at {graph.input}"
        )
