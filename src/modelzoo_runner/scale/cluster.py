"""Runs on the workers of a Dask cluster: who takes part, and what they give back.

What a worker does for it is known to `cluster_worker`. Before anything runs the workers' versions
are compared, and the cores of each node are shared out among its workers. A worker has one of a
resource that everything it does takes, so that it does one thing at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import (
    BindingError,
    DataError,
    MissingDependency,
    RequestError,
    WorkerError,
)
from modelzoo_runner.execution.progress import Progress
from modelzoo_runner.machine import facts
from modelzoo_runner.machine.cpulist import parse_cpu_list
from modelzoo_runner.plan import Plan
from modelzoo_runner.preset import Preset
from modelzoo_runner.requested import Request
from modelzoo_runner.results.parts import Whole
from modelzoo_runner.results.result import PartResult
from modelzoo_runner.scale import cluster_worker, parts
from modelzoo_runner.scale.cluster_worker import Answer, Crew, Found, Seat, Work
from modelzoo_runner.scale.parts import Range

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

        What a worker was doing when it died is done again by another one. On leaving, what isn't
        done is given up.

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
                workers=None if on is None else [on[name]],
                allow_other_workers=on is not None,
            ): name
            for name, arguments in calls.items()
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
        versions = _versions(client, addresses)
        shares = _shares(client.run(cluster_worker.seat, workers=list(addresses)))
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


def _versions(client: Any, addresses: Sequence[str]) -> dict[str, str | None]:
    """The versions that all workers have, and this process too as far as it has the package.

    Raises:
        BindingError: naming the workers that have others.
    """
    # First what is installed, for which this library isn't needed there.
    installed = client.get_versions(packages=["modelzoo_runner", *facts.DISTRIBUTIONS])
    _check_alike(
        _installed(installed["client"]),
        {address: _installed(installed["workers"].get(address)) for address in addresses},
    )
    return _check_alike(
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


def _check_alike(
    here: Mapping[str, str | None], there: Mapping[str, Mapping[str, str | None]]
) -> dict[str, str | None]:
    first = next(iter(there))
    # Who only asks needs no TensorFlow.
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
            f"client=: {'; '.join(wrong)}. One result would be of different programs: install the "
            "same on all workers"
        )
    return wanted


def _shares(seats: Mapping[str, Seat]) -> dict[str, int]:
    """Into how many parts the CPUs of each seat are divided: one for each worker that has them.

    Raises:
        BindingError: more workers than cores, or workers of which one may use some of another's.
    """
    workers = Counter(seat.key for seat in seats.values())
    for address, seat in seats.items():
        if workers[seat.key] > seat.cores:
            raise BindingError(
                f"client=: {workers[seat.key]} workers, {address} among them, share "
                f"{seat.cores} physical core{'' if seat.cores == 1 else 's'} (CPUs {seat.cpus}): "
                "start no more workers on a node than it has cores"
            )
    for (one, seat), (other, beside) in itertools.combinations(seats.items(), 2):
        common = set(parse_cpu_list(seat.cpus)) & set(parse_cpu_list(beside.cpus))
        if seat.node == beside.node and seat.cpus != beside.cpus and common:
            raise BindingError(
                f"client=: worker {one} may use CPUs {seat.cpus}, and worker {other} of the same "
                f"node CPUs {beside.cpus}: start them on the same CPUs, to have these divided, or "
                "on different ones"
            )
    return dict(workers)


@contextlib.contextmanager
def opened(
    client: Any, preset: Preset, request: Request, *, offline: bool
) -> Iterator[ClusterPlace]:
    """The workers of a client, for the parts of an accuracy run (see `accuracy.Place`).

    Each fetches the files for itself; a local path is looked for on each.

    Raises:
        RequestError, BindingError: as `joined`; or the request says where to run.
        DataError: the workers see different data or graphs.
        RunnerError: a worker can't come to a plan.
    """
    _check_request(request)
    with joined(client) as cluster:
        work = Work(preset=preset, request=request, offline=offline)
        calls = dict.fromkeys(cluster.addresses, (work,))
        own = {address: address for address in calls}
        with cluster.doing(cluster_worker.look, calls, on=own) as answers:
            found = {answer.worker: _value(answer) for _, answer in answers}
        worker, first = next(iter(found.items()))
        place = ClusterPlace(cluster=cluster, work=work, first=worker, found=first)
        for other, seen in found.items():
            place.check(other, seen.plan, seen.whole)
        yield place


@dataclass(frozen=True, kw_only=True)
class ClusterPlace:
    """Where the parts are done; `found` is what the worker `first` came to, and others must too."""

    cluster: Cluster
    work: Work
    first: str
    found: Found

    @property
    def plan(self) -> Plan:
        """Of all the examples, as the first worker would run them."""
        return self.found.plan

    @property
    def whole(self) -> Whole:
        """The data, as all workers see it."""
        return self.found.whole

    @property
    def versions(self) -> Mapping[str, str | None]:
        """Those of all workers."""
        return self.cluster.crew.versions

    @property
    def workers(self) -> int:
        """How many there were at the start."""
        return len(self.cluster.addresses)

    @contextlib.contextmanager
    def results(
        self, ranges: Sequence[Range], progress: Progress
    ) -> Iterator[Iterator[PartResult]]:
        """The parts as they get done, by whichever worker."""
        calls = {parts.name(each): (self.work, each) for each in ranges}
        with self.cluster.doing(cluster_worker.part, calls) as answers:
            yield (self._checked(answer) for _, answer in answers)

    def check(self, worker: str, plan: Plan, whole: Whole) -> None:
        """See that a worker has the same graph and data as the first one."""
        mine, others = _files(plan, whole), _files(self.plan, self.whole)
        for what, own in mine.items():
            if own != others[what]:
                raise DataError(
                    f"worker {worker} has another {what} than worker {self.first}: {own} and "
                    f"{others[what]}. All workers need the same files"
                )

    def _checked(self, answer: Answer) -> PartResult:
        part: PartResult = _value(answer)
        self.check(answer.worker, part.plan, part.whole)
        return part


def _files(plan: Plan, whole: Whole) -> dict[str, object]:
    """What tells the files of a run from others, by what they are."""
    prepare = plan.preprocess_graph
    return {
        "graph": plan.graph.sha256,
        "preprocess_graph": None if prepare is None else prepare.sha256,
        "data set": f"{whole.examples} examples ({whole.fingerprint})",
    }


def _value(answer: Answer) -> Any:
    if answer.error is not None:
        raise answer.error
    return answer.value


def _check_request(request: Request) -> None:
    """Where a worker runs is ours to say: on its share of its node's cores, in a child."""
    for name in ("socket_id", "numa_node", "cpus"):
        value = getattr(request, name)
        if value not in (None, -1):
            raise RequestError(
                f"{name}={value!r}: with client= each worker runs on its share of its node's "
                "cores. Leave it out, and start the workers where they should be"
            )
    for name, allowed in (
        ("binding", '"sched_setaffinity" or "numactl"'),
        ("isolation", '"auto" or "child"'),
    ):
        if getattr(request, name) == "none":
            raise RequestError(
                f'{name}="none": with client= each worker runs in a child process on its share of '
                f"its node's cores; use {allowed}"
            )
