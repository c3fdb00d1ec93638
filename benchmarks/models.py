"""Every model with random weights, in float32 and in int8: images per second and the ratio.

    python benchmarks/models.py [model ...] [--batch-size 16] [--seconds 4] [--rounds 2]

Each at batch 1 and at a larger one; the detectors at batch 1 only, as the zoo ran them. The graphs
are built beforehand. In each round both precisions run in turn, each in a process of its own, at
least 5 steps and so many seconds; a ratio is the median of the rounds', a rate the best round's.
Input is synthetic: what a detector's second stage has to do depends on its random proposals.
"""

from __future__ import annotations

import argparse
import statistics

from modelzoo_runner import benchmark, models
from modelzoo_runner.results.result import BenchmarkResult


def main() -> None:
    """Print one line for each model and batch size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(models()))
    parser.add_argument("--batch-size", type=int, default=16, help="the larger one")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    heads = f"{'fp32 img/s':>12}{'int8 img/s':>12}{'int8:fp32':>11}"
    print(f"{'model':<20}{'batch':>6}{heads}  verdicts")
    for name in asked.models:
        sizes = (1,) if models()[name].task == "detection" else (1, asked.batch_size)
        for size in sizes:
            compare(name, size, asked.seconds, asked.rounds)


def compare(name: str, batch_size: int, seconds: float, rounds: int) -> None:
    """Measure one model in both precisions and print its line."""
    found = [
        {precision: measure(name, precision, batch_size, seconds) for precision in ("fp32", "int8")}
        for _ in range(rounds)
    ]
    best = {key: max(each[key].throughput for each in found) for key in ("fp32", "int8")}
    ratio = statistics.median(each["int8"].throughput / each["fp32"].throughput for each in found)
    verdicts = "".join((run.verdict or "?")[0] for each in found for run in each.values())
    print(
        f"{name:<20}{batch_size:>6}{best['fp32']:>12.1f}{best['int8']:>12.1f}{ratio:>10.2f}x"
        f"  {verdicts}",
        flush=True,
    )


def measure(name: str, precision: str, batch_size: int, seconds: float) -> BenchmarkResult:
    """One run in a process of its own, with the default threads of the machine."""
    return benchmark(
        name,
        weights="random",
        precision=precision,
        batch_size=batch_size,
        warmup_steps=3,
        steps=5,
        min_seconds=seconds,
        isolation="child",
        allocator="system",
    )


if __name__ == "__main__":
    main()
