"""Which way to call a graph is fastest.

    python benchmarks/step.py [GRAPH.pb] [--batch-size 1] [--rounds 300]

Calls a graph that does nothing, and the one given, in each way that TensorFlow has, in turn within
one process, with a batch aligned to 64 bytes and with one that isn't. Prints for each way the
median time of a step and the median of its ratio to `Session.run` in the same round, with the
quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.session import open_step
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors

Call = Callable[[np.ndarray], Any]
GraphDef = Any


def ways(graph_def: GraphDef, input: str, outputs: list[str], threads: int) -> Mapping[str, Call]:
    """The same graph as functions of a batch, one for each way to call it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    config = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    session = v1.Session(graph=graph, config=config)
    step = open_step(
        graph_def, input=input, outputs=outputs, inter_threads=1, intra_threads=threads
    )
    wrapped = v1.wrap_function(lambda: tf.import_graph_def(graph_def, name=""), [])
    pruned = wrapped.prune(input, outputs)
    return {
        "Session.run": lambda batch: session.run(outputs, {input: batch}),
        "make_callable": session.make_callable(outputs, [input]),
        "wrap_function": lambda batch: [each.numpy() for each in pruned(tf.constant(batch))],
        "open_step": step,
    }


def nothing(count: int) -> GraphDef:
    """A graph that hands on a batch of so many numbers."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.identity(tf.compat.v1.placeholder("float32", [None, count], name="input"), name="output")
    return graph.as_graph_def()


def aligned(array: np.ndarray, offset: int = 0) -> np.ndarray:
    """A copy that starts `offset` bytes behind a multiple of 64."""
    memory = np.empty(array.nbytes + 64 + offset, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def compare(calls: Mapping[str, Call], batch: np.ndarray, rounds: int) -> None:
    """Print how long each way takes, all of them in turn."""
    for call in calls.values():
        for _ in range(5):
            call(batch)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call(batch)
            seconds[name].append(time.perf_counter() - start)
    base = seconds["Session.run"]
    for name, times in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(times, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"  {name:<15}{statistics.median(times) * 1e6:>10.1f} us   "
            f"{middle:.3f} of Session.run ({low:.3f} to {high:.3f})"
        )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph", nargs="?")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    for count in (4, 2_000_000):
        calls = ways(nothing(count), "input:0", ["output:0"], asked.threads)
        batch = np.zeros((1, count), np.float32)
        rounds = asked.rounds if count == 4 else min(asked.rounds, 40)
        for offset in (0, 4):
            print(f"a graph that does nothing, {batch.nbytes:,} bytes, offset {offset}")
            compare(calls, aligned(batch, offset), rounds)
    if asked.graph:
        graph_def = read_graph(asked.graph)
        input, outputs = guess_tensors(graph_def)
        calls = ways(graph_def, input, list(outputs.values()), asked.threads)
        step = calls["open_step"]
        shape = [size or 300 for size in step.input_shape[1:]]
        batch = np.random.default_rng(0).uniform(-1, 1, (asked.batch_size, *shape))
        print(f"{asked.graph}, batch {asked.batch_size}")
        compare(calls, aligned(batch.astype(step.input_dtype)), asked.rounds)


if __name__ == "__main__":
    main()
