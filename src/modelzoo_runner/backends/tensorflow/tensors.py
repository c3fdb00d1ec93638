"""Which tensors of a graph are fed and fetched: check their names, or find them.

A tensor is `node:number`, as in `input:0`; the number says which of the node's outputs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow import opdef
from modelzoo_runner.backends.tensorflow.structure import (
    calls,
    function_arguments,
    reachable,
    source,
)
from modelzoo_runner.errors import GraphError, nearest
from modelzoo_runner.values.preset import MASKS

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

DETECTION_ROLES = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
"""What the exports of the TensorFlow Object Detection API call their outputs."""

# Operations whose output is never a result.
_NO_RESULT = frozenset(("Assert", "Const", "HostConst", "NoOp", "Placeholder"))


def check_tensors(graph_def: GraphDef, input: str, outputs: Mapping[str, str]) -> None:
    """Check that the graph can be fed at `input` and fetched at each of `outputs` (role: tensor).

    Raises:
        GraphError: naming the tensor that isn't there and the near ones, another placeholder that
            the outputs need, or outputs that don't depend on the input.
    """
    check_names(graph_def, {"input": input, **outputs})
    nodes = {node.name: node for node in graph_def.node}
    needed = upstream(nodes, outputs.values(), stop=source(input))
    unfed = sorted(needed.intersection(placeholders(graph_def)) - {source(input)})
    if unfed:
        example = ", ".join(f'"{name}:0": ...' for name in unfed[:3])
        raise GraphError(
            f"the outputs need {_some(unfed)} fed too, and only {input!r} is. Give what doesn't "
            f"change from batch to batch as feeds={{{example}}}, or name as the input the tensor "
            "that all outputs follow from"
        )
    if source(input) not in needed:
        raise GraphError(
            f"none of the outputs ({', '.join(map(repr, outputs.values()))}) depends on the input "
            f"{input!r}"
        )


def check_names(graph_def: GraphDef, tensors: Mapping[str, str]) -> None:
    """Check that the graph has each of these tensors (role: tensor).

    Raises:
        GraphError: naming the tensor that isn't there and the near ones.
    """
    nodes = {node.name: node for node in graph_def.node}
    for role, tensor in tensors.items():
        _check_tensor(graph_def, nodes, role, tensor)


def guess_tensors(
    graph_def: GraphDef, outputs: Mapping[str, str] | None = None
) -> tuple[str, Mapping[str, str]]:
    """The input and the outputs (role: tensor) of a graph without a description.

    `outputs` are those that are known.

    The input is the only placeholder that the outputs need. The outputs are the four that detection
    exports have by name, with the masks if there are any, or else the only node that nothing
    follows, as `scores`.

    Raises:
        GraphError: listing the candidates where there is none or more than one.
    """
    nodes = {node.name: node for node in graph_def.node}
    if outputs:
        check_names(graph_def, outputs)
    elif nodes.keys() >= set(DETECTION_ROLES):
        roles = (*DETECTION_ROLES, MASKS)
        outputs = present_outputs(graph_def, {role: f"{role}:0" for role in roles})
    else:
        if not placeholders(graph_def):
            _only([], "placeholder", "input")
        outputs = {"scores": f"{_only(ends(graph_def), 'node that nothing follows', 'output')}:0"}
    needed = upstream(nodes, outputs.values())
    fed = [name for name in placeholders(graph_def) if name in needed]
    return f"{_only(fed, 'placeholder', 'input')}:0", outputs


def present_outputs(graph_def: GraphDef, outputs: Mapping[str, str]) -> dict[str, str]:
    """Those of the outputs (role: tensor) whose node the graph has."""
    names = {node.name for node in graph_def.node}
    return {role: tensor for role, tensor in outputs.items() if source(tensor) in names}


def placeholders(graph_def: GraphDef) -> list[str]:
    """The names of the nodes that have to be fed."""
    return [node.name for node in graph_def.node if node.op in ("Placeholder", "PlaceholderV2")]


def ends(graph_def: GraphDef) -> list[str]:
    """The names of the nodes whose result no other node reads."""
    followed = {source(tensor) for node in graph_def.node for tensor in node.input}
    return [
        node.name
        for node in graph_def.node
        if node.name not in followed and node.op not in _NO_RESULT
    ]


def upstream(
    nodes: Mapping[str, NodeDef], tensors: Iterable[str], *, stop: str | None = None
) -> set[str]:
    """The names of all nodes that these tensors need, without going further up than `stop`."""
    return reachable(
        map(source, tensors), lambda name: () if name == stop else map(source, nodes[name].input)
    )


def subgraph(
    graph_def: GraphDef, tensors: Iterable[str], *, stop: Collection[str] = ()
) -> GraphDef:
    """Only what these tensors need, library functions included, without what `stop` nodes need."""
    inputs = {node.name: node.input for node in graph_def.node if node.name not in stop}
    needed = reachable(map(source, tensors), lambda name: map(source, inputs.get(name, ())))
    part = type(graph_def)(versions=graph_def.versions)
    part.node.extend(node for node in graph_def.node if node.name in needed)
    callees = calls(graph_def)
    direct = [each for node in part.node for each in (node.op, *function_arguments(node))]
    called = reachable(direct, lambda name: callees.get(name, ()))
    functions = graph_def.library.function
    part.library.function.extend(each for each in functions if each.signature.name in called)
    return part


def _check_tensor(
    graph_def: GraphDef, nodes: Mapping[str, NodeDef], role: str, tensor: str
) -> None:
    name, colon, number = tensor.partition(":")
    if name not in nodes:
        near = nearest(name, nodes)
        if near:
            hint = f"Did you mean {' or '.join(repr(f'{each}:0') for each in near)}?"
        else:
            hint = _instead(graph_def, role)
        raise GraphError(f"{role}: there is no tensor {tensor!r} in the graph. {hint}")
    if not colon or not number.isdecimal():
        raise GraphError(
            f"{role}: {tensor!r} names a node; a tensor needs the number of the node's output too: "
            f"{f'{name}:0'!r}"
        )
    op_def = opdef.find(nodes[name].op, graph_def)
    count = opdef.output_count(nodes[name], op_def) if op_def is not None else None
    if count is not None and int(number) >= count:
        raise GraphError(
            f"{role}: there is no tensor {tensor!r}. Node {name!r} ({nodes[name].op}) has {count} "
            "of them, numbered from 0"
        )


def _instead(graph_def: GraphDef, role: str) -> str:
    """What there is in place of a tensor that has no near name."""
    if role == "input":
        found = placeholders(graph_def)
        return f"Placeholders: {_some(found) if found else 'none'}"
    found = ends(graph_def)
    return f"Nodes that nothing follows: {_some(found) if found else 'none'}"


def _only(names: list[str], what: str, role: str) -> str:
    if len(names) != 1:
        found = f"{len(names)} of them ({_some(names)})" if names else "none"
        raise GraphError(
            f"can't tell the {role} of this graph: it should be the only {what}, and there "
            f"{'are' if names else 'is'} {found}. Name the tensors yourself"
        )
    return names[0]


def _some(names: list[str], count: int = 8) -> str:
    rest = len(names) - count
    return ", ".join(map(repr, names[:count])) + (f" and {rest} more" if rest > 0 else "")
