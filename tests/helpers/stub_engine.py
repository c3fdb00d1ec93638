"""A container engine for tests: it speaks what is needed of the Engine API, on a Unix socket.

A container is a process of this machine with the environment that was asked for; its mounts are
links. So everything but the isolation is real, where no engine is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socketserver
import struct
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "src"


@dataclass
class FakeImage:
    """What an image has: a Python, with these options, that looks for modules there."""

    python: tuple[str, ...] | None = (sys.executable,)
    modules: str = str(SOURCE)
    digests: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"sha256:{abs(hash((self.python, self.modules))):064x}"


@dataclass
class FakeContainer:
    """A container: what it was made from, and the process that it is once it is started."""

    id: str
    name: str
    image: FakeImage
    asked: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    started: threading.Event = field(default_factory=threading.Event)
    out_of_memory: bool = False

    def start(self) -> None:
        """Start it, in the calling thread: with that it ends, too."""
        assert self.image.python is not None
        _, *arguments = self.asked["Entrypoint"]
        given = dict(each.split("=", 1) for each in self.asked["Env"])
        self.process = subprocess.Popen(
            [*self.image.python, *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": self.image.modules, **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.set()

    def kill(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def end(self) -> None:
        """Kill all of it, as the end of its first process does in a real one."""
        self.started.set()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    @property
    def code(self) -> int:
        assert self.process is not None
        returncode = self.process.wait()
        return returncode if returncode >= 0 else 128 - returncode


@dataclass
class StubEngine:
    """The engine's state, for a test to arrange and to look at."""

    images: dict[str, FakeImage] = field(default_factory=dict)
    to_pull: dict[str, FakeImage] = field(default_factory=dict)
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """What each container was to be created with, also of those that were removed."""

    pulled: list[str] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)


class Refused(Exception):
    """An answer with a status of 400 or above."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Handler(BaseHTTPRequestHandler):
    """One request; its path says which."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None: ...

    def address_string(self) -> str:
        return "a Unix socket"

    def do_GET(self) -> None:
        self.answered("GET")

    def do_POST(self) -> None:
        self.answered("POST")

    def do_DELETE(self) -> None:
        self.answered("DELETE")

    def answered(self, method: str) -> None:
        engine: StubEngine = self.server.engine
        url = urllib.parse.urlsplit(self.path)
        parts = urllib.parse.unquote(url.path).strip("/").split("/")
        if parts[0].startswith("v1."):
            del parts[0]
        query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = json.loads(body) if body else {}
        try:
            if parts[0] == "version":
                self.say({"ApiVersion": "1.41", "Version": "stub"})
            elif parts[0] == "images":
                self.image(engine, parts, query)
            elif parts[1] == "create":
                self.create(engine, query["name"], given)
            else:
                container = engine.containers.get(parts[1])
                if container is None:
                    raise Refused(404, f"No such container: {parts[1]}")
                self.container(engine, container, parts[2:], query)
        except Refused as refused:
            self.say({"message": str(refused)}, refused.status)

    def image(self, engine: StubEngine, parts: list[str], query: dict[str, str]) -> None:
        if parts[1] == "create":
            name = f"{query['fromImage']}:{query['tag']}"
            if name not in engine.to_pull:
                raise Refused(404, f"pull access denied for {query['fromImage']}")
            engine.pulled.append(name)
            engine.images[name] = engine.to_pull[name]
            size = {"current": 5, "total": 10}
            self.say({"status": "Downloading", "id": "layer", "progressDetail": size})
            return
        name = "/".join(parts[1:-1])
        found = engine.images.get(name) or engine.images.get(f"{name}:latest")
        if found is None:
            raise Refused(404, f"No such image: {name}")
        self.say({"Id": found.id, "RepoDigests": list(found.digests), "RepoTags": [name]})

    def create(self, engine: StubEngine, name: str, asked: dict[str, Any]) -> None:
        engine.asked.append(asked)
        image = next(each for each in engine.images.values() if each.id == asked["Image"])
        for mount in asked["HostConfig"].get("Mounts", ()):
            target = Path(mount["Target"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(mount["Source"])
        container = FakeContainer(id=f"id-{name}", name=name, image=image, asked=asked)
        engine.containers |= {container.id: container, name: container}
        self.say({"Id": container.id, "Warnings": []}, 201)

    def container(
        self, engine: StubEngine, container: FakeContainer, verb: list[str], query: dict[str, str]
    ) -> None:
        if not verb:  # DELETE
            container.end()
            engine.containers = {
                key: each for key, each in engine.containers.items() if each is not container
            }
            for mount in container.asked["HostConfig"].get("Mounts", ()):
                Path(mount["Target"]).unlink()
            self.say(None, 204)
        elif verb == ["json"]:
            ended = container.process is not None and container.process.poll() is not None
            state = {"OOMKilled": container.out_of_memory, "Running": not ended}
            self.say({"Id": container.id, "Name": container.name, "State": state})
        elif verb == ["attach"]:
            self.attach(container)
        elif verb == ["start"]:
            if container.image.python is None:
                raise Refused(400, 'exec: "python": executable file not found in $PATH')
            # Not in this thread, which ends with the caller's connection.
            self.server.starter.submit(container.start).result()
            self.say(None, 204)
        elif verb == ["kill"]:
            engine.killed.append(int(query["signal"]))
            container.kill(int(query["signal"]))
            self.say(None, 204)
        elif verb == ["wait"]:
            self.say({"StatusCode": container.code})

    def attach(self, container: FakeContainer) -> None:
        """Standard input and output over this connection, from now until the process ends."""
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        self.wfile.flush()
        self.close_connection = True
        container.started.wait()
        process = container.process
        if process is None:
            return
        assert process.stdin and process.stdout and process.stderr
        streams = {process.stdout.fileno(): 1, process.stderr.fileno(): 2}
        connection = self.connection.fileno()
        listening = {connection, *streams}
        while listening & set(streams):
            for ready in select.select(list(listening), [], [])[0]:
                chunk = os.read(ready, 1 << 16)
                if not chunk:
                    listening.discard(ready)
                    if ready == connection:
                        process.stdin.close()
                elif ready == connection:
                    process.stdin.write(chunk)
                    process.stdin.flush()
                else:
                    with contextlib.suppress(BrokenPipeError):
                        header = struct.pack(">BxxxL", streams[ready], len(chunk))
                        self.wfile.write(header + chunk)

    def say(self, answer: Any, status: int = 200) -> None:
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers each connection in a thread."""

    daemon_threads = True
    engine: StubEngine
    starter: ThreadPoolExecutor

    def handle_error(self, *_: Any) -> None:
        """A caller that is gone hears no answer."""

    def get_request(self) -> Any:
        # http.server prints the client's address, and one at a Unix socket has none.
        request, _ = super().get_request()
        return request, ("", 0)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[StubEngine]:
    """An engine that answers at `folder / "engine.sock"`."""
    with (
        ThreadPoolExecutor(1) as starter,
        Server(str(folder / "engine.sock"), Handler) as server,
    ):
        server.engine, server.starter = StubEngine(), starter
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.engine
        finally:
            for container in server.engine.containers.values():
                container.end()
            server.shutdown()
            thread.join()
    shutil.rmtree(folder / "outside", ignore_errors=True)
