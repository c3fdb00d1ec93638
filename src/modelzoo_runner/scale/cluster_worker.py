"""What runs on a Dask worker: claim cores, and run plans on them in child processes.

The state of this module belongs to the worker's process: the groups that it has joined, and for
each the child process that has the graph open.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import BindingError, RunnerError
from modelzoo_runner.execution import launch, listen, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.machine import environment, facts, splitting, topology
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.parts import DatasetInfo
from modelzoo_runner.results.result import PartResult
from modelzoo_runner.scale import cores
from modelzoo_runner.scale.parts import Range
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset

Cpus = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """Workers that share a run or a sweep.

    `versions` are those that all of them have. `shares` says into how many parts the CPUs of a
    `WorkerInfo` are divided.
    """

    name: str
    versions: Mapping[str, str | None]
    shares: Mapping[str, int] = field(default_factory=dict)


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
    """An accuracy run, as each worker makes a plan of its own for it; `context` tells nobody."""

    preset: Preset
    request: Request
    context: Context


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a worker answers: a value, or an error of this library."""

    worker: str
    value: Any = None
    error: RunnerError | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a worker finds when it prepares a job: its plan and the data set."""

    plan: Plan
    dataset: DatasetInfo


def versions() -> dict[str, str | None]:
    """The versions that all workers of a group must share."""
    return {"modelzoo_runner": __version__, **facts.versions()}


def worker_info() -> WorkerInfo:
    """This worker's node, CPUs and cores."""
    machine = topology.read()
    return WorkerInfo(
        node=cores.node(), cpus=format_cpu_list(machine.usable), cores=len(machine.cores())
    )


def join(group: WorkerGroup) -> None:
    """Join a group.

    Raises:
        BindingError: this worker computes with other versions.
    """
    own = versions()
    for name, version in group.versions.items():
        if own.get(name) != version:
            raise BindingError(f"{name} {own.get(name)} here, {version} in the group")
    _members[group.name] = _Member(group)


def leave(name: str) -> None:
    """Leave a group, and end what it runs here."""
    member = _members.pop(name, None)
    if member is not None:
        member.end()


def introduction(group: str) -> WorkerInfo | None:
    """What `worker_info` says, once this worker has joined the group."""
    return worker_info() if group in _members else None


def divide(group: str, shares: Mapping[str, int]) -> None:
    """Divide this worker's CPUs in another way from the next part on (`WorkerGroup.shares`)."""
    member = _members.get(group)
    if member is not None:
        member.shares = shares


def prepare(group: str, job: Job) -> Answer:
    """This worker's plan for a job and its data set, with the files fetched (`Prepared`).

    Its child begins to open the graph meanwhile.
    """
    return _answer(group, lambda member: member.prepare(job))


def part(group: str, job: Job, examples: Range) -> Answer:
    """The result of one part of the data, run on a share of this node's cores."""
    return _answer(group, lambda member: member.part(job, examples))


def alone(group: str, do: Callable[[], Any]) -> Answer:
    """The value of `do`, called while no other run uses this worker's CPUs."""
    return _answer(group, lambda member: member.alone(do))


def _answer(group: str, do: Callable[[_Member], Any]) -> Answer:
    import distributed

    address = distributed.get_worker().address
    try:
        if group not in _members:
            raise BindingError(
                "it joined later and its versions are others: its log says which. Install the same "
                "on all workers"
            )
        return Answer(worker=address, value=do(_members[group]))
    except RunnerError as error:
        return Answer(worker=address, error=type(error)(f"worker {address}: {error}"))


_members: dict[str, _Member] = {}


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


class _Member:
    """This worker as a member of a group; it does one call at a time (see `cluster.RESOURCE`)."""

    def __init__(self, group: WorkerGroup) -> None:
        self.shares = group.shares
        self._job: Job | None = None
        self._plans: dict[Cpus, Plan] = {}
        self._children = _Children()
        self._kept = contextlib.ExitStack()
        self._told = 0.0
        self._busy = False

    def prepare(self, job: Job) -> Prepared:
        shares = self._shares()
        plan = self._plan(job, shares[0])  # which may take long: data is fetched
        with cores.claimed_now(shares) as cpus:
            if cpus is not None:
                plan = self._plan(job, cpus)
                self._open_ahead(plan)
            return Prepared(plan=plan, dataset=tasks.dataset(plan))

    def part(self, job: Job, examples: Range) -> PartResult:
        with self._at_work(self._shares()) as cpus:
            plan = dataclasses.replace(self._plan(job, cpus), examples=examples)
            with contextlib.ExitStack() as after_an_error:
                after_an_error.callback(self._drop)
                result = cast(PartResult, listen.to(self._child_for(plan)))
                after_an_error.pop_all()
            self._told = time.monotonic()
        host = "a worker of a cluster runs each part in a child process"
        observed = dataclasses.replace(result.observed, host="child", host_reason=host)
        return dataclasses.replace(result, observed=observed)

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
            self._drop()

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
                    self._drop()

    def _shares(self) -> list[Cpus]:
        """The sets of CPUs to choose from, that of the open graph first."""
        machine = topology.read()
        shares = splitting.split(machine, machine.usable, self.shares.get(worker_info().key, 1))
        own = [child.plan.placement.cpus for child in self._children]
        return sorted(shares, key=lambda share: not any(set(cpus) <= set(share) for cpus in own))

    def _plan(self, job: Job, cpus: Cpus) -> Plan:
        if job != self._job:
            self._job, self._plans = job, {}
        if cpus not in self._plans:
            request = dataclasses.replace(job.request, cpus=cpus, isolation="child")
            with _without_variables_of_dask():
                self._plans[cpus] = planner.plan(job.preset, request, job.context)
        return self._plans[cpus]

    def _open_ahead(self, plan: Plan) -> None:
        """Have a child open the graph before there is a part for it."""
        child = self._child_for(dataclasses.replace(plan, examples=None))
        self._told = time.monotonic()

        def note_start() -> None:
            select.select([child.answers], [], [])
            if child.start_seconds is None:
                child.start_seconds = time.perf_counter() - child.began

        threading.Thread(target=note_start, daemon=True).start()

    def _child_for(self, plan: Plan) -> Child:
        """A child that was sent the plan: the open one, if its graph is the same."""
        idle = time.monotonic() - self._told
        for child in self._children:
            same = dataclasses.replace(child.plan, examples=plan.examples) == plan
            if same and idle < protocol.IDLE_SECONDS / 2 and child.process.poll() is None:
                if child.due is not None:  # nobody has waited for it until now
                    child.due += idle
                launch.tell_plan(child, plan)
                return child
        self._drop()
        with _without_variables_of_dask(), launch.noting(self._children):
            return self._kept.enter_context(launch.started(plan, protocol.KEPT))

    def _drop(self) -> None:
        """End the child that has the graph open, if there is one."""
        self._kept.pop_all().close()


@contextlib.contextmanager
def _without_variables_of_dask() -> Iterator[None]:
    """Unset the variables that Dask sets for its workers, such as one OpenMP thread."""
    import dask

    names: Mapping[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    own = [name for name, value in names.items() if os.environ.get(name) == str(value)]
    with environment.variables(dict.fromkeys(own)):
        yield
