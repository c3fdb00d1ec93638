"""Local Dask clusters, and workers that become slow."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask.config
import fake_task
import pytest
from distributed import Client, LocalCluster, WorkerPlugin

LOOPBACK: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


@contextlib.contextmanager
def running(workers: int) -> Iterator[Client]:
    """A client of a cluster of so many workers of one thread each, which have the fakes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", fake_task.PYTHONPATH)
        with (
            # Its default of 15 s gives up a killed worker while a busy machine starts another one.
            dask.config.set({"distributed.deploy.lost-worker-timeout": "5 minutes"}),
            LocalCluster(n_workers=workers, threads_per_worker=1, **LOOPBACK) as local,
            Client(local, set_as_default=False) as client,
        ):
            client.register_plugin(fakes(), name="fakes")
            yield client
    # It looks after what spawned processes share, and stays; other tests count processes.
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


def fakes() -> WorkerPlugin:
    """A plugin with which workers have the fake runtime and the fake task."""

    class Fakes(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            fake_task.register()

    return Fakes()


class Slowed:
    """A context in which what a process has started gets a quarter of the time, once it is `on`.

    It is stopped for three of four twentieths of a second, as other programs would do it.
    """

    def __init__(self, pid: int) -> None:
        self.on = threading.Event()
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._slow)

    def __enter__(self) -> Slowed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.on.set()
        self._thread.join()

    def _slow(self) -> None:
        self.on.wait()
        while not self._ended.is_set():
            processes = descendants(self._pid)
            _signal(processes, signal.SIGSTOP)
            time.sleep(0.15)
            _signal(processes, signal.SIGCONT)
            time.sleep(0.05)


def _signal(processes: list[int], number: signal.Signals) -> None:
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, number)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        own = parents.get(waiting.pop(), [])
        found += own
        waiting += own
    return found
