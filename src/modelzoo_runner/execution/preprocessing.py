"""A graph of its own that makes a detector's input of an image, where a plan has one.

It is read and checked as the graph that is measured is, and runs as it is. When it runs, and on
what, is known to `source`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import kernels, load, session
from modelzoo_runner.backends.tensorflow.session import show_shape
from modelzoo_runner.errors import GraphError, RequestError
from modelzoo_runner.values.plan import GraphFile, Plan

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    from modelzoo_runner.backends.tensorflow.session import Step

TRIAL_SIDE = 32
"""Height and width of the image that is tried first, where the graph leaves them open."""


@contextlib.contextmanager
def opened(plan: Plan, fed: Step) -> Iterator[tuple[Plan, Step | None]]:
    """The plan with that graph's tensors found, and its step; `None` where the plan has no graph.

    The step takes one image, uint8 [1, height, width, 3], and gives one row of what `fed` takes. It
    can be called from several threads at once.

    Raises:
        GraphError: the graph can't be run, or what it makes isn't what `fed` takes.
    """
    if plan.preprocess_graph is None:
        yield plan, None
        return
    graph = load.read_graph(plan.preprocess_graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
    file = _with_tensors(plan.preprocess_graph, graph)
    tensor = file.input or ""
    load.check_tensors(graph, tensor, file.outputs)
    kernels.check_kernels(graph, outputs=file.outputs.values())
    with session.open_step(
        graph,
        input=tensor,
        outputs=list(file.outputs.values()),
        inter_threads=plan.placement.inter_threads,
        intra_threads=plan.placement.intra_threads,
    ) as step:
        _try(file, step, plan.graph, fed)
        yield replace(plan, preprocess_graph=file), step


def _with_tensors(file: GraphFile, graph: GraphDef) -> GraphFile:
    """The file with the graph's own tensors where no preset names any."""
    if file.outputs:
        return file
    try:
        found, outputs = load.guess_tensors(graph)
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
    """Prepare a black image, to see before the run that the two graphs fit."""
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
    fits = len(wanted) == made.ndim and all(
        side in (None, found) for side, found in zip(wanted[1:], made.shape[1:], strict=True)
    )
    if not fits or made.dtype.name != fed.input_dtype:
        raise GraphError(
            f"{file.path}: makes {made.dtype.name} {show_shape(made.shape)} of an image, and "
            f"{graph.path} takes {fed.input_dtype} {show_shape(wanted)} at {graph.input}"
        )
