"""Load-time optimization: the same results from fewer nodes.

In this order: prune nodes that the outputs don't need, remove pass-through ops, fold batch norms
into the weights before them, fuse residual additions into convolutions. int8 operations stay as
they are. TensorFlow's own optimization still follows when a session opens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelzoo_runner.backends.tensorflow.draft import Draft
from modelzoo_runner.backends.tensorflow.fold_batch_norm import fold_batch_norms
from modelzoo_runner.backends.tensorflow.fuse_residual import fuse_residual_adds
from modelzoo_runner.backends.tensorflow.simplify import (
    clear_devices,
    fold_constants,
    prune,
    remove_pass_through,
)
from modelzoo_runner.backends.tensorflow.structure import source
from modelzoo_runner.machine import onednn

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef


@dataclass(frozen=True)
class Prepared:
    """A graph that is ready for inference.

    `changes` counts what was done: `removed_nodes`, `folded_constants`, and layers with
    `folded_batch_norms`, `folded_factors` (as residual branches are scaled by), `merged_biases`,
    `fused_residual_adds`.
    """

    graph_def: GraphDef
    changes: Mapping[str, int]


def prepare(
    graph_def: GraphDef, *, input: str, outputs: Sequence[str], bfloat16: bool = False
) -> Prepared:
    """The graph made smaller for inference, with the same tensors to feed and fetch.

    The original isn't changed. Outputs are equal up to the rounding of folded weights: within 1e-5
    of their range on every graph tested, and bit for bit where no batch norm or factor was folded.
    Residual additions are fused only where oneDNN is on, which alone has that kernel; and not for
    `bfloat16`, because TensorFlow's conversion to it leaves fused convolutions in float32.
    """
    draft, changes = fold(graph_def, input=input, outputs=outputs)
    fuse = onednn.enabled() and not bfloat16
    changes["fused_residual_adds"] = fuse_residual_adds(draft) if fuse else 0
    prune(draft)
    return Prepared(draft.graph_def(), changes)


def fold(
    graph_def: GraphDef, *, input: str, outputs: Sequence[str]
) -> tuple[Draft, dict[str, int]]:
    """A copy of the graph, pruned and with batch norms folded, and counts of what was changed."""
    draft = Draft(graph_def, fixed=map(source, (input, *outputs)))
    clear_devices(draft)
    removed = prune(draft) + remove_pass_through(draft)
    changes = {"removed_nodes": removed, "folded_constants": fold_constants(draft)}
    changes |= fold_batch_norms(draft)
    prune(draft)
    remove_pass_through(draft)
    return draft, changes
