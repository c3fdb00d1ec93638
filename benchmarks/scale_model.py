"""A model of an accuracy run on many workers, held against real runs on one and two.

    python benchmarks/scale_model.py [--model resnet50] [--weights random] [--batch-size 16]
        [--images 2400] [--examples 1200000] [--json FILE | --costs FILE]

What a run on a cluster is made of is measured here: joining, fetching, starting, a step, a part's
beginning, handling a part (client and scheduler) and merging. A simulation of these hands out parts
with the code that real runs use, `scale.handing`. Its prediction for one and for two workers is
printed beside what they really take, and then that for 8, 64 and 512.

Two workers on one machine share its memory and caches, which those of a cluster don't: so there
is a prediction with the step of one worker, and one with the step that two have at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import fake_gcs
import tiny
from distributed import Client, LocalCluster

import scale_out
from modelzoo_runner import AccuracyResult
from modelzoo_runner.data import records
from modelzoo_runner.data.pipeline import INTERLEAVED_FILES
from modelzoo_runner.metrics.topk import TopK
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.results.result import PartResult, from_dict
from modelzoo_runner.scale import cluster, member, parts
from modelzoo_runner.scale.calls import Calls
from modelzoo_runner.scale.cluster_executor import SECONDS_TO_WAIT
from modelzoo_runner.scale.cluster_worker import Answer
from modelzoo_runner.scale.handing import Handing
from modelzoo_runner.storage import fetch
from modelzoo_runner.values import codec

WORKERS = (8, 64, 512)

BYTES = 117_000
"""Of an image of ImageNet as a record, on average: 140 GB of 1.2 million."""

BUCKET = 100e9 / 8
"""Bytes a second that a bucket gives to all workers together: 100 Gbit/s, which is assumed."""

FAST = 500.0
"""Examples a second of a large node, which is assumed."""

FILES = 1024
"""Of the data in a bucket, as TF-slim's converter makes them of 1.2 million images."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds: `join` once, `join_each` for each worker; `count` for each example, on each worker
    that has its file; `fetch` for each byte, on those that need it; `start` of a child until its
    graph is open; `begin` of a part; `example` of a step's examples, with `spread` as its relative
    deviation between parts; `handle` of a part and `handle_example` of its examples, by the client
    and the scheduler, one after the other; `trip` of a part to a worker and back; `merge` of an
    example at the end.
    """

    join: float
    join_each: float
    count: float
    fetch: float
    start: float
    begin: float
    example: float
    spread: float
    handle: float
    handle_example: float
    trip: float
    merge: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How long a run takes, how much of it before the first part, and for how long the client and
    the scheduler are busy with `parts` parts, of which `again` were given to a second worker;
    and how many files all workers fetched together.
    """

    seconds: float
    ready: float
    client: float
    parts: int
    again: int
    fetched: int


def simulated(
    costs: Costs,
    workers: int,
    examples: int,
    *,
    batch_size: int,
    is_fetched: bool = False,
    chance: random.Random | None = None,
) -> Outcome:
    """A run of so many examples on so many workers.

    Args:
        costs: what each thing takes.
        workers: how many, all alike.
        examples: how many.
        batch_size: of the steps.
        is_fetched: whether the data is in a bucket: each file is fetched and counted by one worker,
            and workers fetch what else they need of a part before they begin it.
        chance: draws how parts differ in speed.
    """
    chance = chance or random.Random(0)
    homes = {str(worker): worker * examples // workers for worker in range(workers)}
    handing = Handing([(0, examples)], batch_size=batch_size, homes=homes if is_fetched else None)
    counted = examples / workers if is_fetched else examples
    ready = costs.join + costs.join_each * workers + costs.count * counted + costs.start
    of_file = BYTES * examples / FILES * max(costs.fetch, workers / BUCKET)
    has: list[set[int]] = [
        set(range(worker * FILES // workers, (worker + 1) * FILES // workers))
        for worker in range(workers)
    ]
    fetched = FILES if is_fetched else 0
    if is_fetched:
        ready += -(-FILES // workers) * of_file
    free, busy = ready, 0.0  # the client: it does one thing after the other
    given: list[parts.Range] = []
    events: list[tuple[float, int, parts.Range | None, float]] = [
        (ready, worker, None, 0.0) for worker in range(workers)
    ]
    while not handing.is_done:
        now, worker, part, seconds = heapq.heappop(events)
        if part is not None:
            cost = costs.handle + costs.handle_example * (part[1] - part[0])
            free, busy = max(now, free) + cost, busy + cost
            handing.take(str(worker), seconds)
        begun = max(now, free)
        new = handing.give(str(worker), workers, begun)
        if new is None:
            heapq.heappush(events, (now + SECONDS_TO_WAIT, worker, None, 0.0))
            continue
        given.append(new)
        if is_fetched:
            lacks = files_of(new, examples) - has[worker]
            has[worker] |= lacks
            fetched += len(lacks)
            begun += len(lacks) * of_file
        seconds = (new[1] - new[0]) * costs.example * chance.lognormvariate(0.0, costs.spread)
        end = begun + costs.trip + costs.begin + seconds
        heapq.heappush(events, (end, worker, new, seconds))
    return Outcome(
        seconds=free + costs.merge * examples,
        ready=ready,
        client=busy,
        parts=len(set(given)),
        again=len(given) - len(set(given)),
        fetched=fetched,
    )


def files_of(part: parts.Range, examples: int) -> set[int]:
    """The files of a part: a few files are read in turn, a record of each, then the next few."""
    size = INTERLEAVED_FILES * examples / FILES
    first, last = (int(number / size) for number in (part[0], part[1] - 1))
    return set(range(first * INTERLEAVED_FILES, min((last + 1) * INTERLEAVED_FILES, FILES)))


def main() -> None:
    """Measure, simulate and print, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--images", type=int, default=2400, help="of the real runs")
    parser.add_argument("--examples", type=int, default=1_200_000, help="of the simulated runs")
    parser.add_argument("--json", help="where to save the costs")
    parser.add_argument("--costs", help="simulate with saved costs, without measuring")
    asked = vars(parser.parse_args())
    images, examples, target, saved = (
        asked.pop(name) for name in ("images", "examples", "json", "costs")
    )
    if saved:
        costs = Costs(**json.loads(Path(saved).read_text()))
        print_table(costs, examples, asked["batch_size"])
        return
    with tempfile.TemporaryDirectory() as folder:
        shards = tiny.shards(Path(folder) / "shards", images=images, files=8)
        real = next(scale_out.runs({**asked, "data_location": shards}))
        costs = measured(real.first, real.by_one, shards, Path(folder))
    if target:
        Path(target).write_text(json.dumps(dataclasses.asdict(costs), indent=1) + "\n")
    for name, value in dataclasses.asdict(costs).items():
        print(f"  {name:15} {value:.3g} s")
    print_real(costs, real, asked["batch_size"])
    print_table(costs, examples, asked["batch_size"])


def measured(result: AccuracyResult, seconds: float, shards: Path, folder: Path) -> Costs:
    """The costs, from a run on one worker that took so many seconds, and from trials."""
    examples, of_parts = result.examples, list(parts_of(result))
    per_example = [each / number for number, each, _ in of_parts]
    in_parts = sum(each + first for _, each, first in of_parts)
    joining, joining_each = joins()
    handle, handle_example, trip, merge = handled(part_like(result))
    start = scale_out.started(result)
    count = _timed(lambda: [len(records.index(path)) for path in shards.iterdir()]) / examples
    # Of the call there is left what a part takes beside its steps and its trip.
    left = seconds - joining - start - count * examples - in_parts
    first = sum(first for *_, first in of_parts)
    return Costs(
        join=joining,
        join_each=joining_each,
        count=count,
        fetch=fetching(folder),
        start=start,
        begin=max((left + first) / len(of_parts) - trip - handle, 0.0),
        example=(in_parts - first) / examples,
        spread=statistics.stdev(per_example) / statistics.fmean(per_example),
        handle=handle,
        handle_example=handle_example,
        trip=trip,
        merge=merge,
    )


def parts_of(result: AccuracyResult) -> Iterator[tuple[int, float, float]]:
    """Of each part the examples, the seconds of its steps, and those to its first batch, for which
    the pipeline is made.
    """
    size = result.plan.batch_size
    steps = iter(zip(result.step_seconds, result.data_seconds, strict=True))
    for part in result.parts:
        start, stop = part.examples
        own = list(itertools.islice(steps, -(-(stop - start) // size)))
        usual = statistics.median(wait for _, wait in own)
        first = max(own[0][1] - usual, 0.0)
        yield stop - start, sum(map(sum, own)) - first, first


def _timed(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def joins() -> tuple[float, float]:
    """The seconds to join a worker, and those for each further one: 32 in one process here."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **scale_out.LOOPBACK) as local,
        Client(local, set_as_default=False) as client,
    ):

        def join() -> None:
            with cluster.joined(client):
                pass

        join()
        alone = statistics.median(_timed(join) for _ in range(5))
    count = 32
    with (
        LocalCluster(count, processes=False, dashboard_address="127.0.0.1:0") as local,
        Client(local, set_as_default=False) as client,
    ):
        addresses = tuple(client.nthreads())

        def ask() -> None:
            cluster.shared_versions(client, addresses)
            client.run(member.worker_info, workers=list(addresses))

        ask()
        many = statistics.median(_timed(ask) for _ in range(5))
    # Three of four questions; the fourth is of the plug-in.
    return alone, many / count * 4 / 3


def part_like(result: AccuracyResult) -> Callable[[int], PartResult]:
    """Makes parts of so many examples that are like those of the result."""

    def made(examples: int) -> PartResult:
        steps = -(-examples // result.plan.batch_size)
        hits = codec.to_dict(TopK(examples=examples, top1=1, top5=5))
        row = ["ILSVRC2012_val_00000001.JPEG", 123, 456, "456 1 2 3 4"]
        record = PartResult(
            plan=dataclasses.replace(result.plan, examples=(0, examples), predictions=None),
            observed=result.observed,
            step_seconds=result.step_seconds[:steps],
            data_seconds=result.data_seconds[:steps],
            examples=examples,
            dataset=DatasetInfo(examples=result.examples, fingerprint="", available=examples),
            state={"hits": {str(shift): hits for shift in (-1, 0, 1)}, "classes": 1001}
            | {"rows": [row] * examples},
        ).to_dict()
        found = from_dict(json.loads(json.dumps(record)))
        assert isinstance(found, PartResult)
        return found

    return made


def handled(made: Callable[[int], PartResult]) -> tuple[float, float, float, float]:
    """The seconds that the client and the scheduler need for a part, and for each example in it;
    those of a part's trip to a worker and back; and those of merging an example.
    """
    few, many, calls = 16, 1000, 100
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **scale_out.LOOPBACK) as local,
        Client(local, set_as_default=False) as client,
        cluster.joined(client) as group,
    ):
        (worker,) = group.infos
        found = []
        for examples in (few, many):
            part = made(examples)

            def keep(part: PartResult) -> None:
                sys.modules["modelzoo_runner"].__dict__["part_to_send"] = part

            def answer(group: str) -> Answer:
                part = sys.modules["modelzoo_runner"].__dict__["part_to_send"]
                return Answer(worker="", value=part)

            client.run(keep, part)
            with Calls(group) as under_way:
                cpu, wall = time.process_time(), time.perf_counter()
                for _ in range(calls):
                    under_way.start(worker, answer)
                    assert under_way.next(60.0) is not None
                cpu = (time.process_time() - cpu) / calls
                found.append((cpu, (time.perf_counter() - wall) / calls))
    (handle, trip), (of_many, _) = found
    each = max(of_many - handle, 0.0) / (many - few)
    some = [
        dataclasses.replace(part, plan=dataclasses.replace(part.plan, examples=(at, at + many)))
        for at in range(0, 20 * many, many)
    ]
    merge = _timed(lambda: parts.merged(some, interrupted=True)) / (20 * many)
    return handle - few * each, each, max(trip - handle, 0.0), merge


def fetching(folder: Path) -> float:
    """The seconds of a byte that is fetched from a server on this machine, checked and kept."""
    with fake_gcs.running() as server:
        for number in range(8):
            server.put("images", f"some/validation-0000{number}-of-00008", os.urandom(16 << 20))
        os.environ.update(STORAGE_EMULATOR_HOST=server.url, MODELZOO_RUNNER_CACHE=f"{folder}/cache")
        try:
            return _timed(lambda: fetch.local("gs://images/some")) / (8 << 24)
        finally:
            del os.environ["STORAGE_EMULATOR_HOST"], os.environ["MODELZOO_RUNNER_CACHE"]


def print_real(costs: Costs, real: scale_out.Round, batch_size: int) -> None:
    """The prediction for one and two workers beside what they took."""
    examples = real.first.examples
    by_two = sum(seconds for _, seconds, _ in parts_of(real.second))
    own = dataclasses.replace(
        costs, example=by_two / examples, start=scale_out.started(real.second)
    )
    print("workers | real | predicted | with their own step and start")
    for workers, seconds, each in ((1, real.by_one, costs), (2, real.by_two, own)):
        predicted = simulated(costs, workers, examples, batch_size=batch_size)
        with_own = simulated(each, workers, examples, batch_size=batch_size)
        print(
            f"{workers} | {seconds:.1f} s | {predicted.seconds:.1f} s "
            f"({predicted.seconds / seconds - 1:+.1%}) | {with_own.seconds:.1f} s "
            f"({with_own.seconds / seconds - 1:+.1%})",
            flush=True,
        )


def print_table(costs: Costs, examples: int, batch_size: int) -> None:
    """The prediction for many workers."""
    fast = dataclasses.replace(costs, example=1 / FAST)
    print(
        f"{examples} images | workers | seconds | until the first part | efficiency | parts "
        "(given twice) | client and scheduler busy | data fetched"
    )
    for name, each, is_fetched in (
        (f"{1 / costs.example:.0f} images/s, data at hand", costs, False),
        (f"{1 / costs.example:.0f} images/s, data in a bucket", costs, True),
        (f"{FAST:.0f} images/s, data at hand", fast, False),
        (f"{FAST:.0f} images/s, data in a bucket", fast, True),
    ):
        for workers in WORKERS:
            found = simulated(each, workers, examples, batch_size=batch_size, is_fetched=is_fetched)
            print(
                f"{name} | {workers} | {found.seconds:,.0f} | {found.ready:,.0f} | "
                f"{each.example * examples / workers / found.seconds:.0%} | "
                f"{found.parts} ({found.again}) | {found.client / found.seconds:.0%} | "
                f"{found.fetched / FILES:.2f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()
