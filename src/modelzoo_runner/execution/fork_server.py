"""The process that has loaded TensorFlow and becomes a worker whenever it is asked to: by `fork`.

Loading TensorFlow takes seconds, and a fork of a process that has loaded it milliseconds. No thread
pool exists before the first session, so each fork makes its own, of the size that its plan asks
for. `forks` starts this process and asks it; see there for when a fork is as good as a new process.

A graph that is asked for a second time in a row is read and prepared here, once, so that each
further worker has it: it only opens a session.

It answers on the pipe that comes with each request: the worker's process number and the seconds
that loading TensorFlow took, if this worker waited for it; and when the worker has ended, its exit
code and its peak memory in KiB.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

from modelzoo_runner.execution import protocol, worker
from modelzoo_runner.machine import runtime_log

DESCRIPTORS = ("input", "answers", "said", "report")
"""What comes with a request: the worker's standard input, the pipe of its messages, its standard
error, and the pipe for its process number and its end."""


def main() -> None:
    """Fork for each request, until nobody can ask any more or nobody has asked for a while."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    began = time.perf_counter()
    # A worker that can't load it says so itself.
    with contextlib.suppress(Exception), runtime_log.held_back():
        # To have these loaded is what this process is for.
        import tensorflow  # noqa: F401

        from modelzoo_runner.execution import job  # noqa: F401
    loading = time.perf_counter() - began
    gc.collect()
    gc.freeze()  # nobody looks for garbage in what all share, so it stays shared
    running: dict[int, tuple[int, int]] = {}
    last = None
    is_last = False
    while running or not is_last:
        patience = None if running else protocol.IDLE_SECONDS
        ready = select.select([requests.fileno(), *running], [], [], patience)[0]
        for pidfd in running.keys() & set(ready):
            _report_end(pidfd, *running.pop(pidfd))
        if requests.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(
                requests, protocol.LONGEST_REQUEST, len(DESCRIPTORS)
            )
            if not message:
                return  # who asks is gone, and what runs for them goes with this process
            is_last = message == protocol.NO_MORE
            if not is_last:
                own = dict(zip(DESCRIPTORS, descriptors, strict=True))
                words, variables, plan = json.loads(message)
                last = _held(plan, last)
                pidfd, process = _fork(requests, running, words, variables, own)
                running[pidfd] = process, own["report"]
                _write(own["report"], process, loading)
                loading = 0.0
        if not ready:
            return


def _held(plan: Any, last: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """What this plan's worker needs; held here from now on, if the last one needed the same."""
    if plan is None:
        return last
    from modelzoo_runner.execution import opening

    asked = protocol.read_plan(plan)
    what = opening.what_is_held(asked)
    if what == last:
        # A worker that can't open it says so itself.
        with contextlib.suppress(Exception):
            if opening.hold(asked):
                gc.collect()
                gc.freeze()
    return what


def _report_end(pidfd: int, process: int, report: int) -> None:
    os.close(pidfd)
    _, status, usage = os.wait4(process, 0)
    _write(report, os.waitstatus_to_exitcode(status), usage.ru_maxrss)
    os.close(report)


def _write(report: int, *values: float) -> None:
    with contextlib.suppress(OSError):  # whoever wanted to know is gone
        os.write(report, f"{' '.join(map(repr, values))}\n".encode())


def _fork(
    requests: socket.socket,
    running: Mapping[int, tuple[int, int]],
    words: list[str],
    variables: Mapping[str, str],
    own: Mapping[str, int],
) -> tuple[int, int]:
    """A new worker, as a descriptor that tells of its end, and its process number."""
    with warnings.catch_warnings():
        # Python warns of threads. One that TensorFlow starts while it is loaded is lost here, and
        # was waiting for work that this process doesn't do.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        for name in DESCRIPTORS[:-1]:
            os.close(own[name])
        return os.pidfd_open(process), process
    try:
        requests.close()
        for pidfd, (_, report) in running.items():
            os.close(pidfd)
            os.close(report)
        os.close(own["report"])
        os.environ.update(variables)
        _become(words, own)
    finally:
        os._exit(1)


def _become(words: list[str], own: Mapping[str, int]) -> NoReturn:
    """Be a worker, as if started with these words."""
    os.setsid()
    os.dup2(own["input"], 0)
    os.dup2(own["said"], 2)
    os.close(own["input"])
    os.close(own["said"])
    sys.argv = [protocol.MODULE, str(own["answers"]), *words]
    code = 1
    with contextlib.suppress(BrokenPipeError):
        code = worker.main()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
    os._exit(0)  # at once: nothing is left to be done, and its memory may be needed
