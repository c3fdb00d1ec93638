"""How long a verified download takes against `requests` alone and `gcsfs.get`.

200 MB from a server on this machine: the worst case, since a real line is slower than any hash.
`requests` writes the bytes and does nothing else; `fetch.local` also hashes them (SHA-256 and
CRC-32C), waits for the disk (fsync), renames and records. The plainest way to do as much is there
too: from memory to memory, `requests` alone can be faster than SHA-256 is (1.5 GB/s where a core
has instructions for it), and with two cores the server takes its part of them. Each round runs all
in turn; the printed ratio is of the medians, to the faster of the first two.

    python benchmarks/download.py [--rounds 7] [--megabytes 200]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# gcsfs asks a server that isn't Google's for features it hasn't, for a minute, unless told so.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "storage"))

import fake_gcs
import gcsfs
import requests

from modelzoo_runner.storage import fetch

BLOCK = 1 << 20


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--megabytes", type=int, default=200)
    chosen = arguments.parse_args()
    with fake_gcs.running() as server, tempfile.TemporaryDirectory() as folder:
        server.put("models", "model.pb", os.urandom(chosen.megabytes * 10**6))
        seconds = measure(contenders(server, Path(folder)), chosen.rounds)
    report(seconds, chosen.megabytes)


def contenders(server: fake_gcs.FakeGcs, folder: Path) -> dict[str, Callable[[], object]]:
    """The functions to time, by name. Each fetches into an empty place."""
    os.environ["STORAGE_EMULATOR_HOST"] = server.url
    cache = folder / "cache"
    copy = folder / "copy.pb"
    files = gcsfs.GCSFileSystem(token="anon", endpoint_url=server.url)

    def plain() -> None:
        with (
            requests.get(f"{server.url}/models/model.pb", stream=True, timeout=60) as answer,
            copy.open("wb") as file,
        ):
            for block in answer.iter_content(BLOCK):
                file.write(block)

    def plain_but_sure() -> None:
        digest = hashlib.sha256()
        with (
            requests.get(f"{server.url}/models/model.pb", stream=True, timeout=60) as answer,
            copy.open("wb") as file,
        ):
            for block in answer.iter_content(BLOCK):
                file.write(block)
                digest.update(block)
            file.flush()
            os.fsync(file.fileno())

    def fresh(location: str) -> Callable[[], object]:
        return lambda: fetch.local(location, cache=cache)

    return {
        "requests alone": plain,
        "gcsfs.get": lambda: files.get("models/model.pb", str(copy)),
        "requests, hash, fsync": plain_but_sure,
        "fetch.local https://": fresh("https://storage.googleapis.com/models/model.pb"),
        "fetch.local gs://": fresh("gs://models/model.pb"),
        "(clean up)": lambda: (shutil.rmtree(cache, ignore_errors=True), copy.unlink()),
    }


def measure(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each function in each round, after one round that isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if number > 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: each for name, each in seconds.items() if not name.startswith("(")}


def report(seconds: dict[str, list[float]], megabytes: int) -> None:
    """Print a line for each, with its ratio to the faster of the others."""
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    faster = min(medians["requests alone"], medians["gcsfs.get"])
    for name, median in medians.items():
        rate = megabytes / median
        print(f"{name:22} {median:7.3f} s  {rate:6.0f} MB/s  {median / faster:5.2f}x")


if __name__ == "__main__":
    main()
