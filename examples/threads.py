"""How many threads are worth it: one model, one thread count after another.

    python examples/threads.py [MODEL]

Each count needs thread pools of its own, so all but the first run in a child process by themselves.
"""

import os
import sys

from modelzoo_runner import benchmark


def main(model: str = "resnet50", steps: int = 20) -> dict[int, float]:
    """Print and return examples per second by number of threads."""
    found = {}
    for threads in range(1, len(os.sched_getaffinity(0)) + 1):
        result = benchmark(
            model,
            weights="random",
            batch_size=1,
            steps=steps,
            num_cores=threads,
            num_intra_threads=threads,
        )
        found[threads] = result.throughput
        print(f"{threads} threads: {result.throughput:6.1f} examples/s, {result.observed.host}")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
