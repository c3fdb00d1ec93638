"""Batches to calibrate an int8 graph with, as a model's preprocessing makes them of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.base import TensorSpec
from modelzoo_runner.errors import DataRequired, RequestError
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import bars, validate
from modelzoo_runner.values.arguments import documented
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import accepts_former_names
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Told

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef


@bars.shown
@accepts_former_names
@documented(
    model="a model's name, the path of a preset of your own (`.toml`) or a `Preset`. Also a"
    " graph or its path (`.pb`), if it is a detector's, which takes images as they "
    "are, or examples are made.",
    data_location="ImageNet records for a classifier, COCO images or records for a detector, here "
    "or in a store.",
    batch_size="examples in a batch; a detector's are of one size, so they may be fewer.",
    input_shape="of one made example, where the graph leaves it open.",
)
def calibration_batches(
    model: planner.Model | GraphDef,
    data_location: str | Path | None = None,
    *,
    examples: int = 50,
    batch_size: int = 1,
    synthetic: bool = False,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    input_shape: tuple[int, ...] | None = None,
    seed: int = 0,
    allow_partial: bool = False,
    allow_unsafe_ops: bool = False,
    offline: bool = False,
    progress: Told = None,
) -> Iterator[NDArray[Any]]:
    """Batches of a model's input, as `quantize` takes them.

    Images are read and preprocessed as for the model's accuracy; labels aren't needed. Don't score
    the int8 graph on the images that it was calibrated with.

    Returns:
        An iterator of arrays, [batch, height, width, 3].

    Raises:
        RequestError: an argument that can't be.
        DataRequired: neither data nor `synthetic`.
        FetchError: the data can't be fetched.
        DataError: it isn't what it should be, or holds fewer examples; some of it while iterating.
        GraphError: a graph given as a path can't be read.

    Examples:
        >>> from modelzoo_runner import calibration_batches
        >>> [batch.shape for batch in calibration_batches("resnet50", synthetic=True, examples=2)]
        [(1, 224, 224, 3), (1, 224, 224, 3)]
    """
    request = Request.of("benchmark", {**locals(), "limit": validate.count("examples", examples)})
    context = Context(offline=offline, progress=progress)
    from modelzoo_runner.execution import calibration
    from modelzoo_runner.planning import localize

    plan, fed = _resolved(model, request)
    if synthetic and plan.data_location is not None:
        raise RequestError(
            f"synthetic=True: and data_location={str(data_location)!r}; give one of them"
        )
    if not synthetic and plan.data_location is None:
        raise DataRequired(
            "data_location: real images are needed: a folder of "
            f"{tasks.find(plan.task).DATA_FORM}, on this machine or at gs://. synthetic=True makes "
            "random ones up, which is enough where only speed counts"
        )
    if plan.data_location and plan.task == "classification" and plan.preprocess is None:
        raise RequestError(
            f"data_location={str(data_location)!r}: how images become this graph's input isn't "
            "known; give the name of a model whose preprocessing is the same, or a preset"
        )
    plan = localize.with_data(plan, context)
    return calibration.batches(plan, fed)


def _resolved(model: planner.Model | GraphDef, request: Request) -> tuple[Plan, TensorSpec]:
    """The plan, and what its float32 graph takes; of a graph, its tensors and its task too."""
    from modelzoo_runner.backends.tensorflow import backend, load
    from modelzoo_runner.execution import opening

    graph = None
    if isinstance(model, (str, Path, Preset)):
        preset, request = planner.preset_for(model, request)
    else:  # its outputs are found in it, so that this preset isn't complete
        graph, preset = model, planner.bare_preset("graph", request)
    plan = planner.resolved(preset, request)
    if plan.graph.source == "path":
        graph = load.read_graph(plan.graph.path, allow_unsafe_ops=plan.allow_unsafe_ops)
    if graph is not None:
        model_graph = backend.Model(graph)
        plan = opening.with_own_facts(plan, model_graph)
        return plan, model_graph.input_spec(plan.graph.input or "")
    if plan.task == "detection":
        return plan, TensorSpec(input_dtype="uint8", input_shape=(None, None, None, 3))
    size = (None, None) if plan.preprocess is None else plan.preprocess.size
    return plan, TensorSpec(input_dtype="float32", input_shape=(None, *size, 3))
