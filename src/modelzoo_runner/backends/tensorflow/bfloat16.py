"""A float32 graph in bfloat16: TensorFlow's automatic mixed precision, before a session is opened.

A session would do the same by itself, and only log it where it gives the conversion up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.structure import bodies
from modelzoo_runner.backends.tensorflow.tensors import subgraph
from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine import onednn

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    Weights = Mapping[str, TensorProto]


def convert(graph_def: GraphDef, *, input: str, outputs: Sequence[str]) -> GraphDef:
    """The graph with casts, and with weights in bfloat16, where TensorFlow thinks that safe.

    Raises:
        RequestError: oneDNN is off in this process.
    """
    if not onednn.enabled():
        raise RequestError(
            'precision="bfloat16": needs oneDNN, which is off in this process. Set '
            "TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported"
        )
    # What the weights are doesn't matter for that, and each copy of them takes time.
    outline, weights = _without_weights(graph_def)
    converted = _with_casts(outline, [input, *outputs])
    _cast_weights(converted, weights)
    needed = subgraph(converted, [input, *outputs])
    for node in needed.node:
        if node.name in weights:
            node.attr["value"].tensor.CopyFrom(weights[node.name])
    return needed


def count(graph_def: GraphDef) -> tuple[int, int]:
    """How many convolutions and matrix products compute in bfloat16, and how many there are."""
    from tensorflow.core.framework.types_pb2 import DT_BFLOAT16

    types = [
        node.attr["T"].type
        for _, nodes, _ in bodies(graph_def)
        for node in nodes
        if ("Conv" in node.op or "MatMul" in node.op) and "T" in node.attr
    ]
    return types.count(DT_BFLOAT16), len(types)


def _without_weights(graph_def: GraphDef) -> tuple[GraphDef, Weights]:
    """The graph with zeros for its float32 constants, and what these are."""
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.framework.types_pb2 import DT_FLOAT

    outline = GraphDef(versions=graph_def.versions, library=graph_def.library)
    weights = {}
    for node in graph_def.node:
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is None or tensor.dtype != DT_FLOAT:
            outline.node.add().CopyFrom(node)
            continue
        weights[node.name] = tensor
        own = outline.node.add(name=node.name, op=node.op, device=node.device, input=node.input)
        own.attr["dtype"].type = DT_FLOAT
        zeros = TensorProto(dtype=DT_FLOAT, tensor_shape=tensor.tensor_shape, float_val=[0.0])
        own.attr["value"].tensor.CopyFrom(zeros)
    return outline, weights


def _with_casts(graph_def: GraphDef, kept: Sequence[str]) -> GraphDef:
    """What TensorFlow's optimizer makes of the graph."""
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.core.protobuf.device_properties_pb2 import DeviceProperties, NamedDevice
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
    from tensorflow.python.grappler import cluster, tf_optimizer

    meta = MetaGraphDef(graph_def=graph_def)
    meta.collection_def["train_op"].node_list.value.extend(kept)
    config = ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers.append("auto_mixed_precision_onednn_bfloat16")
    rewriting.min_graph_nodes = -1
    rewriting.meta_optimizer_iterations = RewriterConfig.ONE
    # Without a device it would open a session to see what there is, and so decide on threads.
    cpu = NamedDevice(
        name="/job:localhost/replica:0/task:0/device:CPU:0",
        properties=DeviceProperties(type="CPU"),
    )
    converted: GraphDef = tf_optimizer.OptimizeGraph(
        config, meta, cluster=cluster.Cluster(devices=[cpu])
    )
    return converted


def _cast_weights(graph_def: GraphDef, weights: Weights) -> None:
    """Make each cast of a weight a constant in bfloat16."""
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.framework.types_pb2 import DT_BFLOAT16

    for node in graph_def.node:
        if node.op != "Cast" or node.attr["DstT"].type != DT_BFLOAT16:
            continue
        tensor = weights.get(node.input[0])
        if tensor is None:
            continue
        values = tf.make_ndarray(tensor).astype(tf.bfloat16.as_numpy_dtype)
        node.op = "Const"
        del node.input[:]
        node.attr.clear()
        node.attr["dtype"].type = DT_BFLOAT16
        cast = TensorProto(
            dtype=DT_BFLOAT16, tensor_shape=tensor.tensor_shape, tensor_content=values.tobytes()
        )
        node.attr["value"].tensor.CopyFrom(cast)
