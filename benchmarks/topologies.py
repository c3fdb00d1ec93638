"""How long it takes to build each topology with random weights, the memory it takes, and the size.

    python benchmarks/topologies.py [topology ...]

Each is built in a process of its own. The seconds are of building and of serialising; TensorFlow's
import is told apart, once, because every run pays it anyway. Meant to hold on two cores: all of
them in less than 3 minutes and 4 GB.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from modelzoo_runner.graphs.topologies import catalog


@dataclass(frozen=True, kw_only=True)
class Built:
    """What was observed of one topology."""

    import_seconds: float
    seconds: float
    cpu_seconds: float
    nodes: int
    size_bytes: int
    peak_bytes: int


def observe(topology: str) -> Built:
    """Builds one topology in this process."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # the process is ours and ends with this
    start = time.perf_counter()
    import tensorflow as tf

    tf.Graph()
    imported = time.perf_counter()
    cpu = time.process_time()
    graph_def = catalog.build(topology)
    size = len(graph_def.SerializeToString())
    return Built(
        import_seconds=imported - start,
        seconds=time.perf_counter() - imported,
        cpu_seconds=time.process_time() - cpu,
        nodes=len(graph_def.node),
        size_bytes=size,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def main() -> None:
    """Prints one line a topology and what they come to."""
    topologies = sys.argv[1:] or catalog.names()
    print(f"{'topology':<22}{'seconds':>9}{'cpu s':>8}{'nodes':>7}{'MB':>7}{'peak GB':>9}")
    found = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for topology, built in zip(topologies, pool.map(observe, topologies), strict=True):
            found.append(built)
            print(
                f"{topology:<22}{built.seconds:>9.1f}{built.cpu_seconds:>8.1f}{built.nodes:>7}"
                f"{built.size_bytes / 1e6:>7.0f}{built.peak_bytes / 1e9:>9.2f}",
                flush=True,
            )
    print(
        f"{'all':<22}{sum(each.seconds for each in found):>9.1f}"
        f"{sum(each.cpu_seconds for each in found):>8.1f}{sum(each.nodes for each in found):>7}"
        f"{sum(each.size_bytes for each in found) / 1e6:>7.0f}"
        f"{max(each.peak_bytes for each in found) / 1e9:>9.2f}"
    )
    print(f"importing TensorFlow: {min(each.import_seconds for each in found):.1f} s at best")


if __name__ == "__main__":
    main()
