"""TensorFlow as a runtime: see `base.Backend`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from modelzoo_runner.backends.base import Compiled, TensorSpec, Timed
from modelzoo_runner.backends.tensorflow import (
    bfloat16,
    feeding,
    geometry,
    kernels,
    prepare,
    session,
    tensors,
    thread_pools,
)
from modelzoo_runner.backends.tensorflow import load as loading
from modelzoo_runner.backends.tensorflow.structure import source
from modelzoo_runner.machine import environment, onednn
from modelzoo_runner.values.plan import Placement

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

NAME = "tensorflow"
SUFFIXES = (".pb", ".pbtxt", ".keras", ".h5", ".hdf5", ".meta", ".index")

READ_WHEN_LOADED = ("DNNL_", "EIGEN_", "ITEX_", "MKL_", "ONEDNN_", "TF_", "XLA_")
"""Prefixes of the variables that TensorFlow or oneDNN read when they are loaded or first used, and
keep. By experiment on TensorFlow 2.21: `TF_ENABLE_ONEDNN_OPTS`, `TF_CPP_MIN_LOG_LEVEL` and
`ONEDNN_VERBOSE` do nothing once the first operation ran."""


def blocker(placement: Placement) -> str | None:
    """Why this process can't honor the placement any more, or `None`."""
    too_late = variables_read(placement.env, os.environ)
    if too_late:
        return f"this process has read {', '.join(too_late)} already"
    if thread_pools.lost_in_fork():
        return "this process was forked from one that had TensorFlow's threads, and has none"
    if not thread_pools.initialized():
        return None
    have = thread_pools.configured()
    if have is None:
        return "TensorFlow's thread pools were made here before, by other code"
    asked = (placement.inter_threads, placement.intra_threads)
    if (have.inter_threads, have.intra_threads) == asked:
        return None
    return (
        f"TensorFlow's thread pools were made here with {have.inter_threads} inter-op and "
        f"{have.intra_threads} intra-op threads, not with {asked[0]} and {asked[1]}"
    )


def variables_read(env: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of `env` that come too late for this process, TensorFlow's among them."""
    if "tensorflow" not in sys.modules:
        return environment.read_once(env, environ)
    # Without the variable TensorFlow decides by the processor: what it decided is what counts.
    decided = {"TF_ENABLE_ONEDNN_OPTS": str(int(bool(onednn.enabled())))}
    return environment.read_once(env, {**environ, **decided}, READ_WHEN_LOADED)


def import_runtime() -> None:
    """Load TensorFlow."""
    import tensorflow  # noqa: F401


def set_threads(placement: Placement) -> dict[str, Any]:
    """Make TensorFlow's pools of the process."""
    return asdict(
        thread_pools.make(
            inter_threads=placement.inter_threads, intra_threads=placement.intra_threads
        )
    )


@dataclass(frozen=True)
class Model:
    """A frozen graph; `ready` is what `hold` has made of it for `compile`."""

    graph_def: GraphDef
    ready: prepare.Prepared | None = None

    @property
    def int8_layers(self) -> int:
        """How many convolutions and matrix products compute in int8."""
        return kernels.count_int8(self.graph_def)

    def guess_tensors(
        self, outputs: Mapping[str, str] | None = None
    ) -> tuple[str, Mapping[str, str]]:
        """The input and the outputs (role: tensor) of a graph that nobody described."""
        return tensors.guess_tensors(self.graph_def, outputs)

    def present_outputs(self, outputs: Mapping[str, str]) -> dict[str, str]:
        """Those of the outputs whose node the graph has."""
        return tensors.present_outputs(self.graph_def, outputs)

    def check_tensors(self, input: str, outputs: Mapping[str, str]) -> None:
        """Nothing, if the graph can be fed and fetched there."""
        tensors.check_tensors(self.graph_def, input, outputs)

    def with_feeds(self, feeds: Mapping[str, Any]) -> Model:
        """The graph with constants in place of these inputs."""
        return Model(feeding.with_constants(self.graph_def, feeds))

    def input_spec(self, input: str) -> TensorSpec:
        """What the tensor takes, without opening a session."""
        return session.input_spec(self.graph_def, input)

    def least_bytes(self, input: str, shape: Sequence[int]) -> int:
        """What a step with such a batch takes at least, besides the batch and the weights."""
        nodes = {node.name: node for node in self.graph_def.node}
        return geometry.least_bytes(nodes, source(input), shape)


def load(path: str, *, allow_unsafe_ops: bool) -> Model:
    """The frozen graph in a file."""
    return Model(loading.read_graph(path, allow_unsafe_ops=allow_unsafe_ops))


def compile(
    model: Model,
    *,
    input: str,
    outputs: Sequence[str],
    placement: Placement,
    precision: str,
    optimize: bool,
    timed: Timed,
) -> Compiled:
    """A session's step, of the graph or of what `prepare` makes of it."""
    is_bfloat16 = precision == "bfloat16"
    ready = model.ready
    if ready is None:
        with timed("prepare") if optimize else nullcontext():
            ready = _ready(model, input, outputs, precision, optimize)
    graph = ready.graph_def
    kernels.check_kernels(graph, outputs=outputs)
    card: dict[str, Any] = {
        "nodes": len(model.graph_def.node),
        "nodes_run": len(graph.node),
        "int8_layers": kernels.count_int8(graph),
        "changes": dict(ready.changes),
    }
    if is_bfloat16:
        with timed("prepare"):
            graph = bfloat16.convert(graph, input=input, outputs=outputs)
        card["bfloat16_layers"], card["layers"] = bfloat16.count(graph)
    notes = list(feeding.notes(model.graph_def))
    if notes:
        card["notes"] = notes
    with timed("session"):
        step = session.open_step(
            graph,
            input=input,
            outputs=outputs,
            inter_threads=placement.inter_threads,
            intra_threads=placement.intra_threads,
            prepared=optimize,
        )
    return Compiled(step=step, card=card)


def hold(
    model: Model, *, input: str, outputs: Sequence[str], precision: str, optimize: bool
) -> Model:
    """The model prepared, for all that `compile` it later with the same arguments.

    TensorFlow's own object of it isn't made: TensorFlow 2.16 starts a thread for that, which would
    be missing in a fork.
    """
    return replace(model, ready=_ready(model, input, outputs, precision, optimize))


def _ready(
    model: Model, input: str, outputs: Sequence[str], precision: str, optimize: bool
) -> prepare.Prepared:
    if not optimize:
        return prepare.Prepared(model.graph_def, {})
    is_bfloat16 = precision == "bfloat16"
    return prepare.prepare(model.graph_def, input=input, outputs=outputs, bfloat16=is_bfloat16)


def facts() -> dict[str, Any]:
    """The version of the TensorFlow that is loaded."""
    import tensorflow as tf

    return {"name": NAME, "version": tf.__version__}
