"""Run the parts of an accuracy run on Dask workers that all have the same files."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelzoo_runner.errors import DataError, RequestError, WorkerError
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.results.result import PartResult
from modelzoo_runner.scale import cluster_worker, record_files
from modelzoo_runner.scale.calls import Calls, SchedulerLost
from modelzoo_runner.scale.cluster import Cluster, joined
from modelzoo_runner.scale.cluster_worker import Answer
from modelzoo_runner.scale.handing import Handing
from modelzoo_runner.scale.member import Job, packed
from modelzoo_runner.scale.parts import Range
from modelzoo_runner.scale.record_files import RecordFiles
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset

SECONDS_TO_WAIT = 0.5
"""For an answer, before something else is looked at."""

SECONDS_FOR_SCHEDULER = 300.0
"""How long a scheduler that was lost may take to be there again."""

MOST_DEATHS = 4
"""So many workers that die while they have the same examples to do are no accident."""


@contextlib.contextmanager
def opened(
    client: Any, preset: Preset, request: Request, context: Context
) -> Iterator[ClusterExecutor]:
    """The workers of a client, for the parts of an accuracy run (see `accuracy.Executor`).

    Each fetches the files that it needs itself; a local path is looked for on each.

    Raises:
        RequestError, BindingError: as `joined`; or the request says where to run.
        DataError: the workers see different data or graphs.
        RunnerError: a worker can't make a plan.
    """
    _check_request(request)
    with joined(client) as cluster:
        job = Job(
            preset=preset, request=request, context=dataclasses.replace(context, progress=None)
        )
        job, homes = _with_files(cluster, job)
        found = _on_each(cluster, cluster_worker.prepare, job, tuple(cluster.infos))
        worker, first = next(iter(found.items()))
        executor = ClusterExecutor(
            cluster=cluster,
            job=packed(job),
            homes=homes,
            first=worker,
            plan=first.plan,
            dataset=first.dataset,
            versions=cluster.group.versions,
        )
        for other, seen in found.items():
            executor.check(other, seen.plan, seen.dataset)
        yield executor


def _with_files(cluster: Cluster, job: Job) -> tuple[Job, Mapping[str, int]]:
    """The job with its record files counted, and where those that each worker has begin.

    Each is fetched and counted by one worker, which has a share of them in the order of the data.
    """
    workers = tuple(cluster.infos)
    files: RecordFiles | None
    (files,) = _on_each(cluster, cluster_worker.look, job, workers[:1]).values()
    if files is None:
        return job, {}
    edges = [number * len(files.names) // len(workers) for number in range(len(workers) + 1)]
    shares = [files.names[start:stop] for start, stop in itertools.pairwise(edges)]
    of_workers = {worker: names for worker, names in zip(workers, shares, strict=True) if names}
    calls = {worker: (job, files, names) for worker, names in of_workers.items()}
    counted_by: dict[str, Sequence[str]] = {}
    counts: dict[str, int] = {}
    with cluster.doing(cluster_worker.count, calls, by_worker=True) as answers:
        for worker, answer in answers:
            counts |= _value(answer)
            counted_by.setdefault(answer.worker, of_workers[worker])
    files = dataclasses.replace(files, counts=counts)
    return dataclasses.replace(job, files=files), record_files.homes(files, counted_by)


def _on_each(
    cluster: Cluster, function: Callable[..., Answer], job: Job, workers: Sequence[str]
) -> dict[str, Any]:
    """What each of these workers answers, in the order of the answers."""
    calls = dict.fromkeys(workers, (job,))
    with cluster.doing(function, calls, by_worker=True) as answers:
        return {answer.worker: _value(answer) for _, answer in answers}


@dataclass(frozen=True, kw_only=True)
class ClusterExecutor:
    """Runs the parts of a packed job on workers; `plan` and `dataset` are those of worker `first`.

    `homes` say where the files that a worker has already begin (see `Handing`). `problems` says
    which workers couldn't be used, and whether the scheduler was lost meanwhile.
    """

    cluster: Cluster
    job: bytes
    homes: Mapping[str, int]
    first: str
    plan: Plan
    dataset: DatasetInfo
    versions: Mapping[str, str | None]
    problems: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def results(self, missing: Sequence[Range], context: Context) -> Iterator[Iterator[PartResult]]:
        """The parts as they get done, by whichever worker."""
        handing = Handing(missing, batch_size=self.plan.batch_size, homes=self.homes)
        with contextlib.closing(self._results(handing)) as results:
            yield results

    def _results(self, handing: Handing) -> Generator[PartResult, None, None]:
        """The same; where the scheduler is known by its address, it may be lost and come again."""
        group = self.cluster
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    yield from self._by(group, handing)
                    return
                except SchedulerLost as lost:
                    handing.lose_all()
                    group = stack.enter_context(_again(group, lost))
                    self.problems.append(
                        "the scheduler was lost meanwhile; what the workers were at was done again"
                    )

    def _by(self, group: Cluster, handing: Handing) -> Generator[PartResult, None, None]:
        """The parts that the workers of a group do, until all are done."""
        with Calls(group) as calls:
            self._hand_out(handing, calls)
            while not handing.is_done:
                answered = calls.next(SECONDS_TO_WAIT)
                part = None if answered is None else self._taken(handing, *answered)
                # Before anybody looks at the part, which takes time.
                self._hand_out(handing, calls)
                if part is not None:
                    yield part
                for worker in calls.lost():
                    if handing.lose(worker) >= MOST_DEATHS:
                        raise WorkerError(
                            f"{MOST_DEATHS} workers, {worker} the last, died while they had this "
                            "to do, as they do when memory runs out: try a smaller batch_size"
                        )
            self.problems.extend(f"worker {each}: {why}" for each, why in calls.left_out.items())

    def _hand_out(self, handing: Handing, calls: Calls) -> None:
        """Give something to do to each worker that has nothing, as far as there is."""
        for worker in calls.idle():
            examples = handing.give(worker, len(calls.workers), time.monotonic())
            if examples is not None:
                calls.start(worker, cluster_worker.part, self.job, examples)

    def _taken(self, handing: Handing, worker: str, answer: Answer) -> PartResult | None:
        """The part in an answer, if nobody else has done it before."""
        part: PartResult = _value(answer)
        self.check(worker, part.plan, part.dataset)
        seconds = sum(part.step_seconds) + sum(part.data_seconds)
        return part if handing.take(worker, seconds) else None

    def check(self, worker: str, plan: Plan, dataset: DatasetInfo) -> None:
        """Raise if a worker has another graph or other data than the first one."""
        mine, others = _files(plan, dataset), _files(self.plan, self.dataset)
        for what, own in mine.items():
            if own != others[what]:
                raise DataError(
                    f"worker {worker} has another {what} than worker {self.first}: {own} and "
                    f"{others[what]}. All workers need the same files"
                )


@contextlib.contextmanager
def _again(group: Cluster, lost: SchedulerLost) -> Iterator[Cluster]:
    """The workers of the same scheduler, once it and one of them are there again."""
    deadline = time.monotonic() + SECONDS_FOR_SCHEDULER
    with contextlib.ExitStack() as stack:
        found = None
        while found is None:
            # A client tries to find its scheduler by itself, until it gives up.
            is_hopeless = group.scheduler is None and group.client.status == "closed"
            if is_hopeless or time.monotonic() > deadline:
                raise lost
            with contextlib.suppress(RequestError, OSError):
                found = stack.enter_context(joined(group.scheduler or group.client))
        yield found


def _files(plan: Plan, dataset: DatasetInfo) -> dict[str, object]:
    """What identifies the files of a run by content."""
    prepare = plan.preprocess_graph
    return {
        "graph": plan.graph.sha256,
        "preprocess_graph": None if prepare is None else prepare.sha256,
        "data set": f"{dataset.examples} examples ({dataset.fingerprint})",
    }


def _value(answer: Answer) -> Any:
    if answer.error is not None:
        raise answer.error
    return answer.value


def _check_request(request: Request) -> None:
    """Refuse arguments that say where a worker runs, which is on its share of its node."""
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
