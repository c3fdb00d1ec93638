"""An accuracy run on two workers of one core beside the same run on one.

    python benchmarks/scale_out.py [--model resnet50] [--weights random] [--data-location FOLDER]
        [--batch-size 16] [--limit N] [--rounds 3]

In turn in one run, over local Dask clusters that are up before the clock starts: the seconds that
one worker takes for the call divided by those that two take, its median over the rounds. Starting a
child, loading TensorFlow and opening the graph are in them, once on each worker: the more examples,
the less they count. Without data it makes 2400 small images.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import tiny
from distributed import Client, LocalCluster

from modelzoo_runner import AccuracyResult, accuracy

LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


def main() -> None:
    """Measure and print, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--data-location")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    asked = vars(parser.parse_args())
    rounds = asked.pop("rounds")
    with tempfile.TemporaryDirectory() as folder:
        if asked["data_location"] is None:
            asked["data_location"] = tiny.shards(Path(folder) / "shards", images=2400, files=8)
        report(asked, rounds)


def report(asked: Mapping[str, Any], rounds: int) -> None:
    """Run on one worker and on two, in turn, and print the ratios."""
    found = []
    for by_one, by_two, second in itertools.islice(seconds(asked), rounds):
        found.append(by_one / by_two)
        print(
            f"  {found[-1]:.3f}: {by_one:.1f} s by one worker, {by_two:.1f} s by two, "
            f"{second.examples} examples, {started(second):.1f} s to start",
            flush=True,
        )
    print(f"{asked['model']}: one worker / two: {statistics.median(found):.3f}", flush=True)


def seconds(asked: Mapping[str, Any]) -> Iterator[tuple[float, float, AccuracyResult]]:
    """The seconds of each round by one worker and by two, and the two's result, without end."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **LOOPBACK) as alone,
        LocalCluster(n_workers=2, threads_per_worker=1, **LOOPBACK) as both,
        Client(alone, set_as_default=False) as one,
        Client(both, set_as_default=False) as two,
    ):
        while True:
            by_one, first = timed(asked, one)
            by_two, second = timed(asked, two)
            if first.counts != second.counts:
                raise SystemExit(f"one worker counts {first.counts}, two {second.counts}")
            yield by_one, by_two, second


def timed(asked: Mapping[str, Any], client: Client) -> tuple[float, AccuracyResult]:
    """The seconds that a run took, on one core of each worker, and its result."""
    start = time.perf_counter()
    result = accuracy(**asked, num_cores=1, client=client)
    return time.perf_counter() - start, result


def started(result: AccuracyResult) -> float:
    """The seconds until the slowest child had its graph open."""
    return max(sum(part.setup_seconds.values()) for part in result.parts)


if __name__ == "__main__":
    main()
