"""Calls on the workers of a cluster, one at a time on each: on those that are there now.

Workers may be lost meanwhile, and others may come.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from modelzoo_runner.errors import BindingError, WorkerError
from modelzoo_runner.scale import cluster, cluster_worker
from modelzoo_runner.scale.cluster import RESOURCE, Cluster
from modelzoo_runner.scale.cluster_worker import Answer
from modelzoo_runner.scale.member import WorkerInfo

SECONDS_BETWEEN_LOOKS = 1.0
"""Between two looks at which workers are there."""

SECONDS_TO_ANSWER = 5.0
"""How long an answer may take to come from its worker until it is seen whether that is still there;
it may have died with the answer. The next time it is twice as long, and so on."""

SECONDS_TO_JOIN = 60.0
"""How long a new worker may take to join the group, until it is left out."""


LOST = (
    "client=: the scheduler is gone, or was restarted, and with it what the workers had to do. "
    "With checkpoint= another call goes on from there"
)


class SchedulerLost(WorkerError):
    """Nobody knows any more what the workers do."""


class Calls:
    """The calls that are under way, by worker; a context that ends them.

    `left_out` says which workers can't be used, and why.
    """

    def __init__(self, group: Cluster) -> None:
        self._cluster = group
        self._infos: dict[str, WorkerInfo] = dict(group.infos)
        self._shares = dict(group.group.shares)
        self._strangers: dict[str, float] = {}
        self.left_out: dict[str, str] = {}
        self._running: dict[str, Any] = {}  # Dask's futures
        self._ended: queue.SimpleQueue[tuple[str, Any, float]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._looked = time.monotonic()
        self._is_lost = False

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.client.cancel(list(self._running.values()))

    @property
    def workers(self) -> Sequence[str]:
        """The workers that are there, as far as is known."""
        return tuple(self._infos)

    def idle(self) -> Sequence[str]:
        """Those of them that have nothing to do."""
        return [worker for worker in self._infos if worker not in self._running]

    def start(self, worker: str, function: Callable[..., Answer], *arguments: Any) -> None:
        """Have an idle worker call a function of `cluster_worker` with the group's name and these.

        It begins there when what the worker does for others is done.
        """
        if self._cluster.client.status != "running":
            self._is_lost = True
            return
        name = self._cluster.group.name
        future = self._cluster.client.submit(
            function,
            name,
            *arguments,
            key=f"{name}-{function.__name__}-{next(self._numbers)}",
            resources={RESOURCE: 1},
            pure=False,
            workers=[worker],
        )
        self._running[worker] = future
        future.add_done_callback(lambda _: self._ended.put((worker, future, SECONDS_TO_ANSWER)))

    def next(self, seconds: float) -> tuple[str, Answer] | None:
        """A worker that has answered, and what; `None` if nobody does within so many seconds.

        Raises:
            SchedulerLost: the scheduler is gone.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                worker, ended, patience = self._ended.get(timeout=left)
            except queue.Empty:
                break
            future = self._running.get(worker)
            if future is None or future is not ended:
                continue  # of a worker that was lost
            if future.cancelled():  # not by us
                raise SchedulerLost(LOST)
            try:
                answer = cluster.answer_of(future, patience)
            except TimeoutError:
                self._ended.put((worker, future, 2 * patience))
                return None
            del self._running[worker]
            return worker, answer
        return None

    def lost(self) -> Sequence[str]:
        """The workers that are gone since the last look, which is taken from time to time.

        Raises:
            SchedulerLost: the scheduler is gone.
        """
        if time.monotonic() < self._looked + SECONDS_BETWEEN_LOOKS:
            return ()
        client = self._cluster.client
        try:
            there = set(client.nthreads())
            # A client that has found another scheduler at the address has given all of them up.
            if self._is_lost or any(each.cancelled() for each in self._running.values()):
                raise SchedulerLost(LOST)
            gone = [worker for worker in self._infos if worker not in there]
            for worker in gone:
                del self._infos[worker]
                client.cancel([self._running.pop(worker)] if worker in self._running else [])
            self._welcome(there - self._infos.keys())
        except (OSError, RuntimeError, CancelledError):
            raise SchedulerLost(LOST) from None
        self._looked = time.monotonic()
        return gone

    def _welcome(self, strangers: set[str]) -> None:
        """Take in new workers that have joined the group, and divide their nodes' cores anew."""
        self.left_out = {each: why for each, why in self.left_out.items() if each in strangers}
        if not strangers:
            return
        client, group = self._cluster.client, self._cluster.group
        found: Mapping[str, Any] = client.run(
            cluster_worker.introduction, group.name, workers=list(strangers), on_error="return"
        )
        for worker, info in found.items():
            since = self._strangers.setdefault(worker, time.monotonic())
            if isinstance(info, WorkerInfo):
                self._add(worker, info)
            elif time.monotonic() > since + SECONDS_TO_JOIN:
                self.left_out[worker] = "it can't join, and its log says why: versions may differ"

    def _add(self, worker: str, info: WorkerInfo) -> None:
        infos = {**self._infos, worker: info}
        try:
            needed = cluster.core_shares(infos)
        except BindingError as error:
            self.left_out[worker] = str(error).removeprefix("client=: ")
            return
        self._infos = infos
        self.left_out.pop(worker, None)
        shares = {key: max(count, self._shares.get(key, 1)) for key, count in needed.items()}
        told = [worker] if shares == self._shares else list(infos)
        self._shares = shares
        self._cluster.client.run(
            cluster_worker.divide, self._cluster.group.name, shares, workers=told, on_error="ignore"
        )
