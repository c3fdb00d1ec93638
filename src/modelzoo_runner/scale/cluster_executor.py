"""Run the parts of an accuracy run on Dask workers that all have the same files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.results.result import PartResult
from modelzoo_runner.scale import cluster_worker, parts
from modelzoo_runner.scale.cluster import Cluster, joined
from modelzoo_runner.scale.cluster_worker import Answer, Job
from modelzoo_runner.scale.parts import Range
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset


@contextlib.contextmanager
def opened(
    client: Any, preset: Preset, request: Request, context: Context
) -> Iterator[ClusterExecutor]:
    """The workers of a client, for the parts of an accuracy run (see `accuracy.Executor`).

    Each fetches the files itself; a local path is looked for on each.

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
        calls = dict.fromkeys(cluster.addresses, (job,))
        own = {address: address for address in calls}
        with cluster.doing(cluster_worker.prepare, calls, on=own) as answers:
            found = {answer.worker: _value(answer) for _, answer in answers}
        worker, first = next(iter(found.items()))
        executor = ClusterExecutor(
            cluster=cluster,
            job=job,
            first=worker,
            plan=first.plan,
            dataset=first.dataset,
            versions=cluster.group.versions,
            workers=len(cluster.addresses),
        )
        for other, seen in found.items():
            executor.check(other, seen.plan, seen.dataset)
        yield executor


@dataclass(frozen=True, kw_only=True)
class ClusterExecutor:
    """Runs the parts on workers; `plan` and `dataset` are those of the worker `first`."""

    cluster: Cluster
    job: Job
    first: str
    plan: Plan
    dataset: DatasetInfo
    versions: Mapping[str, str | None]
    workers: int

    @contextlib.contextmanager
    def results(self, ranges: Sequence[Range], context: Context) -> Iterator[Iterator[PartResult]]:
        """The parts as they get done, by whichever worker."""
        calls = {parts.name(each): (self.job, each) for each in ranges}
        with self.cluster.doing(cluster_worker.part, calls) as answers:
            yield (self._checked(answer) for _, answer in answers)

    def check(self, worker: str, plan: Plan, dataset: DatasetInfo) -> None:
        """Raise if a worker has another graph or other data than the first one."""
        mine, others = _files(plan, dataset), _files(self.plan, self.dataset)
        for what, own in mine.items():
            if own != others[what]:
                raise DataError(
                    f"worker {worker} has another {what} than worker {self.first}: {own} and "
                    f"{others[what]}. All workers need the same files"
                )

    def _checked(self, answer: Answer) -> PartResult:
        part: PartResult = _value(answer)
        self.check(answer.worker, part.plan, part.dataset)
        return part


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
