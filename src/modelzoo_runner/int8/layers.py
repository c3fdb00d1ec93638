"""Each layer of a graph: whether it is int8, could be, and can run here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modelzoo_runner.backends.tensorflow import geometry, kernels
from modelzoo_runner.backends.tensorflow.opdef import stated
from modelzoo_runner.backends.tensorflow.session import imported, open_step
from modelzoo_runner.int8.analysis import Analysis, analyze
from modelzoo_runner.int8.find import find
from modelzoo_runner.machine import onednn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

State: TypeAlias = Literal["int8", "fp32", "unsupported"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution or matrix product.

    `why` says what keeps it in float32, or what is missing here to run it in int8. `multiply_adds`
    are for one example, None where sizes aren't known.
    """

    name: str
    op: str
    state: State
    why: str = ""
    multiply_adds: int | None = None


def layers(
    graph_def: GraphDef,
    *,
    input: str,
    outputs: Sequence[str],
    batch: NDArray[Any] | None = None,
) -> tuple[Layer, ...]:
    """All layers of the top graph that the outputs need.

    With a `batch`, sizes are those of a step with it, if all layers can run; otherwise those that
    follow from the graph.
    """
    analysis = analyze(graph_def, input=input, outputs=outputs)
    findings = find(analysis)
    could = dict.fromkeys((layer.name for layer in findings.layers.values()), "it could be int8")
    why = {**could, **findings.float_reasons}
    found = [node for node in analysis.nodes.values() if _is_layer(node.op)]
    states = {node.name: _state(node, why) for node in found}
    can_run = all(state != "unsupported" for state, _ in states.values())
    if batch is not None and can_run:
        places = _places_in_a_step(found, analysis, input, batch)
    else:
        places = _applications(found, analysis)
    return tuple(
        Layer(
            name=node.name,
            op=node.op,
            state=states[node.name][0],
            why=states[node.name][1],
            multiply_adds=_work(node, analysis, places[node.name]),
        )
        for node in found
    )


def _is_layer(op: str) -> bool:
    return geometry.is_convolution(op) or "MatMul" in op


def _state(node: NodeDef, why: Mapping[str, str]) -> tuple[State, str]:
    if "Quantized" in node.op:
        missing = kernels.missing_kernel(node)
        if missing:
            return "unsupported", f"this TensorFlow has no kernel for {missing}"
        if not onednn.enabled():
            setting = "TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported"
            return "unsupported", f"oneDNN is off: set {setting}"
        return "int8", ""
    if node.op.startswith("_Fused"):
        return "fp32", "it was fused for float32: quantize the graph before it is prepared"
    return "fp32", why.get(node.name, "this operation has no int8 form")


def _applications(found: Sequence[NodeDef], analysis: Analysis) -> dict[str, float | None]:
    """How often each layer's weights are applied to one example, as far as the graph tells."""
    sizes = geometry.sizes({name: _stating(node) for name, node in analysis.nodes.items()})
    return {node.name: geometry.layer_places(node, sizes[node.name]) for node in found}


def _stating(node: NodeDef) -> NodeDef:
    """A quantized convolution with the zeros around its input stated as a float one has them."""
    pads = stated(node, "padding_list").list.i
    if not any(pads):
        return node
    copy = type(node).FromString(node.SerializeToString())
    copy.attr["padding"].s = b"EXPLICIT"
    copy.attr["explicit_paddings"].list.i.extend(pads)
    return copy


def _places_in_a_step(
    found: Sequence[NodeDef], analysis: Analysis, input: str, batch: NDArray[Any]
) -> dict[str, float | None]:
    """The same, counted in a step; what is in a loop or on a branch can't be."""
    import tensorflow as tf

    counted = [node.name for node in found if node.name not in analysis.in_control_flow]
    graph = imported(analysis.graph_def)
    with graph.as_default():
        shapes = [tf.shape(graph.get_tensor_by_name(f"{name}:0")).name for name in counted]
    places: dict[str, float | None] = {node.name: None for node in found}
    if counted:
        with open_step(graph, input=input, outputs=shapes, rewrite=False) as step:
            for name, shape in zip(counted, step(batch), strict=True):
                places[name] = math.prod(map(int, shape[:-1])) / len(batch)
    return places


def _work(node: NodeDef, analysis: Analysis, places: float | None) -> int | None:
    weights = geometry.filter_shape(node, analysis.nodes)
    if weights is None or places is None:
        return None
    return round(math.prod(weights) * places)
