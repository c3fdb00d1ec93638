"""Workers by fork: of a process that has loaded TensorFlow already, kept for the next one.

The first worker takes as long as without, each further one some seconds less. It has thread pools,
sessions and memory of its own. What it shares with its siblings is where the libraries lie in
memory, and Python's hash seed: by these, too, processes differ in speed by a percent or two. So
comparisons start every process anew (`launch.anew`).

A process is forked only if a new one would be the same: the same variables, CPUs, limits, folder
and control group. The one that forks ends after `protocol.IDLE_SECONDS`, or with this process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from modelzoo_runner.execution import protocol
from modelzoo_runner.machine import environment

MOST_SERVERS = 2
"""How many are kept; each takes some 300 MB. Settings that differ in a variable need one each."""

SECONDS_TO_END = 0.5
"""How long is waited for a server that may still have something to run."""

LATE = environment.READ_BY_OPENMP
"""Prefixes of the variables that are set after the fork: loading TensorFlow reads none of them."""

_LIMITS = [value for name, value in vars(resource).items() if name.startswith("RLIMIT_")]
_STATUS = ("Umask:", "Cpus_allowed:", "Mems_allowed:", "SigBlk:", "SigIgn:", "CapEff:", "NoNewPri")


@dataclass(frozen=True)
class _Server:
    """A process of `fork_server`, and the socket that it takes requests from."""

    process: subprocess.Popen[bytes]
    requests: socket.socket

    def close(self) -> None:
        """End it, and what it has forked."""
        self.requests.close()
        self.process.kill()
        self.process.wait()


_servers: dict[tuple[Any, ...], _Server] = {}
"""By what its forks inherit; the one used last is the last."""

_retired: list[_Server] = []
"""Those that end as soon as their last worker does."""

_CHANGING = threading.Lock()


@functools.cache
def possible() -> bool:
    """Whether this system tells of a process's end by a descriptor, as Linux does from 5.3 on."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


@dataclass
class Forked:
    """A forked worker, with what is needed of `subprocess.Popen`.

    It need not be there yet: until the server has loaded TensorFlow, it hasn't forked.
    """

    stdin: IO[bytes]
    server: _Server
    report: int
    returncode: int | None = None
    _loading: float = 0.0
    peak_kib: int | None = None
    _pid: int | None = None
    _owner: int = field(default_factory=os.getpid)
    _rest: bytes = b""
    _hearing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.report)

    @property
    def pid(self) -> int:
        """The number of the process; the server's while there is none."""
        self._hear(0)
        return self.server.process.pid if self._pid is None else self._pid

    @property
    def loading(self) -> float:
        """How many seconds it waited for the server to load TensorFlow."""
        self._hear(0)
        return self._loading

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        self._hear(0)
        return self.returncode

    def wait(self) -> int:
        """The exit code, once it has ended."""
        while self.returncode is None:
            self._hear(None)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it hasn't ended; before it is there, its server is killed."""
        if self.poll() is not None:
            return
        if self._pid is None:
            self.server.process.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)  # the server reports an end as soon as the number is free

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _hear(self, seconds: float | None) -> None:
        """Take what the server reports within so many seconds, or once it does."""
        if os.getpid() != self._owner:  # a fork of that process has no children
            self.returncode = 0
        while self.returncode is None and select.select([self.report], [], [], seconds)[0]:
            with self._hearing:
                # Another thread may have taken it.
                if self.returncode is None and select.select([self.report], [], [], 0)[0]:
                    self._take(os.read(self.report, 1 << 10))
            if seconds is None:
                return

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for first, second in (line.split() for line in lines):
            if self._pid is None:
                self._pid, self._loading = int(first), float(second)
            else:
                self.returncode, self.peak_kib = int(first), int(second)
        if not chunk:  # the server has ended, and with it all that it has forked
            self.returncode = self.server.process.wait() or -signal.SIGKILL


def worker(
    words: Sequence[str],
    answers: int,
    said: IO[bytes],
    variables: Mapping[str, str],
    plan: str | None = None,
) -> Forked:
    """A worker with these arguments and variables, whose messages go to `answers`.

    `plan` is the one that it is going to be sent, as a line, if its graph may be opened where
    others are forked.

    Raises:
        OSError: no process can be started.
    """
    late = {name: value for name, value in variables.items() if name.startswith(LATE)}
    early = {name: value for name, value in variables.items() if name not in late}
    with contextlib.ExitStack() as after, contextlib.ExitStack() as on_failure:
        given, stdin = os.pipe()
        after.callback(os.close, given)
        stdin_file = on_failure.enter_context(os.fdopen(stdin, "wb"))
        report, reported = os.pipe()
        after.callback(os.close, reported)
        on_failure.callback(os.close, report)
        message = json.dumps([words, late, plan]).encode()
        if len(message) > protocol.LONGEST_REQUEST:
            message = json.dumps([words, late, None]).encode()
        descriptors = [given, answers, said.fileno(), reported]
        server = _asked(message, descriptors, early, said)
        on_failure.pop_all()
        return Forked(stdin=stdin_file, server=server, report=report)


def _asked(
    message: bytes, descriptors: list[int], variables: dict[str, str], said: IO[bytes]
) -> _Server:
    """The server that was asked to fork; one that has ended meanwhile is replaced.

    What a new one says on standard error, which it does if it can't start, goes to `said`.
    """
    key = (tuple(sorted(variables.items())), *inherited())
    with _CHANGING:
        for _ in range(2):
            _bury()
            server = _servers.pop(key, None) or _started(variables, said)
            _servers[key] = server
            while len(_servers) > MOST_SERVERS:
                _retire(next(iter(_servers)))
            if _send(server, message, descriptors):
                return server
            server.process.wait()  # its time was over just now
    raise ConnectionResetError(f"{protocol.FORK_SERVER} ends as soon as it is started")


def _send(server: _Server, message: bytes, descriptors: list[int]) -> bool:
    try:
        socket.send_fds(server.requests, [message], descriptors)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _retire(key: tuple[Any, ...]) -> None:
    """Let a server end as soon as what it has forked does."""
    server = _servers.pop(key)
    _retired.append(server)
    _send(server, protocol.NO_MORE, [])


def _bury() -> None:
    """Forget the servers that have ended."""
    for key in [key for key, each in _servers.items() if each.process.poll() is not None]:
        _servers.pop(key).close()
    for each in [each for each in _retired if each.process.poll() is not None]:
        _retired.remove(each)
        each.close()


def _started(variables: Mapping[str, str], said: IO[bytes]) -> _Server:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", protocol.FORK_SERVER, str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                pass_fds=(there.fileno(),),
                env=variables,
            )
        except BaseException:
            here.close()
            raise
    atexit.unregister(_close)
    atexit.register(_close)
    return _Server(process, here)


def inherited() -> tuple[Any, ...]:
    """What else a new process would have of this thread, and a fork of another process hasn't.

    The thread itself is among it: a server that hasn't forked yet is ended by who waits for it.
    """
    status = Path("/proc/thread-self/status").read_text().splitlines()
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:
        folder = ""
    return (
        os.getpid(),
        threading.get_ident(),
        folder,
        os.getpriority(os.PRIO_PROCESS, 0),
        Path("/proc/self/cgroup").read_text(),
        *(line for line in status if line.startswith(_STATUS)),
        *map(resource.getrlimit, _LIMITS),
    )


def release() -> None:
    """Keep none of the servers longer than what they have forked runs; wait for those that end."""
    with _CHANGING:
        for key in tuple(_servers):
            _retire(key)
        for each in _retired:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(SECONDS_TO_END)
        _bury()


def _close() -> None:
    with _CHANGING:
        for each in (*_servers.values(), *_retired):
            each.close()
        _servers.clear()
        _retired.clear()
