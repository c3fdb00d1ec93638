"""Run a plan in a container: start it, and end it.

The container gets the plan's CPUs, its variables and the files that it reads (see `mounts`), and
nothing else: no network, no capability, nothing to write to but its own `/tmp`. The worker in it is
this library's own, which is a part of the image. Plan and messages go through the container's
standard input and output, over one connection to the engine; when that ends, the worker ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import ContainerError, Interrupted
from modelzoo_runner.execution import listen, mounts
from modelzoo_runner.execution.protocol import Message
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.results.result import Result
from modelzoo_runner.storage import images
from modelzoo_runner.values import atomic, codec
from modelzoo_runner.values.plan import Image, Placement, Plan
from modelzoo_runner.values.progress import Progress

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

NOBODY = 65534
"""The user and the group of a container that root starts; anybody else's is as its user."""

LABEL = "modelzoo_runner"
"""By it a container can be found whose removal was prevented (`docker ps --filter label=...`)."""

SAID_LAST = 1 << 16
"""How many bytes of a container's standard error are kept."""

OUT, ERR = 1, 2
"""How the engine marks what comes from a container: standard output, or standard error."""

BEGIN = """
import json, os, sys
answers = os.dup(1)
os.dup2(2, 1)  # whatever is printed from here on goes elsewhere
image, wanted = sys.argv[1:3]
try:
    from modelzoo_runner import __version__ as found
    has = f"modelzoo_runner {found}"
except ImportError as error:
    has = f"no modelzoo_runner ({error})"
if has != f"modelzoo_runner {wanted}":
    said = f"docker_image={image!r}: it has {has}, and this is modelzoo_runner {wanted}: the same "
    said += f"has to be in both. Build it anew (docker build -t {image} . in this one's source)"
    error = {"class": "ContainerError", "message": said}
    os.write(answers, json.dumps({"error": error}).encode() + b"\\n")
    sys.exit()
sys.argv[1:] = [str(answers), "contained"]
from modelzoo_runner.execution import worker
sys.exit(worker.main())
"""
"""What a container's Python does first: see that its library is this one, and start its worker."""


def run(plan: Plan, *, progress: Progress | None = None) -> Result:
    """The result of the plan, run in a container of its image.

    Raises:
        Interrupted: Ctrl-C; holds what had been measured by then.
        ContainerError: the engine or the image can't run it.
        WorkerError: the container died, or took longer than `plan.timeout` seconds.
        RunnerError: what was raised in the container, as the same class.
    """
    image = plan.docker_image
    if image is None:
        raise ValueError("the plan names no docker_image")
    with (
        images.engine(image.name) as client,
        _predictions(plan) as inner,
        _started(client, image, inner) as worker,
    ):
        try:
            return _as_here(listen.to(worker, progress), plan)
        except Interrupted as interrupted:
            raise Interrupted(_as_here(interrupted.result, plan)) from None


def _as_here(result: Result, plan: Plan) -> Result:
    """The result with the plan's values of this machine, where those inside were others."""
    own = replace(
        result.plan,
        placement=replace(result.plan.placement, numa_nodes=plan.placement.numa_nodes),
        instances=plan.instances,
        isolation=plan.isolation,
        docker_image=plan.docker_image,
        timeout=plan.timeout,
        predictions=plan.predictions,
    )
    return replace(result, plan=own)


@contextlib.contextmanager
def _predictions(plan: Plan) -> Iterator[Plan]:
    """The plan with its predictions in a folder that a container may write to.

    They are where they should be once the block ends.
    """
    if plan.predictions is None:
        yield plan
        return
    target = atomic.target("predictions", plan.predictions)
    with tempfile.TemporaryDirectory(prefix="modelzoo_runner-") as folder:
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        written = Path(folder) / target.name
        try:
            yield replace(plan, predictions=str(written))
        finally:
            if written.exists():
                with atomic.writing(target) as file:
                    file.write(written.read_bytes())


@contextlib.contextmanager
def _started(client: DockerClient, image: Image, plan: Plan) -> Iterator[Contained]:
    """A container that has got the plan and begins with it; on leaving it is gone."""
    from docker.errors import APIError, NotFound

    name = f"modelzoo_runner-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        container = client.containers.create(
            image.id, name=name, **_options(image, plan), **_files(plan)
        )
        with _connected(client, container) as connection:
            try:
                container.start()
            except APIError as error:
                raise ContainerError(
                    f"docker_image={image.name!r}: a container of it can't be started: "
                    f"{error.explanation or error}. An image has to have python and "
                    f"modelzoo_runner {__version__} (see Dockerfile in this library's source)"
                ) from None
            worker = Contained(plan=plan, container=container, connection=connection)
            worker.tell(json.dumps(codec.to_dict(mounts.as_inside(_inside(plan)))))
            yield worker
    finally:
        with contextlib.suppress(NotFound):
            client.api.remove_container(name, force=True)


def _options(image: Image, plan: Plan) -> dict[str, Any]:
    """How the engine is to start the container."""
    placement = plan.placement
    user = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
    return {
        "entrypoint": ["python", "-c", BEGIN, image.name, __version__],
        "command": [],
        "environment": {**placement.env, "HOME": "/tmp"},
        "labels": [LABEL],
        "user": "{}:{}".format(*user),
        "stdin_open": True,
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": "mode=1777"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "cpuset_cpus": format_cpu_list(placement.cpus) or None,
        "cpuset_mems": format_cpu_list(placement.numa_nodes) or None,
    }


def _files(plan: Plan) -> dict[str, Any]:
    """The files of this machine that the container gets: to read, but for the predictions."""
    from docker.types import Mount

    def mount(path: Path, *, read_only: bool) -> Mount:
        return Mount(mounts.inside(str(path)), str(path), type="bind", read_only=read_only)

    found = [mount(path, read_only=True) for path in mounts.needed(plan)]
    if plan.predictions is not None:
        found.append(mount(Path(plan.predictions).parent, read_only=False))
    return {"mounts": found}


def _inside(plan: Plan) -> Plan:
    """What the worker inside is to do: the same, in a process of its own choice."""

    def allowed(placement: Placement) -> Placement:
        # Its memory comes from the nodes of the container, which may set no policy itself.
        return replace(placement, numa_nodes=())

    return replace(
        plan,
        placement=allowed(plan.placement),
        instances=tuple(map(allowed, plan.instances)),
        isolation="auto",
        docker_image=None,
        timeout=None,
    )


@contextlib.contextmanager
def _connected(client: DockerClient, container: Container) -> Iterator[socket.socket]:
    """A connection to the container's standard input, output and error."""
    streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    attached = client.api.attach_socket(container.id, params=streams)
    # What is handed out can only be read from, and leaves the socket open when it is closed. The
    # response it is of has to be closed before it, or Python 3.13 complains when that is collected.
    connection: socket.socket = getattr(attached, "_sock", attached)
    response = getattr(attached, "_response", attached)
    with contextlib.closing(connection), contextlib.closing(response):
        yield connection


@dataclass
class Contained:
    """A container that runs a plan: what it answers, and what it said on standard error."""

    plan: Plan
    container: Container
    connection: socket.socket
    said: deque[int] = field(default_factory=lambda: deque(maxlen=SAID_LAST))
    frames: bytes = b""
    rest: bytes = b""

    @property
    def answers(self) -> int:
        """The file descriptor to wait at."""
        return self.connection.fileno()

    def read(self) -> list[Message] | None:
        """The messages that have come, waiting for some; `None` when there will be no more."""
        chunk = self.connection.recv(1 << 16)
        if not chunk:
            return None
        self.frames += chunk
        # Eight bytes say which stream a frame is from and how long it is (Engine API, "Attach").
        while len(self.frames) >= 8:
            stream, length = struct.unpack(">BxxxL", self.frames[:8])
            if len(self.frames) < 8 + length:
                break
            frame, self.frames = self.frames[8 : 8 + length], self.frames[8 + length :]
            if stream == OUT:
                self.rest += frame
            else:
                self.said.extend(frame)
        *lines, self.rest = self.rest.split(b"\n")
        return [json.loads(mounts.outside(line.decode())) for line in lines]

    def tell(self, line: str) -> None:
        """A line for its standard input; a container that has died hears nothing."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.sendall(line.encode() + b"\n")

    def interrupt(self) -> None:
        """Ask it to stop and hand over what it has."""
        from docker.errors import APIError

        # An error is that it has ended meanwhile, which the connection tells.
        with contextlib.suppress(APIError):
            self.container.kill(signal=signal.SIGINT.value)

    def stderr_tail(self) -> str:
        """The end of what it said on standard error."""
        return mounts.outside(listen.stderr_tail(bytes(self.said)))

    def exit_message(self) -> str:
        """How it ended without an answer, and what to do about it."""
        code = self.container.wait()["StatusCode"]
        self.container.reload()
        how = f"ended with exit code {code}"
        if code > 128:
            how = f"was killed by {signal.Signals(code - 128).name}"
        if code - 128 == signal.SIGKILL:
            told = self.container.attrs["State"].get("OOMKilled")
            by = "its memory had run out" if told else "as the system does when memory runs out"
            how += f", {by}. {listen.smaller_batch(self.plan)}"
        return f"the container that ran the plan {how}. {self.stderr_tail()}"
