"""How often comparisons are wrong: a graph against itself, and against itself with extra work.

    python benchmarks/aa_study.py graph.pb --out study.json              # quiet
    python benchmarks/aa_study.py graph.pb --out study.json --neighbor   # beside a busy process

Measures pairs with `ab_test` in turns, and results of `benchmark(processes=5)`, made one after the
other, with `compare`. The slow-downs are real: matrix products behind the graph's output, as many
as take 3 % and 10 % of its time. `docs/comparing.md` has the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelzoo_runner import BenchmarkResult, ab_test, benchmark, compare

ROWS, WIDTH = 16, 256
"""Of the matrices: a product takes about 1 % of the time of a small MobileNet."""

CALIBRATION = 100
"""Products in the graph from which the cost of one is told."""


def with_extra_work(source: Path, target: Path, products: int, output: str) -> dict[str, str]:
    """Write the graph with products behind its output; return the outputs of the new graph.

    They depend on the graph's output, so that nothing can be computed beforehand, and are added to
    it in a size that changes nothing.
    """
    import numpy as np
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(source.read_bytes())
    with tf.Graph().as_default() as built:
        (scores,) = tf.import_graph_def(graph, return_elements=[output], name="")
        chance = np.random.default_rng(0)
        shape = (scores.shape[-1], WIDTH)
        rows = tf.tile(scores, (ROWS, 1))
        found = tf.matmul(rows, tf.constant(chance.normal(size=shape).astype("f") / WIDTH))
        weights = tf.constant(chance.normal(size=(WIDTH, WIDTH)).astype("f") / WIDTH**0.5)
        for _ in range(products):
            found = tf.matmul(found, weights)
        extra = tf.reduce_mean(found, keepdims=True) * 1e-20
        tf.add(scores, extra, name="with_extra_work")
    target.write_bytes(built.as_graph_def().SerializeToString())
    return {"scores": "with_extra_work:0"}


def planted(
    source: Path, folder: Path, output: str, shares: list[float], shared: dict[str, Any]
) -> dict[str, Any]:
    """The graph as it is and with so much more to do: arguments of `benchmark` by name."""
    variants = {}
    for name, products in (("none", 0), ("calibration", CALIBRATION)):
        path = folder / f"{name}.pb"
        outputs = with_extra_work(source, path, products, output)
        variants[name] = {"weights": str(path), "outputs": outputs}
    found = ab_test(variants["none"], variants["calibration"], rounds=2, **shared)
    # The fastest step of each: what else the machine does only ever adds to it.
    turns = [turn for each in found.rounds for turn in each.turns]
    fastest = [min(min(turn.step_seconds[side]) for turn in turns) for side in (0, 1)]
    of_one = (fastest[1] / fastest[0] - 1) / CALIBRATION
    print(
        f"a step takes {1000 * fastest[0]:.2f} ms at best, and {CALIBRATION} products "
        f"{100 * of_one * CALIBRATION:.1f} % of that",
        flush=True,
    )
    for share in shares:
        path = folder / f"{share}.pb"
        outputs = with_extra_work(source, path, max(1, round(share / of_one)), output)
        variants[f"{100 * share:.0f} %"] = {"weights": str(path), "outputs": outputs}
    del variants["calibration"]
    return variants


def _busy_now_and_then(seed: int) -> None:
    chance = random.Random(seed)
    while True:
        until = time.monotonic() + chance.expovariate(1 / 1.5)
        while time.monotonic() < until:
            math.factorial(300)
        time.sleep(chance.expovariate(1 / 1.5))


@contextlib.contextmanager
def neighbor(present: bool) -> Iterator[None]:
    """A process that keeps one CPU busy for 1.5 s on average, and is quiet for as long."""
    process = multiprocessing.Process(target=_busy_now_and_then, args=(1,), daemon=True)
    if present:
        process.start()
    try:
        yield
    finally:
        if present:
            process.kill()
            process.join()


def in_turns(
    variants: dict[str, Any], counts: dict[str, int], max_seconds: float, shared: dict[str, Any]
) -> dict[str, Any]:
    """The verdicts of `ab_test` on pairs, by what was planted, with the time each took."""
    plan = [name for name, count in counts.items() for _ in range(count)]
    random.Random(2).shuffle(plan)
    found: dict[str, list[Any]] = {name: [] for name in counts}
    for number, name in enumerate(plan):
        result = ab_test(
            variants["none"], variants[name], max_seconds=max_seconds, seed=number, **shared
        )
        found[name].append(
            {
                "verdict": result.verdict,
                "ratio": result.ratio,
                "interval": result.interval,
                "rounds": len(result.rounds),
                "seconds": result.seconds,
                "load_average": os.getloadavg()[0],
            }
        )
        print(f"{number + 1}/{len(plan)} {name}: {result.comparisons[0]}", flush=True)
    return {name: _summary(each) | {"pairs": each} for name, each in found.items()}


def _summary(pairs: list[Any]) -> dict[str, Any]:
    return {
        "verdicts": dict(Counter(each["verdict"] for each in pairs)),
        "median_seconds": statistics.median(each["seconds"] for each in pairs),
        "median_rounds": statistics.median(each["rounds"] for each in pairs),
        "median_ratio": statistics.median(each["ratio"] for each in pairs),
    }


def one_after_the_other(
    variants: dict[str, Any], counts: dict[str, int], shared: dict[str, Any]
) -> dict[str, Any]:
    """The verdicts of `compare` on all pairs of results of five processes, by what was planted."""
    plan = [name for name, count in counts.items() for _ in range(count)]
    random.Random(3).shuffle(plan)
    made: dict[str, list[BenchmarkResult]] = {name: [] for name in counts}
    for number, name in enumerate(plan):
        result = benchmark(**shared, **variants[name], steps=30, min_seconds=0.5, processes=5)
        made[name].append(result)
        spread = statistics.stdev(map(math.log, result.process_throughputs))
        print(
            f"{number + 1}/{len(plan)} {name}: {result.throughput:.1f} examples/s, "
            f"{result.verdict}, processes differ by {100 * spread:.1f} %",
            flush=True,
        )
    found = {}
    for name, results in made.items():
        pairs = (
            list(itertools.combinations(results, 2))
            if name == "none"
            else list(itertools.product(made["none"], results))
        )
        compared = [compare(one, other) for one, other in pairs]
        found[name] = {
            "pairs": len(compared),
            "verdicts": dict(Counter(each.verdict for each in compared)),
            "verdicts_of_intervals": dict(Counter(each.speed.verdict for each in compared)),
            "ratios": [each.ratio for each in compared],
            "invalid_results": sum(each.verdict == "invalid" for each in results),
            "throughputs": [each.process_throughputs for each in results],
        }
    return found


def main() -> None:
    """Run the study and print what it comes to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("graph", type=Path, help="a frozen graph of a classifier")
    parser.add_argument("--model", default="mobilenet_v1", help="whose preset it goes by")
    parser.add_argument("--output", default="predictions:0", help="its tensor of scores")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file to write")
    parser.add_argument("--neighbor", action="store_true", help="beside a busy process")
    parser.add_argument("--pairs", type=int, default=40, help="without any difference")
    parser.add_argument("--planted", type=int, default=20, help="with each slow-down")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.03, 0.10], help="of them")
    parser.add_argument("--results", type=int, default=10, help="of five processes, to compare")
    parser.add_argument("--max-seconds", type=float, default=120.0, help="of measuring a pair")
    asked = parser.parse_args()
    shared = {"model": asked.model, "batch_size": 1, "progress": None}
    folder = asked.out.parent / "graphs"
    folder.mkdir(exist_ok=True, parents=True)
    variants = planted(asked.graph, folder, asked.output, asked.shares, shared)
    counts = {name: asked.planted if name != "none" else asked.pairs for name in variants}
    counts = {name: count for name, count in counts.items() if count}
    few = {name: asked.results // (1 if name == "none" else 2) for name in variants}
    began = time.monotonic()
    with neighbor(asked.neighbor):
        found: dict[str, Any] = {"neighbor": asked.neighbor, "max_seconds": asked.max_seconds}
        found["in_turns"] = in_turns(variants, counts, asked.max_seconds, shared)
        asked.out.write_text(json.dumps(found, indent=1))
        if asked.results:
            found["one_after_the_other"] = one_after_the_other(variants, few, shared)
    found["seconds"] = time.monotonic() - began
    asked.out.write_text(json.dumps(found, indent=1))
    for name, each in found["in_turns"].items():
        print(f"in turns, {name}: {each['verdicts']}, {each['median_seconds']:.1f} s")
    for name, each in found.get("one_after_the_other", {}).items():
        print(f"one after the other, {name}: {each['verdicts']}")


if __name__ == "__main__":
    main()
