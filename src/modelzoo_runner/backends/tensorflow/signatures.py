"""What to freeze of a SavedModel or a checkpoint: its graph, and what is fed and fetched there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.tensorflow import operations, structure
from modelzoo_runner.backends.tensorflow.model_files import ModelFiles
from modelzoo_runner.backends.tensorflow.tensors import check_names, ends, placeholders, subgraph
from modelzoo_runner.errors import GraphError, RequestError, did_you_mean

if TYPE_CHECKING:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

DEFAULT_SIGNATURE = "serving_default"

_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")

_READING = frozenset(("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "DisableCopyOnRead"))

_RESTORING = frozenset(("Assign", "AssignVariableOp", "Restore", "RestoreSlice", "RestoreV2"))
"""What reads a checkpoint into variables, and writes nothing else."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What is fed and fetched, by name."""

    name: str | None
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def saved_meta_graph(path: Path) -> MetaGraphDef:
    """The graph of a SavedModel that serves; it is the only one in most.

    Raises:
        GraphError: it can't be read, or which graph to run is ambiguous.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    binary = path / "saved_model.pb"
    saved = _read(binary if binary.exists() else path / "saved_model.pbtxt", SavedModel())
    metas = list(saved.meta_graphs)
    serving = [meta for meta in metas if "serve" in meta.meta_info_def.tags] or metas
    if len(serving) == 1:
        found: MetaGraphDef = serving[0]
        return found
    tags = "; ".join(", ".join(meta.meta_info_def.tags) for meta in metas) or "none"
    raise GraphError(
        f"{path}: can't tell which of its graphs to run: there should be one with the tag 'serve', "
        f"and there are {tags}. Save the model again, for serving only"
    )


def checkpoint_meta_graph(prefix: Path) -> MetaGraphDef:
    """The graph that was saved with a checkpoint.

    Raises:
        GraphError: it can't be read.
    """
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

    found: MetaGraphDef = _read(prefix.with_name(f"{prefix.name}.meta"), MetaGraphDef())
    return found


def _read(path: Path, message: Any) -> Any:
    """The message in a file, in protobuf's binary or text form."""
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    try:
        if path.suffix == ".pbtxt":
            return text_format.Parse(path.read_text(encoding="utf-8"), message)
        message.ParseFromString(path.read_bytes())
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise GraphError(f"{path}: can't be read: {error}") from None
    return message


def chosen(meta: MetaGraphDef, model: ModelFiles, wanted: str | None) -> Signature:
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
    its = found[name]
    for key, info in (*its.inputs.items(), *its.outputs.items()):
        if not info.name:
            raise GraphError(
                f"{model.path}: {key!r} of signature {name!r} isn't a plain tensor (it is sparse, "
                "ragged or composite), and only plain ones can be fed and fetched here"
            )
    return Signature(
        name=name,
        inputs={key: its.inputs[key].name for key in sorted(its.inputs)},
        outputs={key: its.outputs[key].name for key in sorted(its.outputs)},
    )


def named(
    meta: MetaGraphDef, model: ModelFiles, input: str | None, outputs: Mapping[str, str] | None
) -> Signature:
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
    return Signature(
        name=None,
        inputs={structure.source(tensor): tensor for tensor in fed},
        outputs={structure.source(tensor): tensor for tensor in outputs.values()},
    )


def check(
    meta: MetaGraphDef, signature: Signature, model: ModelFiles, allow_unsafe_ops: bool
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
