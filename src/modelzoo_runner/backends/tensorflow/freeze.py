"""Freeze a SavedModel, a Keras model or a checkpoint: variables to constants, functions inlined.

A model's own program is run only as far as it has to be: its restore operation, and once its
signature, to compare the frozen graph with it. Both may only have allowed operations (see
`operations`). It is meant for a process of its own, because it opens sessions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.backends.tensorflow import keras_models, operations, structure
from modelzoo_runner.backends.tensorflow.model_files import ModelFiles
from modelzoo_runner.backends.tensorflow.random_batch import random_batch
from modelzoo_runner.backends.tensorflow.tensors import check_names, ends, placeholders, subgraph
from modelzoo_runner.errors import GraphError, RequestError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

    Array: TypeAlias = np.ndarray[Any, Any]

VERSION = 1
"""Raised with every change after which freezing the same model gives another graph."""

TOLERANCE = 1e-5
"""How far the frozen graph's outputs may be from the model's, as a share of their largest value."""

DEFAULT_SIGNATURE = "serving_default"

_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")

_READING = frozenset(("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "DisableCopyOnRead"))

_RESTORING = frozenset(("Assign", "AssignVariableOp", "Restore", "RestoreSlice", "RestoreV2"))
"""What reads a checkpoint into variables, and writes nothing else."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A frozen graph, and how it was checked.

    `difference` is the largest between its outputs and the model's for a random batch, as a share
    of their largest value.
    """

    graph_def: GraphDef
    signature: str | None
    difference: float


@dataclass(frozen=True, kw_only=True)
class _Signature:
    """What is fed and fetched, by name."""

    name: str | None
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


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
    if model.kind == "Keras model":
        if signature is not None:
            raise RequestError(f"signature={signature!r}: a Keras model has none: leave it out")
        with tempfile.TemporaryDirectory() as folder:
            keras = keras_models.load(model.path, allow_unsafe_ops=allow_unsafe_ops)
            keras_models.export(keras, model.path, Path(folder))
            meta = _saved_meta_graph(Path(folder))
            variables = Path(folder) / "variables" / "variables"
            frozen, batch, made = _frozen(
                meta, _signature(meta, model, None), variables, model, allow_unsafe_ops
            )
            own = keras_models.call(keras, batch)
            if own is not None:
                _compare(own, made, model)
            return frozen
    if model.kind == "SavedModel":
        meta = _saved_meta_graph(model.path)
        variables = model.path / "variables" / "variables"
        chosen = _signature(meta, model, signature)
    else:
        if signature is not None:
            raise RequestError(f"signature={signature!r}: a checkpoint has none: leave it out")
        meta = _checkpoint_meta_graph(model.path)
        variables = model.path
        chosen = _named(meta, model, input, outputs)
    return _frozen(meta, chosen, variables, model, allow_unsafe_ops)[0]


def _frozen(
    meta: MetaGraphDef,
    signature: _Signature,
    variables: Path,
    model: ModelFiles,
    allow_unsafe_ops: bool,
) -> tuple[Frozen, dict[str, Array], list[Array]]:
    """The frozen graph; a random batch by input name, and the model's outputs for it."""
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    outputs = list(signature.outputs.values())
    _check(meta, signature, model, allow_unsafe_ops)
    graph = tf.Graph()
    try:
        with graph.as_default(), _session(graph) as session:
            tf.compat.v1.train.import_meta_graph(meta, clear_devices=True)
            if meta.HasField("saver_def") and meta.saver_def.restore_op_name and _has(variables):
                saver = meta.saver_def
                session.run(saver.restore_op_name, {saver.filename_tensor_name: str(variables)})
            feeds = {
                name: random_batch(graph.get_tensor_by_name(tensor), name)
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
        structure.check(frozen)
        difference = _compare(made, _run(frozen, outputs, fed), model)
    except (tf.errors.OpError, ValueError, KeyError) as error:
        if isinstance(error, GraphError):
            raise GraphError(f"{model.path}: {error}") from None
        from modelzoo_runner.backends.tensorflow import failures

        raise GraphError(
            f"{model.path}: this {model.kind} can't be frozen here (TensorFlow {tf.__version__}): "
            f"{failures.first_line(error)}. Freeze it where it was made, with "
            "tf.compat.v1.graph_util.convert_variables_to_constants, and give the .pb"
        ) from None
    return Frozen(graph_def=frozen, signature=signature.name, difference=difference), feeds, made


def _saved_meta_graph(path: Path) -> MetaGraphDef:
    """The graph of a SavedModel that serves; it is the only one in most."""
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    binary, text = path / "saved_model.pb", path / "saved_model.pbtxt"
    saved = SavedModel()
    try:
        if binary.exists():
            saved.ParseFromString(binary.read_bytes())
        else:
            text_format.Parse(text.read_text(encoding="utf-8"), saved)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise GraphError(f"{path}: its saved_model.pb can't be read: {error}") from None
    metas = list(saved.meta_graphs)
    serving = [meta for meta in metas if "serve" in meta.meta_info_def.tags] or metas
    if len(serving) == 1:
        return serving[0]
    tags = "; ".join(", ".join(meta.meta_info_def.tags) for meta in metas) or "none"
    raise GraphError(
        f"{path}: can't tell which of its graphs to run: there should be one with the tag 'serve', "
        f"and there are {tags}. Save the model again, for serving only"
    )


def _checkpoint_meta_graph(prefix: Path) -> MetaGraphDef:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

    path = prefix.with_name(f"{prefix.name}.meta")
    try:
        return MetaGraphDef.FromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise GraphError(f"{path}: can't be read: {error}") from None


def _signature(meta: MetaGraphDef, model: ModelFiles, wanted: str | None) -> _Signature:
    """The signature asked for, the default one, or the only one."""
    found = {
        name: each
        for name, each in meta.signature_def.items()
        if name not in _INIT_SIGNATURES and each.outputs
    }
    if not found:
        raise GraphError(
            f"{model.path}: this {model.kind} has no signature, so what to feed and fetch isn't "
            "known: save it again with tf.saved_model.save(model, folder, signatures=...)"
        )
    if wanted is not None and wanted not in found:
        hint = did_you_mean(wanted, found, otherwise="Signatures")
        raise RequestError(f"signature={wanted!r}: {model.path} has none of this name. {hint}")
    name = wanted or (DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in found else None)
    if name is None and len(found) > 1:
        listed = "; ".join(
            f"{name!r} ({', '.join(sorted(each.inputs))} -> {', '.join(sorted(each.outputs))})"
            for name, each in sorted(found.items())
        )
        raise RequestError(
            f"{model.path}: has several signatures; give signature= one of: {listed}"
        )
    name = name or next(iter(found))
    chosen = found[name]
    for key, info in (*chosen.inputs.items(), *chosen.outputs.items()):
        if not info.name:
            raise GraphError(
                f"{model.path}: {key!r} of signature {name!r} isn't a plain tensor (it is sparse, "
                "ragged or composite), and only plain ones can be fed and fetched here"
            )
    return _Signature(
        name=name,
        inputs={key: chosen.inputs[key].name for key in sorted(chosen.inputs)},
        outputs={key: chosen.outputs[key].name for key in sorted(chosen.outputs)},
    )


def _named(
    meta: MetaGraphDef, model: ModelFiles, input: str | None, outputs: Mapping[str, str] | None
) -> _Signature:
    """What a caller named of a checkpoint's graph."""
    graph_def = meta.graph_def
    if not outputs:
        likely = [node.name for node in graph_def.node if node.op in ("Softmax", "Sigmoid")]
        shown = ", ".join(f"{name}:0" for name in (likely or ends(graph_def))[:8])
        raise GraphError(
            f"{model.path}: a checkpoint's graph doesn't say which tensors are its outputs: give "
            f'outputs={{"scores": "name:0"}}. They might be: {shown}'
        )
    check_names(graph_def, {**({"input": input} if input else {}), **outputs})
    needed = subgraph(graph_def, outputs.values(), stop=[structure.source(input or "")])
    fed = [input] if input else [f"{name}:0" for name in placeholders(needed)]
    training = [
        node.name
        for node in needed.node
        if node.op.startswith("FusedBatchNorm")
        and ("is_training" not in node.attr or node.attr["is_training"].b)
    ]
    if training:
        raise GraphError(
            f"{model.path}: the graph was saved for training: {len(training)} batch norms, the "
            f"first is {training[0]!r}, use the statistics of their batch, so outputs would depend "
            "on what else is in it. Save the graph again as it is built for inference"
        )
    return _Signature(
        name=None,
        inputs={structure.source(tensor): tensor for tensor in fed},
        outputs={structure.source(tensor): tensor for tensor in outputs.values()},
    )


def _check(
    meta: MetaGraphDef, signature: _Signature, model: ModelFiles, allow_unsafe_ops: bool
) -> None:
    """Check what will be run: the signature, and the operation that restores variables."""
    graph_def = meta.graph_def
    stop = [structure.source(tensor) for tensor in signature.inputs.values()]
    try:
        structure.check(graph_def, frozen=False)
        run = subgraph(graph_def, signature.outputs.values(), stop=stop)
        ops = {node.op for _, nodes, _ in structure.bodies(run) for node in nodes}
        changed = sorted(op for op in ops if op.startswith("Assign"))
        if changed:
            raise GraphError(
                f"its variables change while it runs ({', '.join(changed)}), so it can't be frozen"
            )
        tables = sorted(op for op in ops if "HashTable" in op or "LookupTable" in op)
        if tables:
            raise GraphError(
                f"it looks values up in tables ({', '.join(tables)}), which a frozen graph can't "
                "hold: save the model with a signature that ends before them"
            )
        if allow_unsafe_ops:
            return
        operations.check(run, besides=structure.VARIABLES | _READING)
        restore = meta.saver_def.restore_op_name
        if restore:
            restoring = subgraph(graph_def, [restore])
            allowed = structure.VARIABLES | _READING | _RESTORING
            operations.check(restoring, besides=allowed)
    except GraphError as error:
        raise GraphError(f"{model.path}: this {model.kind} can't be frozen: {error}") from None


def _has(variables: Path) -> bool:
    return variables.with_name(f"{variables.name}.index").exists()


def _with_named_outputs(graph_def: GraphDef, signature: _Signature) -> GraphDef:
    """With an Identity for each output that has the signature's name for it."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
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
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
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


def _run(graph_def: GraphDef, outputs: Sequence[str], fed: Mapping[str, Array]) -> list[Array]:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    with _session(graph) as session:
        found: list[Array] = session.run(list(outputs), dict(fed))
    return found


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
