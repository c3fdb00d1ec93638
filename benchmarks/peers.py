"""TensorFlow as this library runs it beside OpenVINO and ONNX Runtime: one thread, in turns.

    python benchmarks/peers.py [MODEL ...] [--batch-sizes 1 32] [--precisions fp32 bfloat16 int8]
                               [--threads 1] [--rounds 3] [--seconds 90]

Random weights. For each model, precision and batch size all runtimes that can run it are measured
in turns by `ab_test`, in so many rounds of fresh processes, on the same CPUs. Printed are the
milliseconds of an image, and how fast ours is beside each other one, with its 95 % interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from math import exp
from statistics import geometric_mean
from typing import Any

from modelzoo_runner import ab_test, benchmark
from modelzoo_runner.backends import base
from modelzoo_runner.errors import RunnerError
from modelzoo_runner.machine import processor
from modelzoo_runner.results import stats


def main() -> None:
    """Measure what the arguments say, and print a line for each cell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=["resnet50", "mobilenet_v1", "ssd-mobilenet"])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bfloat16", "int8"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=90.0)
    asked = parser.parse_args()
    processor_name = processor.describe()["model"]
    print(f"{processor_name}, threads: {asked.threads}", flush=True)
    for model in asked.models:
        for precision in asked.precisions:
            for size in asked.batch_sizes:
                how = {
                    "model": model,
                    "weights": "random",
                    "precision": precision,
                    "batch_size": size,
                    "num_intra_threads": asked.threads,
                    "num_inter_threads": 1,
                    "cpus": f"0-{asked.threads - 1}" if asked.threads > 1 else "0",
                }
                cells = "  ".join(compared(how, asked.rounds, asked.seconds))
                print(f"{model:<14}{precision:<9}{size:>3}  {cells}", flush=True)


def compared(how: dict[str, Any], rounds: int, seconds: float) -> Iterator[str]:
    """The time of an image in each runtime, the first, TensorFlow, beside each other one."""
    sides = [{"runtime": name, "name": name} for name in base.BACKENDS if runs(name, how)]
    if len(sides) == 1:
        yield f"{sides[0]['name']} alone can run it"
        return
    found = ab_test(*sides, **how, rounds=rounds, min_effect=0.01, max_seconds=seconds)
    for number, side in enumerate(sides):
        cell = f"{side['name']} {1000 / found.throughput(number):.2f} ms"
        if number:
            ratios = [exp(-each) for each in found.log_ratios(number)]
            interval = stats.geometric_interval(ratios)
            ours = f"{geometric_mean(ratios):.3f}"
            within = "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
            cell += f", ours {ours}{within}"
        yield cell


def runs(runtime: str, how: dict[str, Any]) -> bool:
    """Whether the runtime can run the model so; what that needs is made, and kept in the cache."""
    try:
        benchmark(**how, runtime=runtime, steps=1, warmup_steps=1, isolation="child")
    except RunnerError:
        return False
    return True


if __name__ == "__main__":
    main()
