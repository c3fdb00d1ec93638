"""The CPUs, cores, sockets and NUMA nodes of this machine, and which of them this process may use.

Read from `/sys`, the process's affinity and its control groups, so it holds in a container too.
A *core* is a physical one; its hardware threads are *CPUs*. A *socket* isn't a *NUMA node*: one
socket may have several (sub-NUMA clustering), and a virtual machine may have none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine import cgroup, files
from modelzoo_runner.machine.cpulist import format_cpu_list, parse_cpu_list


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """One CPU as the kernel counts them. `core` is the lowest id among the threads of its core."""

    id: int
    core: int
    socket: int
    node: int | None = None


@dataclass(frozen=True, kw_only=True)
class MemoryNode:
    """A NUMA node. It may have no memory, or no CPUs; `distances` are to each node, by id."""

    id: int
    cpus: tuple[int, ...]
    memory_bytes: int | None
    distances: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cache:
    """A cache and the CPUs that share it; `size` as the kernel writes it, in KiB or MiB."""

    level: int
    name: str
    size: str
    cpus: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A machine as one process sees it.

    `usable` are the online CPUs in both `affinity` (the process's mask) and `cpuset` (its control
    groups). `quota` is CPU time in CPUs, which may be a fraction. `memory_nodes_allowed` is `None`
    when nothing restricts them. `caches` are those of the online CPUs, empty where nobody asked for
    them. `notes` says what couldn't be read and what was assumed instead.
    """

    cpus: tuple[Cpu, ...]
    offline: tuple[int, ...] = ()
    memory_nodes: tuple[MemoryNode, ...] = ()
    memory_nodes_allowed: tuple[int, ...] | None = None
    affinity: tuple[int, ...]
    cpuset: tuple[int, ...] | None = None
    quota: float | None = None
    caches: tuple[Cache, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def usable(self) -> tuple[int, ...]:
        """The CPUs this process may run on, sorted."""
        allowed = set(self.affinity)
        if self.cpuset is not None:
            allowed &= set(self.cpuset)
        return tuple(cpu.id for cpu in self.cpus if cpu.id in allowed)

    @cached_property
    def sockets(self) -> tuple[int, ...]:
        """The ids of the sockets, which need not be 0, 1, ..."""
        return tuple(sorted({cpu.socket for cpu in self.cpus}))

    @property
    def usable_sockets(self) -> tuple[int, ...]:
        """The ids of the sockets that have a usable CPU."""
        return tuple(sorted({self.cpu(each).socket for each in self.usable}))

    def cpu(self, id: int) -> Cpu:
        """The CPU of that id."""
        return self._by_id[id]

    def cores(self, cpus: Iterable[int] | None = None) -> tuple[tuple[int, ...], ...]:
        """The usable cores, or those of `cpus`, each as its CPUs, by socket, node and core."""
        found: dict[tuple[int, int, int], list[int]] = {}
        for id in sorted(self.usable if cpus is None else cpus):
            cpu = self.cpu(id)
            place = (cpu.socket, -1 if cpu.node is None else cpu.node, cpu.core)
            found.setdefault(place, []).append(id)
        return tuple(tuple(found[place]) for place in sorted(found))

    def on_socket(self, socket: int) -> tuple[int, ...]:
        """The usable CPUs of one socket."""
        return tuple(each for each in self.usable if self.cpu(each).socket == socket)

    def on_node(self, node: int) -> tuple[int, ...]:
        """The usable CPUs of one NUMA node."""
        return tuple(each for each in self.usable if self.cpu(each).node == node)

    def restricted(self, cpus: Collection[int]) -> Topology:
        """The same machine for a process that may use `cpus` only.

        Raises:
            BindingError: when one of them isn't usable, or there is none.
        """
        outside = set(cpus) - set(self.usable)
        if outside or not cpus:
            what = f"{format_cpu_list(outside)} can't be used" if outside else "the list is empty"
            raise BindingError(
                f"cpus={format_cpu_list(cpus)!r}: {what}; "
                f"usable by this process: {format_cpu_list(self.usable)}"
            )
        return replace(self, affinity=tuple(sorted(cpus)))

    @cached_property
    def _by_id(self) -> dict[int, Cpu]:
        return {cpu.id: cpu for cpu in self.cpus}

    def __str__(self) -> str:
        """A table of what there is, a picture of where it is, and the notes."""
        from modelzoo_runner.machine import picture

        return picture.text(self)

    def _repr_html_(self) -> str:
        from modelzoo_runner.machine import picture

        return picture.html(self)


def read(
    root: Path = Path("/"), *, affinity: Collection[int] | None = None, with_caches: bool = False
) -> Topology:
    """This machine as this process sees it.

    Args:
        root: the folder that holds `sys` and `proc`; another one than `/` is a recorded machine.
        affinity: the CPUs the process is bound to. Default: of the calling thread, which the
            threads it starts inherit; for a recorded machine, every CPU that is online.
        with_caches: look for caches too, which takes some 0.1 s on a large machine.

    Raises:
        BindingError: when the process may not run on any CPU found.

    >>> len(read().usable) >= 1
    True
    """
    notes: list[str] = []
    if affinity is None and root == Path("/"):
        affinity = os.sched_getaffinity(0)
    folder = root / "sys/devices/system/cpu"
    online = files.ids(folder / "online") or _cpu_folders(folder)
    if not online:
        online = tuple(sorted(affinity or ()))
        notes.append(f"{folder} can't be read: each usable CPU is taken for a core of one socket")
    nodes = _memory_nodes(root / "sys/devices/system/node")
    node_of = {cpu: node.id for node in nodes for cpu in node.cpus}
    limits = cgroup.limits(root)
    status = files.text(root / "proc/self/status")
    allowed = re.search(r"^Mems_allowed_list:\s*(\S+)$", status, re.MULTILINE)
    cpus = tuple(_cpu(folder, cpu, node_of.get(cpu)) for cpu in online)
    found = Topology(
        cpus=cpus,
        offline=tuple(sorted(set(files.ids(folder / "present")) - set(online))),
        memory_nodes=nodes,
        memory_nodes_allowed=parse_cpu_list(allowed[1]) if allowed else limits.memory_nodes,
        affinity=tuple(sorted(online if affinity is None else affinity)),
        cpuset=limits.cpus,
        quota=limits.quota,
        caches=_caches(folder, cpus) if with_caches else (),
        notes=tuple(notes),
    )
    if not found.usable:
        raise BindingError(
            "no CPU is left for this process: "
            f"online {format_cpu_list(online)!r}, affinity {format_cpu_list(found.affinity)!r}, "
            f"control group {format_cpu_list(found.cpuset or ())!r}"
        )
    return found


def _cpu(folder: Path, id: int, node: int | None) -> Cpu:
    topology = folder / f"cpu{id}/topology"
    # core_id is unique neither over sockets nor over dies; the list of siblings is.
    siblings = files.ids(topology / "core_cpus_list") or files.ids(
        topology / "thread_siblings_list"
    )
    package = files.text(topology / "physical_package_id")
    socket = int(package) if package.isdigit() else 0  # -1 where firmware doesn't tell
    return Cpu(id=id, core=min(siblings, default=id), socket=socket, node=node)


def _caches(folder: Path, cpus: Sequence[Cpu]) -> tuple[Cache, ...]:
    """The caches, each once, by level; the threads of a core share theirs."""
    found = set()
    first_of_core = {cpu.core: cpu.id for cpu in reversed(cpus)}
    for first in first_of_core.values():
        for place in (folder / f"cpu{first}/cache").glob("index*"):
            level, kind, size = (files.text(place / name) for name in ("level", "type", "size"))
            shared = files.ids(place / "shared_cpu_list")
            own = tuple(cpu.id for cpu in cpus if cpu.id in shared)
            if level.isdigit() and own:
                found.add((int(level), kind, size, own))
    return tuple(
        Cache(level=level, name=f"L{level}{_KINDS.get(kind, '')}", size=_size(size), cpus=own)
        for level, kind, size, own in sorted(found)
    )


_KINDS = {"Data": " data", "Instruction": " instruction"}


def _size(kernels: str) -> str:
    """A cache's size with its unit.

    >>> _size("32768K"), _size("1280K"), _size("")
    ('32 MiB', '1280 KiB', 'unknown size')
    """
    if not kernels.removesuffix("K").isdigit():
        return "unknown size"
    kib = int(kernels.removesuffix("K"))
    return f"{kib // 1024} MiB" if kib >= 1024 and kib % 1024 == 0 else f"{kib} KiB"


def _memory_nodes(folder: Path) -> tuple[MemoryNode, ...]:
    ids = files.ids(folder / "online") or _numbered(folder, "node")
    distances = {id: files.text(folder / f"node{id}/distance").split() for id in ids}
    return tuple(
        MemoryNode(
            id=id,
            cpus=files.ids(folder / f"node{id}/cpulist"),
            memory_bytes=files.memory_bytes(folder / f"node{id}/meminfo", "MemTotal"),
            distances=(
                tuple(zip(ids, map(int, distances[id]), strict=True))
                if len(distances[id]) == len(ids)
                else ()
            ),
        )
        for id in ids
    )


def _cpu_folders(folder: Path) -> tuple[int, ...]:
    """The CPUs of a kernel that has no list of them; one without a file `online` can't be off."""
    return tuple(
        id for id in _numbered(folder, "cpu") if files.text(folder / f"cpu{id}/online") in ("", "1")
    )


def _numbered(folder: Path, name: str) -> tuple[int, ...]:
    if not folder.is_dir():
        return ()
    matches = (re.fullmatch(rf"{name}(\d+)", path.name) for path in folder.iterdir())
    return tuple(sorted(int(match[1]) for match in matches if match))
