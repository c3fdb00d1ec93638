"""An accuracy run on two workers of one core beside the same run on one.

    python benchmarks/scale_out.py [--model resnet50] [--weights random] [--data-location FOLDER]
        [--batch-size 16] [--limit N] [--rounds 3] [--cold] [--no-changes]

In turn in one run, over local Dask clusters that are up before the clock starts: the seconds that
one worker takes for the call divided by those that two take, its median over the rounds. Short
calls come before each until every worker has done a part, and so has TensorFlow loaded; with --cold
they load it while the clock runs. The graph is opened in any case, once on each worker: the more
examples, the less that counts. Without data it makes 2400 small images. Dask looks at its event
loops once a second, as docs/scaling.md advises where all cores are measured.

Then what changes in the middle: a worker is killed, comes late, or becomes four times as slow. The
counts have to be the same, and printed is what is lost of the time that two workers take.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import dask.config
import tiny
from dask_clusters import LOOPBACK, Slowed
from distributed import Client, LocalCluster

from modelzoo_runner import AccuracyResult, accuracy
from modelzoo_runner.values.progress import Progress

CHANGED_AT = 0.4
"""The share of the examples after which something changes."""


@dataclass(frozen=True)
class Round:
    """The seconds of a run by one worker and by two, and their results."""

    by_one: float
    by_two: float
    first: AccuracyResult
    second: AccuracyResult


def main() -> None:
    """Measure and print, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--data-location")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="load TensorFlow while the clock runs")
    parser.add_argument("--no-changes", action="store_true", help="leave out what changes")
    asked = vars(parser.parse_args())
    rounds, is_cold, no_changes = (asked.pop(name) for name in ("rounds", "cold", "no_changes"))
    with tempfile.TemporaryDirectory() as folder:
        if asked["data_location"] is None:
            asked["data_location"] = tiny.shards(Path(folder) / "shards", images=2400, files=8)
        last = report(asked, rounds, is_cold=is_cold)
        if not no_changes:
            report_changes(asked, last)


def report(asked: Mapping[str, Any], rounds: int, *, is_cold: bool = False) -> Round:
    """Run on one worker and on two, in turn, print the ratios, and return the last round."""
    found = []
    for each in itertools.islice(runs(asked, is_cold=is_cold), rounds):
        found.append(each.by_one / each.by_two)
        print(
            f"  {found[-1]:.3f}: {each.by_one:.1f} s by one worker, {each.by_two:.1f} s by two, "
            f"{each.second.examples} examples in {len(each.second.parts)} parts, "
            f"{started(each.second):.1f} s to start",
            flush=True,
        )
    print(f"{asked['model']}: one worker / two: {statistics.median(found):.3f}", flush=True)
    return each


def seconds(asked: Mapping[str, Any]) -> Iterator[tuple[float, float, AccuracyResult]]:
    """The seconds of each round by one worker and by two, and the two's result, without end."""
    return ((each.by_one, each.by_two, each.second) for each in runs(asked))


def runs(asked: Mapping[str, Any], *, is_cold: bool = False) -> Iterator[Round]:
    """Rounds of a run by one worker and by two, without end."""
    with clients(1) as one, clients(2) as two:
        while True:
            by_one, first = timed(asked, one, is_cold=is_cold)
            by_two, second = timed(asked, two, is_cold=is_cold)
            if first.counts != second.counts:
                raise SystemExit(f"one worker counts {first.counts}, two {second.counts}")
            yield Round(by_one, by_two, first, second)


@contextlib.contextmanager
def clients(workers: int) -> Iterator[Client]:
    """The client of a cluster of so many workers of one thread each."""
    with (
        dask.config.set({"distributed.admin.tick.interval": "1s"}),
        LocalCluster(n_workers=workers, threads_per_worker=1, **LOOPBACK) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield client


def timed(
    asked: Mapping[str, Any],
    client: Client,
    *,
    is_cold: bool = False,
    progress: Progress | None = None,
) -> tuple[float, AccuracyResult]:
    """The seconds that a run took, on one core of each worker, and its result."""
    own = {**asked, "num_cores": 1, "client": client}
    if is_cold:
        client.run(_release)
    else:
        warm_up(own, client)
    start = time.perf_counter()
    result = accuracy(**own, progress=progress or False)
    return time.perf_counter() - start, result


def warm_up(own: Mapping[str, Any], client: Client) -> None:
    """Have each worker do a part: one that is late leaves its own to others, and loads anew."""
    workers = len(client.nthreads())
    short = {**own, "limit": 4 * workers * own["batch_size"]}
    while len({each.cpus for each in accuracy(**short, progress=False).parts}) < workers:
        pass


def _release() -> None:
    import modelzoo_runner

    modelzoo_runner.release()


def report_changes(asked: Mapping[str, Any], last: Round) -> None:
    """Run while a worker is killed, comes late or becomes slow, and print what is lost."""
    after = int(CHANGED_AT * last.second.examples)
    for name, run in (("killed", killed), ("late", late), ("slow", slow)):
        took, result = run(asked, after)
        if result.counts != last.second.counts:
            raise SystemExit(f"{name}: {result.counts}, and without {last.second.counts}")
        print(
            f"a worker {name} at {CHANGED_AT:.0%}: {took:.1f} s, {took - last.by_two:+.1f} s "
            f"beside two workers, {took - last.by_one:+.1f} s beside one; the same counts, "
            f"{len(result.parts)} parts",
            flush=True,
        )


def killed(asked: Mapping[str, Any], after: int) -> tuple[float, AccuracyResult]:
    """A run in which one of two workers is killed; its nanny starts another one."""
    with clients(2) as client:
        pid = next(iter(client.run(os.getpid).values()))
        return timed(asked, client, progress=once(after, lambda: os.kill(pid, signal.SIGKILL)))


def late(asked: Mapping[str, Any], after: int) -> tuple[float, AccuracyResult]:
    """A run that a second worker is added to."""
    with clients(1) as client:
        local = client.cluster
        return timed(asked, client, progress=once(after, lambda: local.scale(2)))


def slow(asked: Mapping[str, Any], after: int) -> tuple[float, AccuracyResult]:
    """A run in which one of two workers becomes four times as slow."""
    with clients(2) as client, Slowed(next(iter(client.run(os.getpid).values()))) as slowed:
        return timed(asked, client, progress=once(after, slowed.on.set))


def once(after: int, do: Callable[[], object]) -> Progress:
    """A progress callback that does something as soon as so many examples are done."""
    did: list[object] = []

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "examples" and done >= after and not did:
            did.append(do())

    return progress


def started(result: AccuracyResult) -> float:
    """The seconds until the slowest child had its graph open."""
    return max(sum(part.setup_seconds.values()) for part in result.parts)


if __name__ == "__main__":
    main()
