"""What a Dask worker does for a run: claim cores, and run plans in child processes on them.

Who takes part and in what is known to `cluster`. The state of this module is of the worker's
process: the crews that it is in, and for each the child whose graph is open.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
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
class Crew:
    """Workers that do something together.

    `versions` are those that all of them have. `shares` says into how many parts the CPUs of a
    `Seat` are divided.
    """

    name: str
    versions: Mapping[str, str | None]
    shares: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Where a worker is: its node, the CPUs it may use there, and of how many physical cores."""

    node: str
    cpus: str
    cores: int

    @property
    def key(self) -> str:
        """Equal for the workers that share their CPUs."""
        return f"{self.node} {self.cpus}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """An accuracy run, as each worker comes to a plan of its own for it."""

    preset: Preset
    request: Request
    offline: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a worker, told by its address, comes to: a value, or an error of ours."""

    worker: str
    value: Any = None
    error: RunnerError | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a worker finds when it looks at the work."""

    plan: Plan
    dataset: DatasetInfo


def versions() -> dict[str, str | None]:
    """What all workers of a crew must have alike."""
    return {"modelzoo_runner": __version__, **facts.versions()}


def seat() -> Seat:
    """Where this worker is."""
    machine = topology.read()
    return Seat(node=cores.node(), cpus=format_cpu_list(machine.usable), cores=len(machine.cores()))


def join(crew: Crew) -> None:
    """Be one of the crew from now on.

    Raises:
        BindingError: this worker computes with other versions.
    """
    own = versions()
    for name, version in crew.versions.items():
        if own.get(name) != version:
            raise BindingError(f"{name} {own.get(name)} here, {version} in the crew")
    _members[crew.name] = _Member(crew)


def leave(name: str) -> None:
    """Be no longer one of the crew; what it runs here is ended."""
    member = _members.pop(name, None)
    if member is not None:
        member.end()


def look(crew: str, work: Work) -> Answer:
    """What this worker comes to, with its files fetched (`Found`)."""
    return _answer(crew, lambda member: member.look(work))


def part(crew: str, work: Work, examples: Range) -> Answer:
    """What one part of the data gives (`PartResult`), run on a share of this node's cores."""
    return _answer(crew, lambda member: member.part(work, examples))


def alone(crew: str, do: Callable[[], Any]) -> Answer:
    """What `do` returns, called when no other run is on the CPUs that this worker may use."""
    return _answer(crew, lambda member: member.alone(do))


def _answer(crew: str, do: Callable[[_Member], Any]) -> Answer:
    import distributed

    address = distributed.get_worker().address
    try:
        if crew not in _members:
            raise BindingError(
                "it joined later and its versions are others: its log says which. Install the same "
                "on all workers"
            )
        return Answer(worker=address, value=do(_members[crew]))
    except RunnerError as error:
        return Answer(worker=address, error=type(error)(f"worker {address}: {error}"))


_members: dict[str, _Member] = {}


class _Children(list[Child]):
    """Those that run; one that is started after the end is ended at once."""

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
    """This worker as one of a crew: it does one thing at a time (see `cluster.RESOURCE`)."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._work: Work | None = None
        self._plans: dict[Cpus, Plan] = {}
        self._children = _Children()
        self._kept = contextlib.ExitStack()
        self._told = 0.0
        self._busy = False

    def look(self, work: Work) -> Found:
        plan = self._plan(work, self._shares()[0])
        return Found(plan=plan, dataset=tasks.dataset(plan))

    def part(self, work: Work, examples: Range) -> PartResult:
        with self._at_work(self._shares()) as cpus:
            plan = dataclasses.replace(self._plan(work, cpus), examples=examples)
            with contextlib.ExitStack() as after_an_error:
                after_an_error.callback(self._drop)
                result = cast(PartResult, listen.to(self._child_for(plan), None))
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
        """From another thread than that of the work: end what it waits for."""
        self._children.end()
        if not self._busy:
            self._drop()

    @contextlib.contextmanager
    def _at_work(self, sets: Sequence[Cpus]) -> Iterator[Cpus]:
        with cores.claimed(sets) as cpus:
            self._busy = True
            try:
                if self._children.ended:
                    raise BindingError("the run was given up")
                yield cpus
            finally:
                self._busy = False
                if self._children.ended:
                    self._drop()

    def _shares(self) -> list[Cpus]:
        """The sets of CPUs to choose from, the one that the open graph is on first."""
        machine = topology.read()
        shares = splitting.split(machine, machine.usable, self._crew.shares.get(seat().key, 1))
        own = [child.plan.placement.cpus for child in self._children]
        return sorted(shares, key=lambda share: not any(set(cpus) <= set(share) for cpus in own))

    def _plan(self, work: Work, cpus: Cpus) -> Plan:
        if work != self._work:
            self._work, self._plans = work, {}
        if cpus not in self._plans:
            request = dataclasses.replace(work.request, cpus=cpus, isolation="child")
            with _without_variables_of_dask():
                self._plans[cpus] = planner.plan(
                    work.preset, request, Context(offline=work.offline)
                )
        return self._plans[cpus]

    def _child_for(self, plan: Plan) -> Child:
        """A child that has been told the plan: the one whose graph is open, if it is the same."""
        idle = time.monotonic() - self._told
        for child in self._children:
            same = dataclasses.replace(child.plan, examples=plan.examples) == plan
            if same and idle < protocol.IDLE_SECONDS / 2 and child.process.poll() is None:
                launch.tell_plan(child, plan)
                return child
        self._drop()
        with _without_variables_of_dask(), launch.noting(self._children):
            return self._kept.enter_context(launch.started(plan, protocol.KEPT))

    def _drop(self) -> None:
        """End the child whose graph is open, if there is one."""
        self._kept.pop_all().close()


@contextlib.contextmanager
def _without_variables_of_dask() -> Iterator[None]:
    """Without those that Dask sets for its workers: nobody wished one OpenMP thread for a run."""
    import dask

    names: Mapping[str, Any] = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    own = [name for name, value in names.items() if os.environ.get(name) == str(value)]
    with environment.variables(dict.fromkeys(own)):
        yield
