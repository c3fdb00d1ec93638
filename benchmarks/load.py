"""Latency under load beside a simulated queue: p99 at some rates, measured and as it should be.

    python benchmarks/load.py MODEL [--weights random] [--queries 2000] [--utilization 0.3 0.6 0.8]

The queue with one server is simulated in plain Python. *Replayed* takes the arrivals and the step
times of the run itself, one by one, and should give the same p99 but for what the harness adds.
*Drawn* takes step times of the run at random and arrivals of its own, many times: the middle and
the range in which 95 % of such runs have their p99. *One by one* does so with the step times of a
run without arrivals.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterable, Sequence

from modelzoo_runner import benchmark
from modelzoo_runner.results.stats import percentile

RUNS = 400
"""Simulated runs of each rate."""


def p99_of_queue(arrivals: Iterable[float], steps: Iterable[float]) -> float:
    """p99 of a queue with one server, first come first served: it begins when both are ready."""
    free = 0.0
    latencies = []
    for due, step in zip(arrivals, steps, strict=True):
        free = max(free, due) + step
        latencies.append(free - due)
    return percentile(sorted(latencies), 0.99)


def drawn(rate: float, steps: Sequence[float], queries: int) -> list[float]:
    """p99 of simulated runs with step times drawn from `steps`, the lowest first."""
    chance = random.Random(0)
    found = []
    for _ in range(RUNS):
        gaps = (chance.expovariate(rate) for _ in range(queries))
        own = chance.choices(steps, k=queries)
        found.append(p99_of_queue(itertools.accumulate(gaps), own))
    return sorted(found)


def main() -> None:
    """Measure, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--weights")
    parser.add_argument("--runtime")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--utilization", type=float, nargs="+", default=[0.3, 0.6, 0.8])
    asked = parser.parse_args()
    same = {"runtime": asked.runtime, "batch_size": 1}
    if asked.weights is not None:
        same["weights"] = asked.weights
    alone = benchmark(asked.model, **same, steps=asked.queries)
    capacity = 1 / alone.latency.mean
    single = percentile(sorted(alone.latency_seconds), 0.99)
    print(f"{asked.model}: {capacity:.1f} queries/s one by one, p99 {single:.4f} s")
    print("queries/s  busy  p99 measured  replayed  drawn                    one by one")
    for share in asked.utilization:
        rate = share * capacity
        run = benchmark(
            asked.model, **same, steps=asked.queries, arrivals="poisson", rate=rate, seed=1
        )
        measured = percentile(sorted(run.latency_seconds), 0.99)
        replayed = p99_of_queue(run.arrival_seconds, run.step_seconds)
        ranges = []
        for steps in (run.step_seconds, alone.step_seconds):
            found = drawn(rate, steps, asked.queries)
            low, middle, high = (percentile(found, share) for share in (0.025, 0.5, 0.975))
            ranges.append(f"{middle:.4f} ({low:.4f} to {high:.4f})")
        print(
            f"{rate:9.2f}  {run.utilization:4.0%}  {measured:12.4f}  {replayed:8.4f}  "
            f"{'  '.join(ranges)}"
        )


if __name__ == "__main__":
    main()
