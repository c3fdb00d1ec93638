"""The ratios that are watched, all of them in one run, and what changed since another run.

    python benchmarks/all.py [--minutes 20] [--out all.json] [--against last.json]
        [--only NAME ...] [--min-effect 0.05]

Each is measured in at least three fresh processes for its share of the time. Each process gives one
number, the geometric mean of its rounds, of which the first isn't counted: rounds of one process
agree with each other more than with those of the next. Above 1, ours is ahead, but for the first
row: what the harness leaves of a bare loop's speed. Intervals are of 95 %, over the processes'
logarithms. Against another file each ratio is `faster`, `slower`, `same` within `--min-effect`, or
`inconclusive`, by the interval of the difference, and all of those hold together with 95 %: the
rules of `ab_test`. The file has every round of every process, and the machine. Needs the extra
`benchmarks`, and those of the runtimes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from modelzoo_runner import benchmark
from modelzoo_runner.machine import facts
from modelzoo_runner.results import stats
from modelzoo_runner.results.ratio import Ratio, split_confidence
from modelzoo_runner.values import atomic

LEAST_PROCESSES = 3
SHARE = 1 / 6
"""Of a ratio's time; a process measures for so long, after it has made ready."""

Rounds = list[list[float]]
"""The ratios of each round, by processes."""


def harness() -> Iterator[float]:
    """benchmark() over a bare loop of TensorFlow."""
    import overhead

    how: dict[str, Any] = {"weights": "random", "batch_size": 1, "steps": 1, "warmup_steps": 0}
    how |= {"isolation": "child"}  # the thread pools of this process are made for the loop
    built = benchmark("mobilenet_v1", **how).plan.graph.path
    yield from overhead.ratios(built, steps=100)


def step() -> Iterator[float]:
    """Session.run's time over ours, for a graph that does nothing."""
    import numpy as np

    import step

    calls = step.ways(step.nothing(4), "input:0", ["output:0"], 1)
    batch = step.aligned(np.zeros((1, 4), np.float32))
    while True:
        seconds = {}
        for name in ("Session.run", "open_step"):
            began = time.perf_counter()
            for _ in range(2000):
                calls[name](batch)
            seconds[name] = time.perf_counter() - began
        yield seconds["Session.run"] / seconds["open_step"]


def throughputs(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[float]:
    """The throughput of ResNet-50, batch 1, run in one way over that in another."""
    how: dict[str, Any] = {"model": "resnet50", "weights": "random", "batch_size": 1}
    how |= {"steps": 15, "warmup_steps": 3, "isolation": "child"}
    while True:
        yield benchmark(**how, **ours).throughput / benchmark(**how, **theirs).throughput


def again() -> Iterator[float]:
    """The time of a first run's set-up over that of the next one in the process."""
    from modelzoo_runner import release

    def beside_steps() -> float:
        began = time.perf_counter()
        found = benchmark("resnet50", weights="random", batch_size=1, steps=2, warmup_steps=0)
        return time.perf_counter() - began - sum(found.step_seconds)

    while True:
        release()
        yield beside_steps() / beside_steps()


def instances() -> Iterator[float]:
    """Two instances of one core over one run on two."""
    import instances

    for ratio, *_ in instances.rounds(batch_size=1, steps=15):
        yield ratio


def input_pipeline() -> Iterator[float]:
    """Images per CPU second, from records to batches, over plain decoding by libjpeg-turbo."""
    import cv2

    import input_pipeline

    encoded = [input_pipeline.made(seed) for seed in range(12 * input_pipeline.BATCH)]
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        every = input_pipeline.contenders(encoded, Path(folder))
        names = ("simplejpeg, decode", "resnet50, records to batches")
        while True:
            (base, _), (ours, _) = (every[name]() for name in names)
            yield base / ours


def coco() -> Iterator[float]:
    """The time of pycocotools over that of our scoring, 500 images."""
    import coco_eval

    while True:
        truth, found = coco_eval.made(500, 3600, 100, 0)
        seconds = []
        for score in (coco_eval.ours, coco_eval.reference):  # which writes into the annotations
            began = time.perf_counter()
            score(truth, found)
            seconds.append(time.perf_counter() - began)
        yield seconds[1] / seconds[0]


def workers() -> Iterator[float]:
    """The seconds of an accuracy run by one worker over those by two."""
    import tiny

    import scale_out

    with tempfile.TemporaryDirectory() as folder:
        shards = tiny.shards(Path(folder) / "shards", images=400, files=8)
        asked = {"model": "resnet50", "weights": "random", "batch_size": 16, "label_offset": 0}
        for one, two, _ in scale_out.seconds({**asked, "data_location": shards}):
            yield one / two


MEASURED: dict[str, Callable[[], Iterator[float]]] = {
    "benchmark() : bare loop": harness,
    "Session.run : step": step,
    "first run : next run": again,
    "bfloat16 : fp32": lambda: throughputs({"precision": "bfloat16"}, {}),
    "int8 : fp32": lambda: throughputs({"precision": "int8"}, {}),
    "TensorFlow : OpenVINO": lambda: throughputs({}, {"runtime": "openvino"}),
    "TensorFlow : ONNX Runtime": lambda: throughputs({}, {"runtime": "onnxruntime"}),
    "two instances : one": instances,
    "input : libjpeg-turbo": input_pipeline,
    "pycocotools : ours": coco,
    "one worker : two": workers,
}


def main() -> None:
    """Measure all, or in a process of its own one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="for all of them")
    parser.add_argument("--out", type=Path, default=Path("all.json"))
    parser.add_argument("--against", type=Path, help="the file of another run")
    parser.add_argument("--only", nargs="+", choices=MEASURED, default=list(MEASURED))
    parser.add_argument("--min-effect", type=float, default=0.05)
    parser.add_argument("--one", choices=MEASURED, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    seconds = 60 * asked.minutes / len(asked.only)
    if asked.one is not None:
        print(json.dumps(rounds(MEASURED[asked.one], 60 * asked.minutes)))
        return
    machine = facts.collect()
    before = {} if asked.against is None else recorded(asked.against, machine["id"])
    found: dict[str, Rounds] = {}
    print(f"{'':<28}{'ratio':>8}  95 % interval   processes  since the other run")
    for name in asked.only:
        found[name] = measured(name, seconds)
        print(line(name, found[name], before, asked.min_effect), flush=True)
        record = {"machine": machine, "ratios": found}
        atomic.write_text(asked.out, json.dumps(record, indent=1) + "\n")


def recorded(path: Path, machine: str) -> dict[str, Rounds]:
    """The ratios in the file of another run; says so if it was on another machine."""
    try:
        record = json.loads(path.read_text())
        found: dict[str, Rounds] = record["ratios"]
        for each in found.values():
            means(each)
        there = str(record["machine"]["id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"--against {path}: not the file of such a run: {error}") from None
    if there != machine:
        print(f"{path} is of another machine ({there}, here {machine}): so are the differences")
    return found


def rounds(ratios: Callable[[], Iterator[float]], seconds: float) -> list[float]:
    """The ratios of as many rounds as fit in the time, and of one at least, after the first."""
    source = ratios()
    next(source)
    until = time.monotonic() + seconds
    found = [next(source)]
    while time.monotonic() < until:
        found.append(next(source))
    return found


def measured(name: str, seconds: float) -> Rounds:
    """The same of as many fresh processes as fit in the time; none if one fails, which is said."""
    until = time.monotonic() + seconds
    minutes = str(SHARE * seconds / 60)
    found: Rounds = []
    while len(found) < LEAST_PROCESSES or time.monotonic() < until:
        command = [sys.executable, __file__, "--one", name, "--minutes", minutes]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            print(f"{name}: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return []
        found.append(json.loads(ran.stdout.splitlines()[-1]))
    return found


def means(found: Rounds) -> list[float]:
    """The number of each process."""
    return [*map(geometric_mean, found)]


def line(name: str, found: Rounds, before: Mapping[str, Rounds], min_effect: float) -> str:
    """A row of the table."""
    if not found:
        return f"{name:<28}{'failed':>8}"
    ratios = means(found)
    low, high = stats.geometric_interval(ratios) or (math.nan, math.nan)
    since = ""
    if before.get(name):
        since = str(changed(ratios, means(before[name]), len(before), min_effect))
    mean = geometric_mean(ratios)
    return f"{name:<28}{mean:>8.3f}  {low:.3f} to {high:<9.3f}{len(ratios):>5}  {since}"


def changed(now: list[float], then: list[float], count: int, min_effect: float) -> Ratio:
    """One of `count` ratios beside that of another run."""
    first, second = (list(map(math.log, each)) for each in (then, now))
    confidence = split_confidence(1, count)
    interval = stats.difference_interval(first, second, confidence)
    return Ratio(
        value=geometric_mean(now) / geometric_mean(then),
        interval=None if interval is None else (math.exp(interval[0]), math.exp(interval[1])),
        min_effect=min_effect,
        confidence=confidence,
    )


if __name__ == "__main__":
    helpers = Path(__file__).parents[1] / "tests" / "helpers"
    sys.path.append(str(helpers))
    main()
