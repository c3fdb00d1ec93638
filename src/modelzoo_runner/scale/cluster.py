"""A group of Dask workers: check that they can share a run, call functions on them.

`cluster_worker` is what runs on a worker. Each worker has one unit of a Dask resource and each call
takes it, so a worker does one call at a time.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import BindingError, MissingDependency, RequestError, WorkerError
from modelzoo_runner.machine import facts
from modelzoo_runner.machine.cpulist import parse_cpu_list
from modelzoo_runner.scale import cluster_worker, member
from modelzoo_runner.scale.cluster_worker import Answer, WorkerGroup
from modelzoo_runner.scale.member import WorkerInfo
from modelzoo_runner.values.words import counted

RESOURCE = "modelzoo_runner"
"""The Dask resource; each worker has one unit."""

SECONDS_TO_ANSWER = 10
SECONDS_FOR_WORKERS = 30
"""How long a scheduler may take to answer, and a cluster without workers to get the first."""

FREQUENT = ("profile", "tick")
INTERVAL = 1000
"""Dask looks at a worker's threads each 10 ms, and at its event loop each 20 ms: 2 % and more of
the core that is measured. Meanwhile it does so once in so many milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A group of workers; `infos` are of those at the start, by address.

    `scheduler` is its address where that was given, not a client.
    """

    client: Any
    group: WorkerGroup
    infos: Mapping[str, WorkerInfo]
    scheduler: str | None = None

    @contextlib.contextmanager
    def doing(
        self,
        function: Callable[..., Answer],
        calls: Mapping[str, tuple[Any, ...]],
        *,
        by_worker: bool = False,
    ) -> Iterator[Iterator[tuple[str, Answer]]]:
        """The answers of a function of `cluster_worker` to each of the named arguments, as they
        come.

        Calls start in the order of `calls`, but for what Dask moves to another worker. What a
        worker was doing when it died is done by another one. On leaving, unfinished calls are
        cancelled.

        Args:
            function: takes the group's name, and then the arguments.
            calls: arguments by name; an answer comes with that name.
            by_worker: the names are the addresses of the workers to prefer.
        """
        from distributed import as_completed

        names = {
            self.client.submit(
                function,
                self.group.name,
                *arguments,
                key=f"{self.group.name}-{function.__name__}-{name}",
                resources={RESOURCE: 1},
                pure=False,
                priority=-number,
                workers=[name] if by_worker else None,
                allow_other_workers=by_worker,
            ): name
            for number, (name, arguments) in enumerate(calls.items())
        }
        done = as_completed(list(names), loop=self.client.loop)
        try:
            yield ((names[future], answer_of(future)) for future in done)
        finally:
            self.client.cancel(list(names))


def answer_of(future: Any, timeout: float | None = None) -> Answer:
    """The answer in a finished future, or one with the error that ended it.

    Raises:
        TimeoutError: it hasn't come from where it is within so many seconds.
    """
    from distributed import KilledWorker

    worker, said = "", ""
    try:
        answer: Answer = future.result(timeout)
    except KilledWorker as error:
        worker = error.last_worker.address
        said = (
            f"{error.allowed_failures + 1} workers, {worker} the last, died while they had this to "
            "do, as they do when memory runs out: try a smaller batch_size"
        )
    except CancelledError as error:
        said = f"the cluster cancelled it: {error} With checkpoint= another call continues it"
    except Exception as error:
        if isinstance(error, TimeoutError) and future.status != "error":
            raise
        said = f"a worker failed unexpectedly: {type(error).__name__}: {error}"
    else:
        future.release()
        return answer
    future.release()
    return Answer(worker=worker, error=WorkerError(said))


@contextlib.contextmanager
def joined(client: Any) -> Iterator[Cluster]:
    """The workers of a client, or of the scheduler at an address, as one group.

    Raises:
        MissingDependency: Dask isn't installed.
        RequestError: no scheduler answers, or it has no workers.
        BindingError: the workers' versions differ, or their cores overlap in a way that can't be
            divided.
    """
    scheduler = client if isinstance(client, str) else None
    with _connected(client) as client:
        addresses = _addresses(client)
        versions = shared_versions(client, addresses)
        infos = client.run(member.worker_info, workers=list(addresses))
        name = f"{RESOURCE}-{secrets.token_hex(4)}"
        group = WorkerGroup(name=name, versions=versions, shares=core_shares(infos))
        client.register_plugin(_plugin(group), name=name)
        try:
            yield Cluster(client=client, group=group, infos=infos, scheduler=scheduler)
        finally:
            # Of a cluster that is gone there is nothing to leave, and of its successor neither.
            with contextlib.suppress(OSError, ValueError):
                if client.status == "running":
                    client.unregister_worker_plugin(name)


def _plugin(group: WorkerGroup) -> Any:
    """Makes workers join the group, also those that start later."""
    import distributed

    # In here, so that it travels as it is: the module can't be loaded without Dask.
    class Member(distributed.WorkerPlugin):  # type: ignore[misc]
        async def setup(self, worker: Any) -> None:
            cluster_worker.join(group)
            # What is rarer is the user's choice, or another group's, which will undo it.
            self.intervals = {
                each: each.callback_time
                for name, each in worker.periodic_callbacks.items()
                if name in FREQUENT and each.callback_time < INTERVAL
            }
            for each in self.intervals:
                each.callback_time = INTERVAL
            await worker.set_resources(**{RESOURCE: 1})

        def teardown(self, worker: Any) -> None:
            cluster_worker.leave(group.name)
            for each, interval in self.intervals.items():
                each.callback_time = interval

    return Member()


@contextlib.contextmanager
def _connected(client: Any) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise MissingDependency(
            "client=: distributed isn't installed, which talks to Dask's workers: "
            "pip install 'modelzoo_runner[dask]'"
        ) from None
    if isinstance(client, str):
        try:
            own = distributed.Client(client, timeout=SECONDS_TO_ANSWER, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RequestError(
                f"client={client!r}: no Dask scheduler answers there: {error}. Give its address, "
                "as tcp://host:8786, or a distributed.Client"
            ) from None
        with own:
            yield own
    elif isinstance(client, distributed.Client) and not client.asynchronous:
        yield client
    else:
        raise RequestError(
            f"client={client!r}: should be a distributed.Client that isn't asynchronous, or the "
            "address of a Dask scheduler"
        )


def _addresses(client: Any) -> tuple[str, ...]:
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
    except TimeoutError:
        raise RequestError(
            f"client={client!r}: the cluster has no workers, and got none in "
            f"{SECONDS_FOR_WORKERS} s; start some"
        ) from None
    return tuple(client.nthreads())


def shared_versions(client: Any, addresses: Sequence[str]) -> dict[str, str | None]:
    """The versions of all workers and, as far as it has the packages, of this process.

    Raises:
        BindingError: naming the workers that have others.
    """
    # First what is installed, for which this library isn't needed there.
    installed = client.get_versions(packages=["modelzoo_runner", *facts.DISTRIBUTIONS])
    check_alike(
        _installed(installed["client"]),
        {address: _installed(installed["workers"].get(address)) for address in addresses},
    )
    return check_alike(
        cluster_worker.versions(), client.run(cluster_worker.versions, workers=list(addresses))
    )


def _installed(found: Mapping[str, Any] | None) -> dict[str, str | None]:
    packages: Mapping[str, str | None] = {} if found is None else found["packages"]
    tensorflow = (packages.get(each) for each in facts.DISTRIBUTIONS)
    return {
        "python": ".".join((packages.get("python") or "").split(".")[:2]),
        "modelzoo_runner": packages.get("modelzoo_runner"),
        "tensorflow": next(filter(None, tensorflow), None),
        "numpy": packages.get("numpy"),
    }


def check_alike(
    here: Mapping[str, str | None], there: Mapping[str, Mapping[str, str | None]]
) -> dict[str, str | None]:
    """The versions of each package, if they are the same here and on all workers.

    Raises:
        BindingError: naming the workers that have others.
    """
    first = next(iter(there))
    # The client needs no TensorFlow.
    wanted = {name: version or there[first][name] for name, version in here.items()}
    wrong = [
        f"worker {address} has {name} {own[name] or 'not at all'}, and "
        f"{'here' if here[name] else f'worker {first}'} it is {version}"
        for address, own in there.items()
        for name, version in wanted.items()
        if own[name] != version
    ]
    if wrong:
        raise BindingError(
            f"client=: {'; '.join(wrong)}. They would compute with different programs: install the "
            "same on all workers"
        )
    return wanted


def core_shares(workers: Mapping[str, WorkerInfo]) -> dict[str, int]:
    """How many workers share the CPUs of each `WorkerInfo.key`.

    Raises:
        BindingError: more workers than cores, or workers whose CPUs overlap without being equal.
    """
    sharing = Counter(each.key for each in workers.values())
    for address, info in workers.items():
        if sharing[info.key] > info.cores:
            raise BindingError(
                f"client=: {sharing[info.key]} workers, {address} among them, share "
                f"{counted(info.cores, 'physical core')} (CPUs {info.cpus}): "
                "start no more workers on a node than it has cores"
            )
    on_node: dict[str, dict[str, WorkerInfo]] = {}
    for address, info in workers.items():
        others = on_node.setdefault(info.node, {})
        for other, beside in others.items():
            common = set(parse_cpu_list(info.cpus)) & set(parse_cpu_list(beside.cpus))
            if info.cpus != beside.cpus and common:
                raise BindingError(
                    f"client=: worker {other} may use CPUs {beside.cpus}, and worker {address} of "
                    f"the same node CPUs {info.cpus}: start them on the same CPUs, to have these "
                    "divided, or on different ones"
                )
        others[address] = info
    return dict(sharing)
