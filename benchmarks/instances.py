"""Two instances of one core each beside one run on two cores.

    python benchmarks/instances.py [GRAPH.pb ...] [--batch-size 1] [--steps 20] [--rounds 3]

For random ResNet-50, or each graph given, in turn in one run: the total throughput of the two
instances divided by that of the one run, its median over the rounds, and how far the measurements
can be trusted. Above 1, a second instance makes more of a core than a second thread does.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator
from typing import Any

from modelzoo_runner import BenchmarkResult, benchmark


def main() -> None:
    """Measure and print, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("graphs", nargs="*", metavar="GRAPH.pb")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    steps: dict[str, Any] = {"batch_size": asked.batch_size, "steps": asked.steps}
    for graph in asked.graphs or [None]:
        found = []
        for ratio, two, one in itertools.islice(rounds(graph, **steps), asked.rounds):
            found.append(ratio)
            print(f"  {ratio:.3f}: {_said(two)} by two, {_said(one)} by one", flush=True)
        name = one.plan.model
        print(f"{name}: two instances / one run: {statistics.median(found):.3f}", flush=True)


def rounds(
    graph: str | None = None, **steps: Any
) -> Iterator[tuple[float, BenchmarkResult, BenchmarkResult]]:
    """The ratio of each round, with the result of two instances and of one run, without end."""
    what = {"model": "resnet50", "weights": "random"} if graph is None else {"model": graph}
    while True:
        one = benchmark(**what, **steps, num_cores=2, isolation="child")
        two = benchmark(**what, **steps, num_cores=2, instances=2)
        yield two.throughput / one.throughput, two, one


def _said(result: BenchmarkResult) -> str:
    return f"{result.throughput:.1f} examples/s ({result.verdict})"


if __name__ == "__main__":
    main()
