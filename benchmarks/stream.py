"""What reading a bucket's objects in place costs, by several ways, in processor and wall time.

Six objects of 50 MB from a server on this machine, read in pieces of a record's size. Each round
takes all ways in turn; the ratios are of the medians, to `streaming.path`, which also compares a
checksum. Processor time is of this process: what is taken from the computation that the data is
for.

    python benchmarks/stream.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

# gcsfs asks a server that isn't Google's for features it hasn't, for a minute, unless told so.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import fake_gcs
import fsspec
import gcsfs
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from modelzoo_runner.storage import streaming

RECORD = 110 * 1024
OBJECTS, SIZE = 6, 50 * 10**6


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    with fake_gcs.running() as server:
        for number in range(OBJECTS):
            server.put("models", f"data/{number}", os.urandom(SIZE))
        report(measure(ways(server), rounds))


def ways(server: fake_gcs.FakeGcs) -> dict[str, Callable[[], Iterator[BinaryIO]]]:
    """Functions that open each object in turn, by name."""
    os.environ["STORAGE_EMULATOR_HOST"] = server.url
    fsspec.config.conf["gcs"] = {"token": "anon", "endpoint_url": server.url}
    files = gcsfs.GCSFileSystem(token="anon", endpoint_url=server.url)
    client = storage.Client(project="none", credentials=AnonymousCredentials())
    client._bucket_metadata_cache = None

    def ours() -> Iterator[BinaryIO]:
        folder = streaming.path("gs://models/data/")
        return (path.open("rb") for path in sorted(folder.iterdir()))

    def by_fsspec() -> Iterator[BinaryIO]:
        folder = streaming.path("gcs://models/data/")
        return (path.open("rb") for path in sorted(folder.iterdir()))

    def with_gcsfs(**how: object) -> Callable[[], Iterator[BinaryIO]]:
        return lambda: (files.open(path, "rb", **how) for path in files.ls("models/data"))

    return {
        "streaming.path": ours,
        "streaming.path, gcs://": by_fsspec,
        "gcsfs": with_gcsfs(),
        "gcsfs, read ahead 16 MB": with_gcsfs(block_size=1 << 24, cache_type="readahead"),
        "gcsfs, in the background": with_gcsfs(block_size=1 << 23, cache_type="background"),
        "google-cloud-storage": lambda: (
            blob.open("rb") for blob in client.list_blobs("models", prefix="data/")
        ),
    }


def measure(
    functions: dict[str, Callable[[], Iterator[BinaryIO]]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """(processor, wall) seconds of each in each round, after one that isn't counted."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            wall, processor = time.perf_counter(), processor_seconds()
            came = sum(drained(file) for file in function())
            if came != OBJECTS * SIZE:
                raise SystemExit(f"{name}: {came:,} bytes came")
            if number > 0:
                seconds[name].append((processor_seconds() - processor, time.perf_counter() - wall))
    return seconds


def drained(file: BinaryIO) -> int:
    """The number of bytes in a file."""
    with file:
        return sum(len(piece) for piece in iter(lambda: file.read(RECORD), b""))


def processor_seconds() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report(seconds: dict[str, list[tuple[float, float]]]) -> None:
    """Print a line for each way."""
    medians = {
        name: [statistics.median(column) for column in zip(*each, strict=True)]
        for name, each in seconds.items()
    }
    base = medians["streaming.path"]
    for name, (processor, wall) in medians.items():
        print(
            f"{name:26} processor {processor:6.2f} s {processor / base[0]:5.2f}x   "
            f"wall {wall:6.2f} s {wall / base[1]:5.2f}x"
        )


if __name__ == "__main__":
    main()
