"""Freeze a SavedModel, a Keras model or a checkpoint: variables to constants, functions inlined.

A model's own program is run only as far as it has to be: its restore operation, and once its
signature, to compare the frozen graph with it. Both may only have allowed operations (see
`operations`). It is meant for a process of its own, because it opens sessions.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow import keras_models, signatures, structure
from modelzoo_runner.backends.tensorflow.failures import first_line
from modelzoo_runner.backends.tensorflow.model_files import ModelFiles
from modelzoo_runner.backends.tensorflow.session import imported
from modelzoo_runner.backends.tensorflow.tensors import ends, placeholders, subgraph
from modelzoo_runner.data.batches import encoded_images
from modelzoo_runner.errors import GraphError, RequestError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

    Array: TypeAlias = np.ndarray[Any, Any]

BATCH = 2
SIDE = 96
"""Height and width of images whose size isn't fixed."""

VERSION = 1
"""Raised with every change after which freezing the same model gives another graph."""

TOLERANCE = 1e-5
"""How far the frozen graph's outputs may be from the model's, as a share of their largest value."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A frozen graph, and how it was checked.

    `difference` is the largest between its outputs and the model's for a random batch, as a share
    of their largest value.
    """

    graph_def: GraphDef
    signature: str | None
    difference: float


def freeze(
    model: ModelFiles,
    *,
    signature: str | None = None,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    allow_unsafe_ops: bool = False,
) -> Frozen:
    """The model as a frozen graph, whose outputs were compared with the model's own.

    Its outputs are nodes with the names that the signature has for them. A checkpoint has no
    signature: there `outputs` (role: tensor) say what to keep, and `input` what is fed.

    Raises:
        GraphError: it can't be read or frozen, with what to do; or the frozen graph computes
            something else.
        RequestError: there is no such signature, or several to choose from.
    """
    if model.kind != "SavedModel" and signature is not None:
        raise RequestError(f"signature={signature!r}: a {model.kind} has none: leave it out")
    if model.kind == "checkpoint":
        meta = signatures.checkpoint_meta_graph(model.path)
        named = signatures.named(meta, model, input, outputs)
        return _frozen(meta, named, model.path, model, allow_unsafe_ops)[0]
    with contextlib.ExitStack() as stack:
        folder, keras = model.path, None
        if model.kind == "Keras model":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            keras = keras_models.load(model.path, allow_unsafe_ops=allow_unsafe_ops)
            keras_models.export(keras, model.path, folder)
        meta = signatures.saved_meta_graph(folder)
        chosen = signatures.chosen(meta, model, signature)
        variables = folder / "variables" / "variables"
        frozen, batch, made = _frozen(meta, chosen, variables, model, allow_unsafe_ops)
    own = None if keras is None else keras_models.call(keras, batch)
    if own is not None:
        _compare(own, made, model)
    return frozen


def _frozen(
    meta: MetaGraphDef,
    signature: signatures.Signature,
    variables: Path,
    model: ModelFiles,
    allow_unsafe_ops: bool,
) -> tuple[Frozen, dict[str, Array], list[Array]]:
    """The frozen graph; a random batch by input name, and the model's outputs for it."""
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    outputs = list(signature.outputs.values())
    signatures.check(meta, signature, model, allow_unsafe_ops)
    graph = tf.Graph()
    try:
        with graph.as_default(), _session(graph) as session:
            tf.compat.v1.train.import_meta_graph(meta, clear_devices=True)
            saver = meta.saver_def
            has_variables = variables.with_name(f"{variables.name}.index").exists()
            if saver.restore_op_name and has_variables:
                session.run(saver.restore_op_name, {saver.filename_tensor_name: str(variables)})
            feeds = {
                name: _random_batch(graph.get_tensor_by_name(tensor), name, model)
                for name, tensor in signature.inputs.items()
            }
            fed = {signature.inputs[name]: value for name, value in feeds.items()}
            made = list(session.run(outputs, fed))
            # Its public name is deprecated, and prints so.
            constant = convert_to_constants.convert_variables_to_constants_from_session_graph(
                session, meta.graph_def, [structure.source(tensor) for tensor in outputs]
            )
        if signature.name is not None:
            constant = _with_named_outputs(constant, signature)
            outputs = [f"{name}:0" for name in signature.outputs]
        frozen = _without_control_inputs(_inlined(constant))
        with _session(imported(frozen)) as session:
            difference = _compare(made, session.run(outputs, fed), model)
    except (tf.errors.OpError, ValueError, KeyError) as error:
        raise GraphError(
            f"{model.path}: this {model.kind} can't be frozen here (TensorFlow {tf.__version__}): "
            f"{first_line(error)}. Freeze it where it was made, with "
            "tf.compat.v1.graph_util.convert_variables_to_constants, and give the .pb"
        ) from None
    return Frozen(graph_def=frozen, signature=signature.name, difference=difference), feeds, made


def _with_named_outputs(graph_def: GraphDef, signature: signatures.Signature) -> GraphDef:
    """With an Identity for each output that has the signature's name for it."""
    graph = imported(graph_def)
    named = type(graph_def)()
    named.CopyFrom(graph_def)
    names = {node.name for node in graph_def.node}
    for key, tensor in signature.outputs.items():
        if tensor == f"{key}:0":
            continue
        if key in names:  # an inner node that happens to have the output's name
            _rename(named, key, f"{key}/inner")
        node = named.node.add(name=key, op="Identity", input=[tensor])
        node.attr["T"].type = graph.get_tensor_by_name(tensor).dtype.as_datatype_enum
    return named


def _rename(graph_def: GraphDef, old: str, new: str) -> None:
    for node in graph_def.node:
        node.name = new if node.name == old else node.name
        for place, tensor in enumerate(node.input):
            if structure.source(tensor) == old:
                node.input[place] = tensor.replace(old, new, 1)


def _inlined(graph_def: GraphDef) -> GraphDef:
    """With library functions inlined, by TensorFlow's own optimizer; control flow keeps its."""
    import tensorflow as tf
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
    from tensorflow.python.grappler import tf_optimizer

    if not graph_def.library.function:
        return graph_def
    for function in graph_def.library.function:
        # Names another implementation of the function, which keeps it from being inlined.
        function.attr.pop("api_implements", None)
    graph = imported(graph_def)
    meta = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, graph=graph)
    fetched = [*ends(graph_def), *placeholders(graph_def)]
    meta.collection_def["train_op"].node_list.value.extend(f"{name}:0" for name in fetched)
    config = ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1
    rewriting.optimizers.append("function")
    rewriting.function_optimization = RewriterConfig.AGGRESSIVE
    inlined: GraphDef = tf_optimizer.OptimizeGraph(config, meta)
    return subgraph(inlined, fetched)


def _without_control_inputs(graph_def: GraphDef) -> GraphDef:
    """Without the order that inlined functions ask for, where no operation has an effect.

    It would keep batch norms from being folded.
    """
    bound = ("Assert", "TensorArray", "Enter", "Exit", "Merge", "Switch", "NextIteration")
    if any(node.op.startswith(bound) for node in graph_def.node):
        return graph_def
    for node in graph_def.node:
        kept = [tensor for tensor in node.input if not tensor.startswith("^")]
        node.ClearField("input")
        node.input.extend(kept)
    return subgraph(graph_def, [*ends(graph_def), *placeholders(graph_def)])


def _session(graph: tf.Graph) -> tf.compat.v1.Session:
    """A session that runs the graph as it is, so that the same nodes give the same numbers."""
    import tensorflow as tf
    from tensorflow.core.protobuf.config_pb2 import ConfigProto

    config = ConfigProto(device_count={"GPU": 0}, allow_soft_placement=True)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.compat.v1.Session(graph=graph, config=config)


def _compare(expected: Sequence[Array], found: Sequence[Array], model: ModelFiles) -> float:
    """The largest difference, as a share of the largest value.

    Raises:
        GraphError: it is more than rounding.
    """
    import numpy as np

    furthest = 0.0
    for first, second in zip(expected, found, strict=True):
        if np.asarray(first).dtype.kind in "fiu" and np.shape(first) == np.shape(second):
            one, other = (np.asarray(each, np.float64) for each in (first, second))
            scale = float(np.nanmax(np.abs(one), initial=0.0)) or 1.0
            same_gaps = np.array_equal(np.isnan(one), np.isnan(other))
            difference = float(np.nanmax(np.abs(one - other), initial=0.0)) / scale
            furthest = max(furthest, difference if same_gaps else np.inf)
        elif not np.array_equal(first, second):
            furthest = np.inf
    if furthest > TOLERANCE:
        raise GraphError(
            f"{model.path}: the frozen graph doesn't compute what the {model.kind} does: on a "
            f"random batch they differ by {furthest:.3g} of the largest value (allowed: "
            f"{TOLERANCE:g}). If it is random by design, as with dropout left on, save it for "
            "inference; else freeze it where it was made and give the .pb"
        )
    return furthest


def _random_batch(tensor: tf.Tensor, name: str, model: ModelFiles) -> Array:
    """Values that the tensor takes: text inputs get JPEG images, and truth values are False.

    Raises:
        GraphError: its type can't be made.
    """
    import numpy as np

    sizes = (None, None, None, 3) if tensor.shape.rank is None else tensor.shape.as_list()
    shape = tuple(size or (SIDE if place else BATCH) for place, size in enumerate(sizes))
    rng = np.random.default_rng(0)
    dtype = tensor.dtype
    if dtype.name == "string":
        return encoded_images(shape, SIDE, SIDE, rng)
    if dtype.is_bool:
        return np.zeros(shape, bool)
    if dtype.name == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    if dtype.is_integer:
        return rng.integers(0, 2, shape).astype(dtype.as_numpy_dtype)
    if dtype.is_floating:
        return rng.uniform(0, 1, shape).astype(dtype.as_numpy_dtype)
    raise GraphError(
        f"{model.path}: input {name!r} is of type {dtype.name}, which can't be fed here"
    )
