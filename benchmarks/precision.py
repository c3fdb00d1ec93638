"""Other precisions beside fp32: how many times as fast, in one run.

    python benchmarks/precision.py [--fp32 GRAPH.pb] [--int8 GRAPH.pb]
                                   [--data-location FOLDER]
                                   [--batch-size 1] [--steps 20] [--rounds 3]

fp32 is random ResNet-50 or the graph given. bfloat16 runs the same graph where the processor can
compute in it; int8 is a graph of the same network, or random ResNet-50 again. The precisions take
turns in each round; printed are the medians of the ratios of their throughputs. Input is synthetic;
give a detector's graphs images of COCO's, for its time depends on what is in them.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from modelzoo_runner import BindingError, benchmark


def main() -> None:
    """Measure and print, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fp32", metavar="GRAPH.pb")
    parser.add_argument("--int8", metavar="GRAPH.pb")
    parser.add_argument("--data-location", metavar="FOLDER")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    fp32: dict[str, Any] = {"model": asked.fp32}
    if asked.fp32 is None:
        fp32 = {"model": "resnet50", "weights": "random"}
    runs = {"fp32": fp32, "bfloat16": {**fp32, "precision": "bfloat16"}}
    if asked.int8 is not None:
        runs["int8"] = {"model": asked.int8, "precision": "int8"}
    elif asked.fp32 is None:
        runs["int8"] = {**fp32, "precision": "int8"}
    ratios: dict[str, list[float]] = {}
    for number in range(asked.rounds):
        base = 0.0
        for name, what in tuple(runs.items()):
            try:
                result = benchmark(
                    **what,
                    data_location=asked.data_location,
                    batch_size=asked.batch_size,
                    steps=asked.steps,
                )
            except BindingError as error:
                print(f"{name} is left out: {error}")
                del runs[name]
                continue
            base = base or result.throughput
            ratios.setdefault(name, []).append(result.throughput / base)
            print(
                f"  round {number + 1}: {name} {result.throughput:.1f} examples/s "
                f"({result.verdict})",
                flush=True,
            )
    for name, found in ratios.items():
        if name != "fp32":
            print(f"{name} / fp32: {statistics.median(found):.3f}", flush=True)


if __name__ == "__main__":
    main()
