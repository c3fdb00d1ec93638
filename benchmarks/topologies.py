"""How long it takes to build each network with random weights, in both precisions, and the memory.

    python benchmarks/topologies.py [model ...]

Each is built in a process of its own, as `weights="random"` does it: int8 is made of the float32
graph's file, with made inputs to calibrate with, on all CPUs that there are. The seconds leave out
the import of TensorFlow, which is told apart, once, because every run pays it anyway. Meant to hold
on two cores: all of them, in each precision, in less than 3 minutes and 4 GB.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner import models
from modelzoo_runner.backends.tensorflow.topologies import catalog
from modelzoo_runner.planning import planner, random_graph, resolve
from modelzoo_runner.planning.request import Request

COLUMNS = f"{'model':<20}{'precision':>10}{'seconds':>9}{'cpu s':>8}{'nodes':>7}{'MB':>7}"


@dataclass(frozen=True, kw_only=True)
class Built:
    """What was observed of one graph."""

    import_seconds: float
    seconds: float
    cpu_seconds: float
    nodes: int
    size_bytes: int
    peak_bytes: int


def observe(model: str, precision: str, folder: Path) -> Built:
    """Builds one graph in this process; int8 of the float32 one, which is in the folder already."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # the process is ours and ends with this
    start = time.perf_counter()
    import tensorflow as tf

    tf.Graph()
    imported, cpu = time.perf_counter(), time.process_time()
    made = folder / f"{model}_{precision}.pb"
    if precision == "fp32":
        graph_def = catalog.build(models()[model].topology or "")
        made.write_bytes(graph_def.SerializeToString(deterministic=True))
    else:
        quantize(model, folder / f"{model}_fp32.pb", made)
    seconds, cpu_seconds = time.perf_counter() - imported, time.process_time() - cpu
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Built(
        import_seconds=imported - start,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        nodes=len(tf.compat.v1.GraphDef.FromString(made.read_bytes()).node),
        size_bytes=made.stat().st_size,
        peak_bytes=peak_bytes,
    )


def quantize(model: str, fp32: Path, out: Path) -> None:
    """The int8 graph, as `random_graph` has it made."""
    from modelzoo_runner.execution import calibration

    preset = models()[model]
    request = Request(kind="benchmark", weights="random", precision="int8", batch_size=1)
    placement, _ = planner.placements(preset, request)
    plan = resolve.resolve(preset, request, placement)
    file = dataclasses.replace(plan.graph, path=str(fp32))
    calibration.run(dataclasses.replace(plan, graph=file, limit=random_graph.EXAMPLES), out)


def show(model: str, precision: str, seconds: float, cpu: float, nodes: int, size: int) -> str:
    """One line of the table, less its last column."""
    return f"{model:<20}{precision:>10}{seconds:>9.1f}{cpu:>8.1f}{nodes:>7}{size / 1e6:>7.0f}"


def main() -> None:
    """Prints one line a graph, and for each precision what they come to."""
    names = sys.argv[1:] or list(models())
    print(f"{COLUMNS}{'peak GB':>9}")
    spawn = multiprocessing.get_context("spawn")
    imports: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        for precision in ("fp32", "int8"):
            found: list[Built] = []
            for name in names:
                built = pool.submit(observe, name, precision, Path(folder)).result()
                found.append(built)
                line = show(
                    name,
                    precision,
                    built.seconds,
                    built.cpu_seconds,
                    built.nodes,
                    built.size_bytes,
                )
                print(f"{line}{built.peak_bytes / 1e9:>9.2f}", flush=True)
            imports += [each.import_seconds for each in found]
            line = show(
                "all",
                precision,
                sum(each.seconds for each in found),
                sum(each.cpu_seconds for each in found),
                sum(each.nodes for each in found),
                sum(each.size_bytes for each in found),
            )
            print(f"{line}{max(each.peak_bytes for each in found) / 1e9:>9.2f}")
    print(f"importing TensorFlow: {min(imports):.1f} s at best")


if __name__ == "__main__":
    main()
