"""Several processes and one cache: racing, killed, stopped, and without working locks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub_server
from fake_gcs import FakeGcs
from stub_server import Handler, Stub

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import disk, fetch, partials
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.values.context import Context

# Imports once and forks, so that many processes begin at one moment and cost little.
NURSERY = """
import hashlib, os, sys
import filelock, google_crc32c, requests
from modelzoo_runner.storage import fetch
from modelzoo_runner.storage.retrying import RetryPolicy
location, count, stalled = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
gate, key = os.pipe()
for _ in range(count):
    pid = os.fork()
    if pid == 0:
        os.close(key)
        os.read(gate, 1)
        path = fetch.local(location, retry=RetryPolicy(stalled=stalled))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        os.write(1, f"{os.getpid()} {sha256}\\n".encode())
        os._exit(0)
    print(pid, flush=True)
os.close(key)
for _ in range(count):
    os.wait()
"""


# As in pyproject.toml: Google's client says so where grpc is installed, without need of it.
WARNINGS = ("-W", "error", "-W", "ignore:Please install grpcio-status:ImportWarning")


class Children:
    """Processes that fetch one location at once; `pids` are theirs."""

    def __init__(self, count: int, location: str, stalled: float) -> None:
        self.nursery = subprocess.Popen(
            [sys.executable, *WARNINGS, "-c", NURSERY, location, str(count), str(stalled)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.nursery.stdout is not None
        self.pids = [int(self.nursery.stdout.readline()) for _ in range(count)]

    def hashes(self) -> dict[int, str]:
        """The SHA-256 of the file that each process found, once all of them have ended."""
        out, err = self.nursery.communicate(timeout=60)
        assert err == ""
        return {int(pid): sha256 for pid, sha256 in (line.split() for line in out.splitlines())}

    def writing(self, cache: Path, least: int) -> int:
        """The process that writes, once it has written `least` bytes."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            written = sum(map(partials.total_size, cache.glob("files/*")))
            for pid in self.pids if written >= least else ():
                if _is_writing(pid):
                    return pid
            time.sleep(0.005)
        raise AssertionError("nobody began to write")


def _is_writing(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if each.readlink().suffix == ".part":
                    return True
    return False


@contextlib.contextmanager
def children(count: int, location: str, *, stalled: float = 60) -> Iterator[Children]:
    """So many processes that fetch; whatever happens, they are ended."""
    made = Children(count, location, stalled)
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            # The group that began with the nursery: it and what it forked.
            os.killpg(made.nursery.pid, signal.SIGKILL)
        made.nursery.communicate()


def slow(
    content: bytes, *, pause: float = 0.02, etag: str = '"v1"', **headers: str
) -> stub_server.Answer:
    """A file that comes a MiB at a time, with ranges."""

    def answer(handler: Handler) -> None:
        wanted = handler.headers.get("Range", "bytes=0-")
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206 if start else 200)
        for name, value in {"ETag": etag, **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        for at in range(start, len(content), 1 << 20):
            handler.wfile.write(content[at : at + (1 << 20)])
            time.sleep(pause)

    return answer


def files_in(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "files").rglob("*") if path.is_file())


CONTENT = os.urandom(24 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_eight_processes_fetch_100_mb_once(gcs: FakeGcs, cache_folder: Path) -> None:
    content = os.urandom(100 * 10**6)
    gcs.put("racing", "m.pb", content)
    with children(8, "https://storage.googleapis.com/racing/m.pb") as racing:
        found = racing.hashes()
    assert found == dict.fromkeys(racing.pids, hashlib.sha256(content).hexdigest())
    assert len(gcs.requests("GET /racing/m.pb")) == 1
    assert files_in(cache_folder) == ["m.pb", "record.json"]


def test_when_the_one_that_fetches_is_killed_another_goes_on(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", slow(CONTENT))
    with children(8, url) as racing:
        killed = racing.writing(cache_folder, 8 << 20)
        os.kill(killed, signal.SIGKILL)
        found = racing.hashes()
    assert found == {pid: SHA256 for pid in racing.pids if pid != killed}
    ranges = [headers.get("Range") for _, _, headers in web.seen]
    assert len(ranges) == 2 and ranges[0] is None
    assert int(str(ranges[1]).removeprefix("bytes=").removesuffix("-")) >= 8 << 20
    assert files_in(cache_folder) == ["m.pb", "record.json"]


@pytest.mark.parametrize("after", [1, 7, 20])
def test_killed_in_the_middle_and_called_again(web: Stub, cache_folder: Path, after: int) -> None:
    url = web.at("/m.pb", slow(CONTENT))
    with children(1, url) as one:
        os.kill(one.writing(cache_folder, after << 20), signal.SIGKILL)
        assert one.hashes() == {}
    assert not list(cache_folder.rglob("m.pb"))
    assert hashlib.sha256(fetch.local(url).read_bytes()).hexdigest() == SHA256
    assert web.seen[-1][2].get("Range") is not None
    assert files_in(cache_folder) == ["m.pb", "record.json"]


def test_killed_in_the_middle_and_the_file_changed_since(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", slow(CONTENT))
    with children(1, url) as one:
        os.kill(one.writing(cache_folder, 4 << 20), signal.SIGKILL)
        one.hashes()
    changed = os.urandom(1 << 20)
    web.at("/m.pb", slow(changed, etag='"v2"', pause=0))
    assert fetch.local(url).read_bytes() == changed


def test_killed_in_the_middle_of_a_folder_and_called_again(
    web: Stub, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", web.url)
    shards = {f"shard-{number}": os.urandom(8 << 20) for number in range(4)}
    items = []
    for name, content in shards.items():
        about = {"bucket": "b", "name": f"data/{name}", "size": str(len(content))}
        items.append({**about, "generation": "7"})
        at = f"/download/storage/v1/b/b/o/data%2F{name}"
        web.at(at, slow(content, pause=0.1, X_Goog_Generation="7"))
    listing = json.dumps({"items": items}).encode()
    web.at("/storage/v1/b/b/o", stub_server.status(200, listing, Content_Type="application/json"))
    with children(1, "gs://b/data/") as one:
        os.kill(one.writing(cache_folder, 8 << 20), signal.SIGKILL)
        assert one.hashes() == {}
    killed = len(web.seen)
    folder = fetch.local("gs://b/data/")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == shards
    asked = [headers.get("Range") for _, path, headers in web.seen[killed:] if "download" in path]
    assert len(asked) == 4 and all(asked), "what had come was not used"
    assert files_in(cache_folder) == sorted([*shards, *["record.json"] * 4])


def test_a_holder_that_stops_is_not_waited_for(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", slow(CONTENT), stub_server.file(CONTENT))
    with children(1, url) as one:
        stopped = one.writing(cache_folder, 2 << 20)
        os.kill(stopped, signal.SIGSTOP)
        path = fetch.local(url, retry=RetryPolicy(stalled=0.5))
        assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
        # It may go on: it has a file of its own.
        os.kill(stopped, signal.SIGCONT)
        assert one.hashes() == {stopped: SHA256}
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    assert files_in(cache_folder) == ["m.pb", "record.json"]


def test_without_locks_two_threads_make_one_right_file(
    web: Stub, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a network file system does whose locks always succeed."""
    monkeypatch.setattr(disk, "exclusive", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(partials.fcntl, "flock", lambda *_: None)
    url = web.at("/m.pb", slow(CONTENT, pause=0.005))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch.local(url).read_bytes()))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.03)
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 3
    assert web.count("/m.pb") == 3
    assert fetch.local(url, context=Context(offline=True)).read_bytes() == CONTENT


def test_threads_of_one_process_fetch_once(web: Stub) -> None:
    url = web.at("/m.pb", slow(CONTENT, pause=0.005))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch.local(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert found[0].read_bytes() == CONTENT
    assert web.count("/m.pb") == 1


def test_when_the_first_fails_the_one_that_waits_still_can(web: Stub, cache_folder: Path) -> None:
    def late_refusal(handler: Handler) -> None:
        time.sleep(0.2)
        handler.send(404)

    url = web.at("/m.pb", late_refusal, stub_server.file(CONTENT))
    found: list[str] = []

    def run() -> None:
        try:
            found.append(hashlib.sha256(fetch.local(url).read_bytes()).hexdigest())
        except FetchError:
            found.append("refused")

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(["refused", SHA256, SHA256])
    assert files_in(cache_folder) == ["m.pb", "record.json"]
