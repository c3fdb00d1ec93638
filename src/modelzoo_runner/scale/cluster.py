"""Runs on the workers of a Dask cluster: who takes part, and what they give back.

What a worker does for it is known to `cluster_worker`, and which may do something together to
`cluster_checks`. A worker has one of a resource that everything it does takes, so that it does one
thing at a time.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import MissingDependency, RequestError, WorkerError
from modelzoo_runner.scale import cluster_checks, cluster_worker
from modelzoo_runner.scale.cluster_worker import Answer, Crew

RESOURCE = "modelzoo_runner"
"""Of which each worker has one."""

SECONDS_TO_ANSWER = 10
SECONDS_FOR_WORKERS = 30
"""How long a scheduler may take to answer, and a cluster without workers to get the first."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The workers that do something together; `addresses` are of those there at the start."""

    client: Any
    crew: Crew
    addresses: tuple[str, ...]

    @contextlib.contextmanager
    def doing(
        self,
        function: Callable[..., Answer],
        calls: Mapping[str, tuple[Any, ...]],
        *,
        on: Mapping[str, str] | None = None,
    ) -> Iterator[Iterator[tuple[str, Answer]]]:
        """What a function of `cluster_worker` answers to each of the named arguments, as it comes.

        They are begun in the order of `calls`. What a worker was doing when it died is done again
        by another one. On leaving, what isn't done is given up.

        Args:
            function: takes the crew's name, and then the arguments.
            calls: arguments by name; an answer comes with that name.
            on: the address of the worker to prefer, by name.
        """
        from distributed import as_completed

        names = {
            self.client.submit(
                function,
                self.crew.name,
                *arguments,
                key=f"{self.crew.name}-{function.__name__}-{name}",
                resources={RESOURCE: 1},
                pure=False,
                priority=-number,
                workers=None if on is None else [on[name]],
                allow_other_workers=on is not None,
            ): name
            for number, (name, arguments) in enumerate(calls.items())
        }
        done = as_completed(list(names), loop=self.client.loop)
        try:
            yield ((names[future], _answer(future)) for future in done)
        finally:
            self.client.cancel(list(names))


def _answer(future: Any) -> Answer:
    """The answer in a future that is done, or one with the reason why there is none."""
    from distributed import KilledWorker

    worker, said = "", ""
    try:
        answer: Answer = future.result()
        return answer
    except KilledWorker as error:
        worker = error.last_worker.address
        said = (
            f"{error.allowed_failures + 1} workers, {worker} the last, died while they had this to "
            "do, as they do when memory runs out: try a smaller batch_size"
        )
    except CancelledError as error:
        said = f"the cluster gave it up: {error} With checkpoint= another call does what is missing"
    except Exception as error:  # noqa: BLE001 - the caller has to hear of whatever it was
        said = f"a worker failed in a way nobody foresaw: {type(error).__name__}: {error}"
    finally:
        future.release()
    return Answer(worker=worker, error=WorkerError(said))


@contextlib.contextmanager
def joined(client: Any) -> Iterator[Cluster]:
    """The workers of a client, or of the scheduler at an address, as one crew.

    Raises:
        MissingDependency: Dask isn't installed.
        RequestError: no scheduler answers, or it has no workers.
        BindingError: the workers compute with different versions, or share cores in a way that
            can't be split.
    """
    with _connected(client) as client:
        addresses = _addresses(client)
        versions = cluster_checks.versions(client, addresses)
        shares = cluster_checks.shares(client.run(cluster_worker.seat, workers=list(addresses)))
        name = f"{RESOURCE}-{secrets.token_hex(4)}"
        crew = Crew(name=name, versions=versions, shares=shares)
        client.register_plugin(_plugin(crew), name=name)
        try:
            yield Cluster(client=client, crew=crew, addresses=addresses)
        finally:
            # Of a cluster that is gone there is nothing to leave.
            with contextlib.suppress(OSError):
                client.unregister_worker_plugin(name)


def _plugin(crew: Crew) -> Any:
    """What makes a worker one of the crew, also one that comes later, as in place of a dead one."""
    import distributed

    # In here, so that it travels as it is: the module can't be loaded without Dask.
    class Member(distributed.WorkerPlugin):  # type: ignore[misc]
        async def setup(self, worker: Any) -> None:
            cluster_worker.join(crew)
            await worker.set_resources(**{RESOURCE: 1})

        def teardown(self, worker: Any) -> None:
            cluster_worker.leave(crew.name)

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
