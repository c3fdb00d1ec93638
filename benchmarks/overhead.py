"""What the harness costs: benchmark() beside a bare loop of the runtime, and a step of nothing.

    python benchmarks/overhead.py GRAPH.pb [--runtime openvino] [--batch-size 1] [--steps 400]
        [--rounds 5] [--cpu-time]

Prints the throughput of `benchmark()` divided by that of the bare loop on the same graph as it is,
with the same threads, in one process, the two in turn; and the harness's own microseconds for each
step, measured on a step function that does nothing. The other runtimes run the file that the graph
was converted to, as they optimize it. `--cpu-time` compares CPU time instead of elapsed time, for a
machine that does other things too.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from modelzoo_runner import Plan, benchmark
from modelzoo_runner.data.batches import Batch
from modelzoo_runner.execution import loop


def tensorflow(plan: Plan) -> Callable[[np.ndarray], object]:
    """make_callable and nothing else."""
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(Path(plan.graph.path).read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    config = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=plan.placement.inter_threads,
        intra_op_parallelism_threads=plan.placement.intra_threads,
    )
    session = tf.compat.v1.Session(graph=graph, config=config)
    return session.make_callable(list(plan.graph.outputs.values()), [plan.graph.input])


def openvino(plan: Plan) -> Callable[[np.ndarray], object]:
    """A compiled model, called."""
    import openvino as ov

    threads = {"INFERENCE_NUM_THREADS": plan.placement.intra_threads, "NUM_STREAMS": 1}
    same = {**threads, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(plan.graph.path, "CPU", same)


def onnxruntime(plan: Plan) -> Callable[[np.ndarray], object]:
    """A session, run."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = plan.placement.intra_threads
    session = ort.InferenceSession(plan.graph.path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {plan.graph.input: batch})


BARE = {"tensorflow": tensorflow, "openvino": openvino, "onnxruntime": onnxruntime}


def bare(plan: Plan, batch: np.ndarray, clock: Callable[[], float]) -> Callable[[int], float]:
    """A loop around the runtime's own call: steps -> examples per second."""
    call = BARE[plan.runtime](plan)
    for _ in range(10):
        call(batch)

    def measure(steps: int) -> float:
        start = clock()
        for _ in range(steps):
            call(batch)
        return steps * len(batch) / (clock() - start)

    return measure


def harness_microseconds(steps: int = 200_000) -> float:
    """The time of the measuring loop around a step of nothing, for each step."""
    batches = itertools.cycle([Batch(np.zeros((1, 1), np.float32))])
    start = time.perf_counter()
    loop.run(lambda inputs: None, batches, steps=steps)
    return (time.perf_counter() - start) / steps * 1e6


def ratios(
    graph: str,
    runtime: str = "tensorflow",
    batch_size: int = 1,
    steps: int = 400,
    cpu_time: bool = False,
) -> Iterator[float]:
    """The ratio of each round, without end."""
    plans: list[Plan] = []

    def ours() -> float:
        result = benchmark(
            graph,
            runtime=runtime,
            batch_size=batch_size,
            steps=steps,
            warmup_steps=10,
            optimize=runtime != "tensorflow",
            isolation="none",
        )
        plans.append(result.plan)
        if cpu_time:
            return result.examples / result.observed.interference["cpu_seconds"]
        # From the start of the first measured step to the end of the last, as the bare loop counts.
        return result.end_to_end_throughput

    ours()
    shape = (batch_size, 224, 224, 3)
    batch = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    clock = time.process_time if cpu_time else time.perf_counter
    theirs = bare(plans[0], batch, clock)
    while True:
        # A B B A, so that a drift of the machine falls on both.
        first, second = ours(), theirs(steps)
        third, fourth = theirs(steps), ours()
        yield (first + fourth) / (second + third)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph")
    parser.add_argument("--runtime", choices=BARE, default="tensorflow")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    asked = vars(parser.parse_args())
    rounds = asked.pop("rounds")
    found = list(itertools.islice(ratios(**asked), rounds))
    print(f"benchmark() / bare loop of {asked['runtime']}: {statistics.median(found):.3f}")
    print(f"  rounds: {', '.join(f'{ratio:.3f}' for ratio in found)}")
    print(f"harness on a step of nothing: {harness_microseconds():.2f} µs per step")


if __name__ == "__main__":
    main()
