"""What preparing a graph at load time gains: prepared against original, in one process.

    python benchmarks/prepare.py GRAPH.pb|TOPOLOGY ... [--batch-size 1 32] [--rounds 40]

Calls the original, the prepared graph, the same opened with all of TensorFlow's own optimizers, and
the prepared graph without fused residual additions in turn. Prints the nodes before and after, the
time to prepare and the times to open each, the largest difference of the outputs relative to their
range, and the ratio of each one's median step to the original's: above 1 is faster. The spread is
the quartiles of the ratios of neighbouring steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo_runner.backends.tensorflow.load import read_graph
from modelzoo_runner.backends.tensorflow.prepare import prepare
from modelzoo_runner.backends.tensorflow.session import Step, open_step
from modelzoo_runner.backends.tensorflow.tensors import guess_tensors
from modelzoo_runner.backends.tensorflow.topologies import catalog


def batch_for(step: Step, size: int, image: int) -> np.ndarray:
    """Random images of the graph's own size, or of this one where it leaves that open."""
    shape = [image if length is None else length for length in (step.input_shape or ())[1:]]
    rng = np.random.default_rng(0)
    if step.input_dtype == "uint8":
        return rng.integers(0, 256, (size, *shape), np.uint8)
    return rng.uniform(-1, 1, (size, *shape)).astype(step.input_dtype)


def seconds(
    steps: dict[str, Step], batch: np.ndarray, rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """The time of each step of each graph, the graphs in turn."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 3):
        for name, step in steps.items():
            start = clock()
            step(batch)
            if turn >= 3:
                found[name].append(clock() - start)
    return found


def measure(name: str, asked: argparse.Namespace) -> None:
    """Print what preparing one graph gains."""
    graph_def: Any = read_graph(name) if Path(name).exists() else catalog.build(name)
    input, roles = guess_tensors(graph_def)
    outputs = list(roles.values())
    start = time.perf_counter()
    prepared = prepare(graph_def, input=input, outputs=outputs)
    took = time.perf_counter() - start
    # The same preparation, but for what bfloat16 leaves out: the residual additions.
    unfused = prepare(graph_def, input=input, outputs=outputs, bfloat16=True)
    graphs = {
        "original": graph_def,
        "prepared": prepared.graph_def,
        "all optimizers": prepared.graph_def,
    }
    if prepared.changes["fused_residual_adds"]:
        graphs["unfused"] = unfused.graph_def
    steps, opening = {}, {}
    for kind, each in graphs.items():
        start = time.perf_counter()
        steps[kind] = open_step(
            each,
            input=input,
            outputs=outputs,
            inter_threads=1,
            intra_threads=asked.threads,
            prepared=kind in ("prepared", "unfused"),
        )
        opening[kind] = time.perf_counter() - start
    print(
        f"{Path(name).name}: {len(graph_def.node)} -> {len(prepared.graph_def.node)} nodes in "
        f"{took:.2f} s, {', '.join(f'{k} {n}' for k, n in prepared.changes.items() if n)}"
    )
    print(f"  opened in {', '.join(f'{took:.2f} s ({kind})' for kind, took in opening.items())}")
    for size in asked.batch_size:
        batch = batch_for(steps["original"], size, asked.image)
        pairs = zip(steps["original"](batch), steps["prepared"](batch), strict=True)
        furthest = max(float(np.abs(a - b).max() / (np.ptp(a) or 1)) for a, b in pairs)
        clock = time.process_time if asked.cpu_time else time.perf_counter
        found = seconds(steps, batch, asked.rounds, clock)
        base = found["original"]
        print(f"  batch {size}: {statistics.median(base) * 1e3:.2f} ms, difference {furthest:.1e}")
        for kind in list(steps)[1:]:
            ratios = [old / new for old, new in zip(base, found[kind], strict=True)]
            low, _, high = statistics.quantiles(ratios, n=4)
            ratio = statistics.median(base) / statistics.median(found[kind])
            print(f"    {kind:<16}{ratio:.3f}x ({low:.3f} to {high:.3f})")


def main() -> None:
    """Read the command line and measure each graph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", nargs="+")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--image", type=int, default=300, help="where the graph leaves it open")
    parser.add_argument("--cpu-time", action="store_true", help="where others use the machine too")
    asked = parser.parse_args()
    for name in asked.graphs:
        measure(name, asked)


if __name__ == "__main__":
    main()
