"""A Dask worker as a member of a group: its cores, and the child that has the graph open.

It does one call at a time (see `cluster.RESOURCE`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pickle
import select
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from modelzoo_runner.errors import BindingError
from modelzoo_runner.execution import launch, listen, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.machine import environment, splitting, topology
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.results.result import PartResult
from modelzoo_runner.scale import cores, record_files
from modelzoo_runner.scale.parts import Range
from modelzoo_runner.scale.record_files import RecordFiles
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset

Cpus = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WorkerInfo:
    """A worker's node, the CPUs it may use there, and how many physical cores they are."""

    node: str
    cpus: str
    cores: int

    @property
    def key(self) -> str:
        """Equal for the workers that share their CPUs."""
        return f"{self.node} {self.cpus}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """An accuracy run, as each worker makes a plan of its own for it; `context` tells nobody.

    `files` are what workers fetch as they need it; without, each fetches all of the data.
    """

    preset: Preset
    request: Request
    context: Context
    files: RecordFiles | None = None


def packed(job: Job) -> bytes:
    """A job as it is sent with each part: its files may be thousands."""
    return zlib.compress(pickle.dumps(job))


@functools.lru_cache(maxsize=1)
def unpacked(packed: bytes) -> Job:
    """The job that was packed; the same one for the parts that follow."""
    job: Job = pickle.loads(zlib.decompress(packed))
    return job


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a worker finds when it prepares a job: its plan and the data set."""

    plan: Plan
    dataset: DatasetInfo


def worker_info() -> WorkerInfo:
    """This worker's node, CPUs and cores."""
    machine = topology.read()
    return WorkerInfo(
        node=cores.node(), cpus=format_cpu_list(machine.usable), cores=len(machine.cores())
    )


class _Children(list[Child]):
    """The running children; one that is started after `end` is ended at once."""

    ended = False

    def append(self, child: Child) -> None:
        super().append(child)
        if self.ended:
            child.process.kill()

    def end(self) -> None:
        self.ended = True
        for child in tuple(self):
            child.process.kill()


class Member:
    """This worker as a member of a group; `shares` as in `cluster_worker.WorkerGroup`."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self.shares = shares
        self._job: Job | None = None
        self._location: str | None = None
        self._lists = tempfile.TemporaryDirectory(prefix="modelzoo_runner-")
        self._plans: dict[Cpus, Plan] = {}
        self._children = _Children()
        self._kept = contextlib.ExitStack()
        self._told = 0.0
        self._busy = False

    def look(self, job: Job) -> RecordFiles | None:
        files = record_files.look(job.request, job.context)
        if files is None:
            return None
        plan = self._plan(dataclasses.replace(job, files=files), self._shares()[0])
        return record_files.with_names(files, plan, job.context)

    def count(self, job: Job, files: RecordFiles, names: Sequence[str]) -> dict[str, int]:
        self._opened_ahead(dataclasses.replace(job, files=files))
        return record_files.count(files, names, job.context)

    def prepare(self, job: Job) -> Prepared:
        plan = self._opened_ahead(job)
        return Prepared(plan=plan, dataset=tasks.dataset(plan))

    def part(self, packed: bytes, examples: Range) -> PartResult:
        job = unpacked(packed)
        plans = self._plans_by_cpus(job)
        with self._at_work(list(plans)) as cpus:
            plan = dataclasses.replace(plans[cpus], examples=examples)
            if job.files is not None:
                record_files.fetch(job.files, plan, job.context)
            with contextlib.ExitStack() as after_an_error:
                after_an_error.callback(self._drop)
                result = cast(PartResult, listen.to(self._child_for(plan)))
                after_an_error.pop_all()
            self._told = time.monotonic()
        host = "a worker of a cluster runs each part in a child process"
        observed = dataclasses.replace(result.observed, host="child", host_reason=host)
        return dataclasses.replace(result, plan=_shown(result.plan, job), observed=observed)

    def alone(self, do: Callable[[], Any]) -> Any:
        with (
            self._at_work([topology.read().usable]),
            _without_variables_of_dask(),
            launch.noting(self._children),
        ):
            return do()

    def end(self) -> None:
        """End what the job waits for; called from another thread."""
        self._children.end()
        if not self._busy:
            self._leave()

    @contextlib.contextmanager
    def _at_work(self, sets: Sequence[Cpus]) -> Iterator[Cpus]:
        with cores.claimed(sets) as cpus:
            self._busy = True
            try:
                if self._children.ended:
                    raise BindingError("the run was cancelled")
                yield cpus
            finally:
                self._busy = False
                if self._children.ended:
                    self._leave()

    def _shares(self) -> tuple[Cpus, ...]:
        machine = topology.read()
        return splitting.split(machine, machine.usable, self.shares.get(worker_info().key, 1))

    def _plans_by_cpus(self, job: Job) -> dict[Cpus, Plan]:
        """A plan for each share of the node, by the CPUs it uses there; the open one's first.

        They may be fewer than the share (`num_cores=`): others can have the rest.
        """
        plans = [self._plan(job, share) for share in self._shares()]
        own = [child.plan.placement.cpus for child in self._children]
        plans.sort(key=lambda plan: plan.placement.cpus not in own)
        return {plan.placement.cpus: plan for plan in plans}

    def _plan(self, job: Job, cpus: Cpus) -> Plan:
        if job != self._job:
            self._job, self._plans = job, {}
            self._location = None
            if job.files is not None:
                folder = Path(self._lists.name)
                self._location = str(record_files.write(job.files, folder, job.context))
        if cpus not in self._plans:
            request = dataclasses.replace(job.request, cpus=cpus, isolation="child")
            if self._location is not None:
                request = dataclasses.replace(request, data_location=self._location)
            with _without_variables_of_dask():
                self._plans[cpus] = planner.plan(job.preset, request, job.context)
        return self._plans[cpus]

    def _opened_ahead(self, job: Job) -> Plan:
        """The plan of a job, whose graph a child begins to open before there is a part for it."""
        plans = self._plans_by_cpus(job)  # which may take long: files are fetched
        with cores.claimed_now(list(plans)) as cpus:
            if cpus is None:
                return next(iter(plans.values()))
            self._open(plans[cpus])
            return plans[cpus]

    def _open(self, plan: Plan) -> None:
        plan = dataclasses.replace(plan, examples=None)
        if self._open_child(plan) is not None:
            return
        child = self._started(plan)
        self._told = time.monotonic()

        def note_start() -> None:
            select.select([child.answers], [], [])
            if child.start_seconds is None:
                child.start_seconds = time.perf_counter() - child.began

        threading.Thread(target=note_start, daemon=True).start()

    def _child_for(self, plan: Plan) -> Child:
        """A child that was sent the plan: the open one, if its graph is the same."""
        child = self._open_child(plan)
        if child is None:
            return self._started(plan)
        if child.due is not None:  # nobody has waited for it until now
            child.due += time.monotonic() - self._told
        launch.tell_plan(child, plan)
        return child

    def _open_child(self, plan: Plan) -> Child | None:
        """The child that has the plan's graph open, if it will still be there in a while."""
        if time.monotonic() - self._told > protocol.IDLE_SECONDS / 2:
            return None
        for child in self._children:
            same = dataclasses.replace(child.plan, examples=plan.examples) == plan
            if same and child.process.poll() is None:
                return child
        return None

    def _started(self, plan: Plan) -> Child:
        """A new child that was sent the plan."""
        self._drop()
        with _without_variables_of_dask(), launch.noting(self._children):
            return self._kept.enter_context(launch.started(plan, protocol.KEPT))

    def _leave(self) -> None:
        self._drop()
        self._lists.cleanup()

    def _drop(self) -> None:
        """End the child that has the graph open, if there is one."""
        self._kept.pop_all().close()


def _shown(plan: Plan, job: Job) -> Plan:
    """The plan as the caller knows it: with the folder in the store, not this worker's list."""
    if job.files is None:
        return plan
    return dataclasses.replace(plan, data_location=job.request.data_location)


@contextlib.contextmanager
def _without_variables_of_dask() -> Iterator[None]:
    """Unset the variables that Dask sets for its workers, such as one OpenMP thread."""
    import dask

    names: Mapping[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    own = [name for name, value in names.items() if os.environ.get(name) == str(value)]
    with environment.variables(dict.fromkeys(own)):
        yield
