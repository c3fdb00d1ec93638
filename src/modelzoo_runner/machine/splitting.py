"""Divide physical cores among several instances. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal

from modelzoo_runner.errors import BindingError, RequestError, did_you_mean
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.machine.topology import Cpu, Topology
from modelzoo_runner.values import validate
from modelzoo_runner.values.plan import Placement
from modelzoo_runner.values.words import counted

Instances = int | Literal["socket", "node", "core"]

Core = tuple[int, ...]

PLACES: dict[str, Callable[[Cpu], object]] = {
    "socket": lambda cpu: cpu.socket,
    "node": lambda cpu: (cpu.socket, cpu.node),
    "core": lambda cpu: cpu.core,
}
"""What there can be one instance for each of, and the key that tells them apart."""


def split(
    topology: Topology,
    cpus: Collection[int],
    instances: Instances | None,
    cores_per_instance: int | None = None,
) -> tuple[tuple[int, ...], ...]:
    """The CPUs of each instance, whole physical cores and no core twice.

    An instance stays within a NUMA node if all of them fit that way, else within a socket, else
    anywhere. Cores that can't be divided evenly stay idle.

    Args:
        topology: the machine.
        cpus: the CPUs to divide.
        instances: how many, or one for each `"socket"`, `"node"` or `"core"`; `None`: as many as
            fit with `cores_per_instance`.
        cores_per_instance: physical cores of each; `None`: an equal share.

    Raises:
        RequestError: an argument that is invalid on any machine.
        BindingError: more cores than these CPUs have.

    >>> from modelzoo_runner.machine.topology import read
    >>> machine = read()
    >>> len(split(machine, machine.usable, "core")) == len(machine.cores())
    True
    """
    check(instances, cores_per_instance)
    cores = topology.cores(cpus)
    if isinstance(instances, str):
        return _joined(_on_each(topology, cores, instances, cores_per_instance))
    size = cores_per_instance or len(cores) // (instances or 1)
    wanted = instances or 1
    if wanted * max(1, size) > len(cores):
        raise BindingError(_too_many(cores, instances, cores_per_instance))
    for place in ("node", "socket"):
        parts = [part for group in _groups(topology, cores, place) for part in _chunks(group, size)]
        if len(parts) >= wanted:
            return _joined(parts[:instances])
    return _joined(_chunks(cores, size)[:instances])


def together(topology: Topology, whole: Placement, instances: Sequence[Placement]) -> Placement:
    """The placement of several instances as one: all their CPUs, the thread counts of each."""
    cpus = tuple(sorted(cpu for each in instances for cpu in each.cpus))
    there, used = len(topology.cores(whole.cpus)), len(topology.cores(cpus))
    warnings = dict.fromkeys(said for each in (whole, *instances) for said in each.warnings)
    if used < there:
        warnings[
            f"{there - used} of {counted(there, 'physical core')} stay idle beside "
            f"{counted(len(instances), 'instance')}"
        ] = None
    return replace(
        whole,
        cpus=cpus,
        numa_nodes=tuple(sorted({node for each in instances for node in each.numa_nodes})),
        inter_threads=max(each.inter_threads for each in instances),
        intra_threads=max(each.intra_threads for each in instances),
        env=instances[0].env,
        why={**instances[0].why, "cpus": whole.why.get("cpus", "")},
        warnings=tuple(warnings),
    )


def check(instances: object, cores_per_instance: object) -> None:
    """Validate the two arguments, whatever the machine.

    Raises:
        RequestError: naming the argument, its value and what is allowed.
    """
    if instances is not None and not (isinstance(instances, str) and instances in PLACES):
        places = ', or "socket", "node" or "core" for one on each'
        if isinstance(instances, str):
            near = did_you_mean(instances, PLACES, otherwise="Words")
            raise RequestError(
                f"instances={instances!r}: should be a whole number of at least 1{places}. {near}"
            )
        validate.count("instances", instances, otherwise=places)
    validate.optional_count("cores_per_instance", cores_per_instance)


def _on_each(
    topology: Topology, cores: tuple[Core, ...], place: str, size: int | None
) -> list[tuple[Core, ...]]:
    groups = _groups(topology, cores, place)
    smallest = min(map(len, groups))
    if size is not None and size > smallest:
        raise BindingError(
            f"cores_per_instance={size}: with instances={place!r} the smallest {place} has "
            f"{counted(smallest, 'usable physical core')}"
        )
    return [group[:size] for group in groups]


def _groups(topology: Topology, cores: tuple[Core, ...], place: str) -> list[tuple[Core, ...]]:
    found: dict[object, list[Core]] = {}
    for core in cores:
        found.setdefault(PLACES[place](topology.cpu(core[0])), []).append(core)
    return [tuple(group) for group in found.values()]


def _chunks(cores: tuple[Core, ...], size: int) -> list[tuple[Core, ...]]:
    return [cores[at : at + size] for at in range(0, len(cores) - size + 1, size)]


def _joined(parts: list[tuple[Core, ...]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(sorted(cpu for core in part for cpu in core)) for part in parts)


def _too_many(
    cores: tuple[Core, ...], instances: Instances | None, cores_per_instance: int | None
) -> str:
    asked = {"instances": instances, "cores_per_instance": cores_per_instance}
    words = ", ".join(f"{name}={value}" for name, value in asked.items() if value is not None)
    most = len(cores) // (cores_per_instance or 1)
    allowed = (
        f"ask for {most} or fewer"
        if most and instances is not None
        else f"ask for {len(cores)} or fewer cores each"
    )
    cpus = format_cpu_list(cpu for core in cores for cpu in core)
    return (
        f"{words}: the run may use {counted(len(cores), 'physical core')} (CPUs {cpus}), and no "
        f"two instances share one; {allowed}"
    )
