"""int8 beside float32, and beside other int8 graphs of the same network: ratios in one run.

    python benchmarks/int8.py FP32.pb --model mobilenet_v1 --data-location SHARDS --other INT8.pb
    python benchmarks/int8.py DETECTOR.pb --data-location COCO_IMAGES --other INT8.pb
    python benchmarks/int8.py --random resnet50 --batch-size 32

A graph is quantised here, with images that are not the ones it is compared on; or a network is
built with random weights, in both precisions. All graphs, prepared as for any run, take turns step
by step in one process. Printed are medians of the ratios to float32 within a turn: of time by the
clock, and of the CPUs' time, which other processes disturb less; and how much the outputs agree.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo_runner import calibration_batches, models, quantize
from modelzoo_runner.backends.tensorflow import load, prepare, session
from modelzoo_runner.int8.compare import agreement
from modelzoo_runner.planning import planner, random_graph
from modelzoo_runner.planning.request import Request

Graphs = dict[str, Any]
Measured = tuple[list[float], list[float]]

WARMUP = 3


def main() -> None:
    """Measure and print, as the arguments say."""
    asked = arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # the process is ours and ends with this
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    graphs, batch, input, outputs = built(asked) if asked.random else quantized(asked)
    seconds, said = in_turns(graphs, batch, input, outputs, asked)
    print(f"batch {len(batch)}, {asked.rounds} rounds, {asked.threads or 'all'} threads")
    print(f"{'':<24}{'ms a step':>10}{'times fp32':>12}{'by CPU time':>13}  agreement")
    for name in graphs:
        ratios = [
            statistics.median(base / own for base, own in zip(*pair, strict=True))
            for pair in zip(seconds["fp32"], seconds[name], strict=True)
        ]
        alike = agreement(said["fp32"], said[name])
        print(
            f"{name:<24}{statistics.median(seconds[name][0]) * 1000:>10.2f}{ratios[0]:>12.3f}"
            f"{ratios[1]:>13.3f}  {', '.join(f'{key} {value:.3f}' for key, value in alike.items())}"
        )


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("fp32", nargs="?", metavar="FP32.pb")
    parser.add_argument("--random", metavar="MODEL", help="a network with random weights instead")
    parser.add_argument("--model", help="the model whose preprocessing images get")
    parser.add_argument("--data-location", metavar="IMAGES", help="to calibrate and compare with")
    parser.add_argument("--examples", type=int, default=50, help="to calibrate with")
    parser.add_argument("--other", nargs="*", default=[], metavar="INT8.pb")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=0, help="0: as TensorFlow likes")
    asked = parser.parse_args()
    if bool(asked.fp32) == bool(asked.random):
        parser.error("give the path of a graph, or --random MODEL")
    return asked


def quantized(asked: argparse.Namespace) -> tuple[Graphs, Any, str, Mapping[str, str]]:
    """The graph given, ours and the others; and a batch that none was calibrated with."""
    fp32, input, outputs = load.resolve_graph(asked.fp32)
    batches = calibration_batches(
        asked.model or asked.fp32,
        asked.data_location,
        synthetic=asked.data_location is None,
        examples=asked.examples + asked.batch_size,
    )
    images = [image for batch in batches for image in batch]
    ours = quantize(fp32, (image[None] for image in images[: asked.examples]))
    # A detector's images are of several sizes.
    left = [image for image in images[asked.examples :] if image.shape == images[-1].shape]
    others = {Path(path).stem[-22:]: load.read_graph(path) for path in asked.other}
    return {"fp32": fp32, "ours": ours, **others}, np.stack(left), input, outputs


def built(asked: argparse.Namespace) -> tuple[Graphs, Any, str, Mapping[str, str]]:
    """A network with random weights in both precisions, and a made batch."""
    graphs: Graphs = {}
    for precision in ("fp32", "int8"):
        request = Request(kind="benchmark", weights="random", precision=precision)
        preset = models()[asked.random]
        plan = planner.resolved(preset, request)
        graphs[precision] = load.read_graph(random_graph.cached(plan, preset)[0])
    batch = next(
        calibration_batches(
            asked.random,
            synthetic=True,
            seed=1,
            examples=asked.batch_size,
            batch_size=asked.batch_size,
        )
    )
    return graphs, batch, plan.graph.input or "", plan.graph.outputs


def in_turns(
    graphs: Graphs,
    batch: Any,
    input: str,
    outputs: Mapping[str, str],
    asked: argparse.Namespace,
) -> tuple[dict[str, Measured], dict[str, dict[str, Any]]]:
    """Seconds by the clock and of the CPUs for each graph and round, and the outputs by role."""
    seconds: dict[str, Measured] = {name: ([], []) for name in graphs}
    said: dict[str, dict[str, Any]] = {}
    with opened(graphs, input, outputs, asked.threads) as steps:
        for number in range(WARMUP + asked.rounds):
            # Each begins as often as the others.
            for name in itertools.islice(itertools.cycle(steps), number, number + len(steps)):
                start, cpu = time.perf_counter(), time.process_time()
                found = steps[name](batch)
                if number >= WARMUP:
                    seconds[name][0].append(time.perf_counter() - start)
                    seconds[name][1].append(time.process_time() - cpu)
                said[name] = dict(zip(outputs, found, strict=True))
    return seconds, said


@contextlib.contextmanager
def opened(
    graphs: Graphs, input: str, outputs: Mapping[str, str], threads: int
) -> Iterator[dict[str, session.Step]]:
    """A step of each graph."""
    fetched = list(outputs.values())
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                session.open_step(
                    prepare.prepare(graph, input=input, outputs=fetched).graph_def,
                    input=input,
                    outputs=fetched,
                    inter_threads=1,
                    intra_threads=threads,
                )
            )
            for name, graph in graphs.items()
        }


if __name__ == "__main__":
    main()
