"""An accuracy run beside its two limits: its input alone, and its inference alone.

    python benchmarks/accuracy_run.py MODEL DATA [--weights GRAPH] [--precision fp32] [--limit 4000]
                                      [--batch-size 32] [--threads 0] [--rounds 5]

All three are on the same CPUs with the same threads, in turns in one process, with the graph open.
Printed are their images per second, what an image takes of the CPUs, and how fast the run is beside
the slower of its limits, with the 95 % interval over the rounds; and beside what the CPUs allow,
which is as many CPU seconds a second as there are CPUs. With fewer `--threads` than CPUs, the input
has the others to itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import geometric_mean, median
from typing import Any

from modelzoo_runner import accuracy, benchmark
from modelzoo_runner.execution import opening
from modelzoo_runner.results import stats
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.plan import Plan


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data", help="a folder of TFRecords or of images")
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--limit", type=int, default=4000, help="images of a round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0, help="of the inference; 0: by itself")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    how: dict[str, Any] = {
        **{"model": asked.model, "weights": asked.weights, "precision": asked.precision},
        **{"batch_size": asked.batch_size, "num_intra_threads": asked.threads or None},
        **{"isolation": "none", "allocator": "system", "progress": False},
    }
    steps = max(asked.limit // asked.batch_size, 1)
    plan = accuracy(**how, data_location=asked.data, limit=asked.batch_size).plan
    data = {"data_location": asked.data, "limit": asked.limit}
    contenders: dict[str, Callable[[], float]] = {
        "accuracy run": lambda: accuracy(**how, **data).end_to_end_throughput,
        "input alone": lambda: input_alone(plan, asked.limit),
        "inference alone": lambda: benchmark(**how, steps=steps).throughput,
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(asked.rounds):
        for name, run in contenders.items():
            began = time.process_time()
            speeds[name].append(run())
            costs[name].append((time.process_time() - began) / asked.limit)
    for name in contenders:
        print(f"{name:<16}{median(speeds[name]):8.1f}/s{1e3 * median(costs[name]):8.2f} CPU ms")
    cpus = len(plan.placement.cpus)
    runs, *limits = speeds.values()
    slower = [min(each) for each in zip(*limits, strict=True)]
    of_cpus = [cpus / (one + other) for _, one, other in zip(*costs.values(), strict=True)]
    said(f"beside the slower, {cpus} CPUs", runs, slower)
    said(
        "beside what the CPUs allow",
        runs,
        [min(each) for each in zip(slower, of_cpus, strict=True)],
    )


def input_alone(plan: Plan, limit: int) -> float:
    """Images per second from records to batches, which nobody uses."""
    with (
        opening.opened(replace(plan, limit=limit), keep=True) as opened,
        tasks.open_source(opened.plan, opened.step, opened.prepare) as source,
    ):
        began = time.perf_counter()
        images = sum(len(batch.inputs) for batch in source.batches)
        return images / (time.perf_counter() - began)


def said(what: str, speeds: list[float], limits: list[float]) -> None:
    """Print the ratio, with its interval over the rounds."""
    ratios = [speed / limit for speed, limit in zip(speeds, limits, strict=True)]
    interval = stats.geometric_interval(ratios)
    within = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    print(f"{what}: {geometric_mean(ratios):.2f}{within}")


if __name__ == "__main__":
    main()
