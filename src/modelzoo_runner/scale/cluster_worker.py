"""What runs on a Dask worker: claim cores, and run plans on them in child processes.

The state of this module belongs to the worker's process: the groups that it has joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import BindingError, RunnerError
from modelzoo_runner.machine import facts
from modelzoo_runner.scale.member import Job, Member, WorkerInfo, worker_info
from modelzoo_runner.scale.parts import Range
from modelzoo_runner.scale.record_files import RecordFiles


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
class Answer:
    """What a worker answers: a value, or an error of this library."""

    worker: str
    value: Any = None
    error: RunnerError | None = None


def versions() -> dict[str, str | None]:
    """The versions that all workers of a group must share."""
    return {"modelzoo_runner": __version__, **facts.versions()}


def join(group: WorkerGroup) -> None:
    """Join a group.

    Raises:
        BindingError: this worker computes with other versions.
    """
    own = versions()
    for name, version in group.versions.items():
        if own.get(name) != version:
            raise BindingError(f"{name} {own.get(name)} here, {version} in the group")
    _members[group.name] = Member(group.shares)


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


def look(group: str, job: Job) -> Answer:
    """The record files of a job that workers fetch as they need them (`RecordFiles`), or `None`."""
    return _answer(group, lambda member: member.look(job))


def count(group: str, job: Job, files: RecordFiles, names: Sequence[str]) -> Answer:
    """The numbers of records in some of a job's files, by name; this worker fetches them.

    Its child begins to open the graph meanwhile.
    """
    return _answer(group, lambda member: member.count(job, files, names))


def prepare(group: str, job: Job) -> Answer:
    """This worker's plan for a job and its data set (`Prepared`).

    Other files than `Job.files` are fetched. Its child begins to open the graph meanwhile.
    """
    return _answer(group, lambda member: member.prepare(job))


def part(group: str, packed: bytes, examples: Range) -> Answer:
    """The result of one part of a packed job's data, run on a share of this node's cores."""
    return _answer(group, lambda member: member.part(packed, examples))


def alone(group: str, do: Callable[[], Any]) -> Answer:
    """The value of `do`, called while no other run uses this worker's CPUs."""
    return _answer(group, lambda member: member.alone(do))


def _answer(group: str, do: Callable[[Member], Any]) -> Answer:
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


_members: dict[str, Member] = {}
