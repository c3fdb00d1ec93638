"""How long a verified download takes against `requests` alone and `gcsfs.get`.

200 MB from a server on this machine, which is the worst case: from memory to memory `requests`
alone can be faster than SHA-256 is (1.9 GB/s where a core has instructions for it), and with two
cores the server takes its part of them. `requests` writes the bytes and does nothing else;
`fetch.local` also hashes them (SHA-256 and CRC-32C), waits for the disk (fsync), renames and
records. The plainest way to do as much is there too, and the hash of the same bytes by itself.

Then the same over a line of 1 Gbit/s, which the server keeps to: what a real line leaves of it.

Each round runs all in turn; the ratios are of the medians, to the faster of the first two.
Processor time is of this process, all threads, without the server's.

    python benchmarks/download.py [--rounds 7] [--megabytes 200]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# gcsfs asks a server that isn't Google's for features it hasn't, for a minute, unless told so.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import fake_gcs
import gcsfs
import requests
import stub_server

from modelzoo_runner.storage import fetch

BLOCK = 1 << 20
LINE = 125 * 10**6
"""Bytes per second: 1 Gbit/s."""

Ways = dict[str, Callable[[], object]]
Taken = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--megabytes", type=int, default=200)
    chosen = arguments.parse_args()
    content = os.urandom(chosen.megabytes * 10**6)
    with fake_gcs.running() as server, tempfile.TemporaryDirectory() as folder:
        server.put("models", "model.pb", content)
        report(measure(from_memory(server, content, Path(folder)), chosen.rounds), len(content))
    with stub_server.running() as stub, tempfile.TemporaryDirectory() as folder:
        url = stub.at("/model.pb", lambda handler: paced(handler, content))
        print("\nover 1 Gbit/s")
        report(measure(over_a_line(url, Path(folder)), chosen.rounds), len(content))


def from_memory(server: fake_gcs.FakeGcs, content: bytes, folder: Path) -> Ways:
    """The functions to time, by name. Each fetches into an empty place."""
    os.environ["STORAGE_EMULATOR_HOST"] = server.url
    url = f"{server.url}/models/model.pb"
    files = gcsfs.GCSFileSystem(token="anon", endpoint_url=server.url)
    copy = folder / "copy.pb"
    return {
        "requests alone": lambda: plain(url, copy),
        "gcsfs.get": lambda: files.get("models/model.pb", str(copy)),
        "SHA-256 of it, in memory": lambda: hashlib.sha256(content).hexdigest(),
        "requests, hash, fsync": lambda: plain_but_sure(url, copy),
        "fetch.local https://": lambda: fetch.local(
            "https://storage.googleapis.com/models/model.pb", cache=folder / "cache"
        ),
        "fetch.local gs://": lambda: fetch.local("gs://models/model.pb", cache=folder / "cache"),
        "(clean up)": lambda: shutil.rmtree(folder / "cache"),
    }


def over_a_line(url: str, folder: Path) -> Ways:
    """The two that matter, from a server that takes its time."""
    return {
        "requests alone": lambda: plain(url, folder / "copy.pb"),
        "fetch.local https://": lambda: fetch.local(url, cache=folder / "cache"),
        "(clean up)": lambda: shutil.rmtree(folder / "cache"),
    }


def plain(url: str, copy: Path) -> None:
    """The bytes in a file, and nothing else."""
    with requests.get(url, stream=True, timeout=60) as answer, copy.open("wb") as file:
        for block in answer.iter_content(BLOCK):
            file.write(block)


def plain_but_sure(url: str, copy: Path) -> None:
    """The bytes in a file, hashed and on the disk."""
    digest = hashlib.sha256()
    with requests.get(url, stream=True, timeout=60) as answer, copy.open("wb") as file:
        for block in answer.iter_content(BLOCK):
            file.write(block)
            digest.update(block)
        file.flush()
        os.fsync(file.fileno())


def paced(handler: stub_server.Handler, content: bytes) -> None:
    """A file at the rate of the line."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    start = time.perf_counter()
    for sent in range(0, len(content), BLOCK):
        handler.wfile.write(content[sent : sent + BLOCK])
        time.sleep(max(0.0, start + (sent + BLOCK) / LINE - time.perf_counter()))


def measure(ways: Ways, rounds: int) -> Taken:
    """(wall, processor) seconds of each way in each round, after one round that isn't counted."""
    taken: Taken = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            wall, processor = time.perf_counter(), processor_seconds()
            way()
            wall, processor = time.perf_counter() - wall, processor_seconds() - processor
            if number > 0:
                taken[name].append((wall, processor))
    return {name: each for name, each in taken.items() if not name.startswith("(")}


def processor_seconds() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report(taken: Taken, size: int) -> None:
    """Print a line for each, with its ratio to the faster of the first two that don't hash."""
    medians = {name: statistics.median(wall for wall, _ in each) for name, each in taken.items()}
    faster = min(medians[name] for name in ("requests alone", "gcsfs.get") if name in medians)
    for name, median in medians.items():
        processor = statistics.median(used for _, used in taken[name])
        print(
            f"{name:24} {median:7.3f} s  {size / median / 1e6:6.0f} MB/s  {median / faster:5.2f}x"
            f"   processor {processor:6.3f} s"
        )


if __name__ == "__main__":
    main()
