"""What a graph is fed with beside the batch: constants for other inputs, and none from a pipeline.

Inputs that are the same in every step become constants of the graph, so that what depends on them
is folded. A graph that reads its own input, from a queue or an iterator, gets a placeholder there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.base import show_shape
from modelzoo_runner.backends.tensorflow import session
from modelzoo_runner.backends.tensorflow.opdef import stated
from modelzoo_runner.backends.tensorflow.structure import source
from modelzoo_runner.backends.tensorflow.tensors import check_names, ends, subgraph
from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_READS_PIPELINE = ("QueueDequeue", "IteratorGetNext", "OneShotIterator", "ReaderRead")
_BATCHED = ("QueueDequeueMany", "QueueDequeueUpTo", "IteratorGetNext")
_FEEDS_PIPELINE = ("Queue", "Iterator", "MakeIterator", "Reader", "MergeSummary", "Assert")

_MARK = "_input_pipeline"
"""The attribute of a placeholder that stands where the graph read a pipeline."""


def with_constants(graph_def: GraphDef, feeds: Mapping[str, Any]) -> GraphDef:
    """A copy of the graph with constants (tensor: value) in place of these tensors.

    Raises:
        GraphError: a tensor isn't there, or doesn't take the value.
    """
    import numpy as np
    import tensorflow as tf

    check_names(graph_def, {f"feeds[{tensor!r}]": tensor for tensor in feeds})
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    nodes = {node.name: node for node in copy.node}
    for tensor, value in feeds.items():
        name, _, number = tensor.partition(":")
        if number != "0" or any(
            source(each) == name and each.partition(":")[2] not in ("", "0")
            for node in copy.node
            for each in node.input
        ):
            raise GraphError(
                f"feeds[{tensor!r}]: node {name!r} ({nodes[name].op}) has several outputs; only a "
                "whole node can be replaced by a constant: give what comes before it"
            )
        dtype, shape = session.dtype_and_shape(graph_def, tensor)
        try:
            array = np.asarray(value)
            if array.dtype.kind == "f" and dtype.is_integer:
                if (array % 1 != 0).any():
                    raise ValueError("not a whole number")
                array = array.astype(np.int64)
            constant = tf.make_tensor_proto(array.tolist(), dtype=dtype, shape=array.shape)
        except (TypeError, ValueError, OverflowError) as error:
            raise GraphError(
                f"feeds[{tensor!r}]={value!r}: the graph takes {dtype.name} there "
                f"({str(error).splitlines()[0]})"
            ) from None
        if not shape.is_compatible_with(array.shape):
            raise GraphError(
                f"feeds[{tensor!r}]: the graph takes the shape {show_shape(shape.as_list())}, not "
                f"{show_shape(array.shape)}"
            )
        node = nodes[name]
        node.Clear()
        node.name, node.op = name, "Const"
        node.attr["value"].tensor.CopyFrom(constant)
        node.attr["dtype"].type = dtype.as_datatype_enum
    return copy


def without_pipeline(graph_def: GraphDef) -> GraphDef:
    """The graph with a placeholder where it reads a queue or an iterator, and without those.

    A graph that doesn't is given back as it is.
    """
    if not any(node.op.startswith(_READS_PIPELINE) for node in graph_def.node):
        return graph_def
    kinds = {node.name: node.op for node in graph_def.node}
    results = [
        name
        for name in ends(graph_def)
        if not (kinds[name].startswith(_FEEDS_PIPELINE) or "Dataset" in kinds[name])
    ]
    reading = [name for name, op in kinds.items() if op.startswith(_READS_PIPELINE)]
    needed = {node.name for node in subgraph(graph_def, results, stop=reading).node}
    reading = [name for name in reading if name in needed and name not in results]
    if not reading:
        return graph_def
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    nodes = {node.name: node for node in copy.node}
    made: dict[str, NodeDef] = {}
    for node in copy.node:
        for place, tensor in enumerate(node.input):
            if source(tensor) in reading and not tensor.startswith("^"):
                placeholder = _placeholder(nodes[source(tensor)], tensor, nodes)
                made[placeholder.name] = placeholder
                node.input[place] = placeholder.name
    kept = [node for node in copy.node if node.name not in reading]
    for node in kept:
        inputs = [tensor for tensor in node.input if tensor.removeprefix("^") not in reading]
        inputs += [tensor for tensor in node.input if tensor in made and tensor in reading]
        if len(inputs) != len(node.input):
            node.ClearField("input")
            node.input.extend(inputs)
    rest = type(graph_def)(versions=copy.versions, library=copy.library)
    rest.node.extend([*made.values(), *kept])
    return subgraph(rest, results)


def notes(graph_def: GraphDef) -> Iterator[str]:
    """What the user of a result has to know about how the graph is fed."""
    for node in graph_def.node:
        if _MARK in node.attr:
            op = node.attr[_MARK].s.decode()
            yield (
                f"the graph reads its input from a pipeline of its own ({op}), which isn't run: it "
                f"is fed behind it, at {node.name}:0"
            )


def _placeholder(reader: NodeDef, tensor: str, nodes: Mapping[str, NodeDef]) -> NodeDef:
    """A placeholder of the type and shape of what is read."""
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.types_pb2 import DT_STRING

    place = tensor.partition(":")[2]
    number = int(place) if place.isdecimal() else 0
    name = reader.name if number == 0 else f"{reader.name}/component_{number}"
    types = stated(reader, "component_types").list.type or stated(reader, "output_types").list.type
    made = NodeDef(name=name, op="Placeholder")
    made.attr["dtype"].type = types[number] if number < len(types) else DT_STRING
    shapes = stated(reader, "output_shapes").list.shape
    if not shapes and reader.input:
        shapes = stated(nodes[source(reader.input[0])], "shapes").list.shape
    shape = made.attr["shape"].shape
    if number < len(shapes) and not shapes[number].unknown_rank:
        if reader.op.startswith("QueueDequeue") and reader.op.startswith(_BATCHED):
            shape.dim.add(size=-1)
        shape.dim.extend(shapes[number].dim)
        if reader.op.startswith(_BATCHED) and shape.dim:
            shape.dim[0].size = -1  # as many as are fed
    else:
        shape.unknown_rank = True
    made.attr[_MARK].s = reader.op.encode()
    return made
