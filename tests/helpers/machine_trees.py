"""Machines recorded as folders: what `/sys` and `/proc` would hold, written from a description.

Real file names and formats, so that hwloc reads the same trees (`HWLOC_FSROOT`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelzoo_runner.machine.cpulist import format_cpu_list


@dataclass(frozen=True, kw_only=True)
class Cpu:
    id: int
    socket: int
    core: int
    node: int | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`memory_gib` by node id; a node that no CPU names has no CPUs."""

    cpus: tuple[Cpu, ...]
    memory_gib: Mapping[int, int] = field(default_factory=dict)
    offline: tuple[int, ...] = ()
    mems_allowed: str | None = None
    cgroup: str | None = None
    mountinfo: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def regular(
    *,
    sockets: int = 1,
    cores: int,
    threads: int = 1,
    nodes_per_socket: int = 1,
    siblings: str = "split",
    numa: bool = True,
    **more: object,
) -> Machine:
    """A machine whose sockets are alike.

    `siblings="split"` counts the first threads of all cores before any second thread (0 and 56 on
    one core), `"adjacent"` counts core by core (0 and 1 on one core).
    """
    found = []
    for socket in range(sockets):
        for core in range(cores):
            for thread in range(threads):
                number = socket * cores + core
                id = (
                    number + thread * sockets * cores
                    if siblings == "split"
                    else number * threads + thread
                )
                node = socket * nodes_per_socket + core * nodes_per_socket // cores
                found.append(Cpu(id=id, socket=socket, core=core, node=node if numa else None))
    memory = dict.fromkeys(range(sockets * nodes_per_socket), 64) if numa else {}
    return Machine(
        cpus=tuple(sorted(found, key=lambda cpu: cpu.id)),
        **({"memory_gib": memory} | more),  # type: ignore[arg-type]
    )


def write(machine: Machine, root: Path) -> Path:
    """The tree of `machine` below `root`."""
    online = [cpu for cpu in machine.cpus if cpu.id not in machine.offline]
    cpu_folder = root / "sys/devices/system/cpu"
    everything = format_cpu_list(cpu.id for cpu in machine.cpus)
    _put(cpu_folder / "online", format_cpu_list(cpu.id for cpu in online))
    _put(cpu_folder / "present", everything)
    _put(cpu_folder / "possible", everything)
    _put(cpu_folder / "offline", format_cpu_list(machine.offline))
    for cpu in machine.cpus:
        folder = cpu_folder / f"cpu{cpu.id}"
        _put(folder / "online", str(int(cpu.id not in machine.offline)))
        if cpu.id in machine.offline:
            continue
        core = [each.id for each in online if (each.socket, each.core) == (cpu.socket, cpu.core)]
        package = [each.id for each in online if each.socket == cpu.socket]
        for old, new, ids in (
            ("thread_siblings", "core_cpus", core),
            ("core_siblings", "package_cpus", package),
        ):
            for name in (old, new):
                _put(folder / "topology" / name, _mask(ids))
                _put(folder / "topology" / f"{name}_list", format_cpu_list(ids))
        _put(folder / "topology/core_id", str(cpu.core))
        _put(folder / "topology/physical_package_id", str(cpu.socket))
    nodes = machine.memory_gib
    if nodes:
        folder = root / "sys/devices/system/node"
        _put(folder / "online", format_cpu_list(nodes))
        _put(folder / "possible", format_cpu_list(nodes))
        for node, gib in nodes.items():
            ids = [cpu.id for cpu in online if cpu.node == node]
            kib = gib * 2**20
            _put(folder / f"node{node}/cpulist", format_cpu_list(ids))
            _put(folder / f"node{node}/cpumap", _mask(ids))
            _put(folder / f"node{node}/meminfo", f"Node {node} MemTotal:       {kib} kB")
            distances = (10 if other == node else 10 + 10 * abs(other - node) for other in nodes)
            _put(folder / f"node{node}/distance", " ".join(map(str, distances)))
    if machine.mems_allowed is not None:
        _put(
            root / "proc/self/status", f"Name:\tpython\nMems_allowed_list:\t{machine.mems_allowed}"
        )
    if machine.cgroup is not None:
        _put(root / "proc/self/cgroup", machine.cgroup)
    if machine.mountinfo is not None:
        _put(root / "proc/self/mountinfo", machine.mountinfo)
        # hwloc reads this shorter form of it.
        places = [line.split() for line in machine.mountinfo.splitlines()]
        _put(root / "proc/mounts", "\n".join(f"{p[-2]} {p[4]} {p[-3]} {p[-1]} 0 0" for p in places))
    for name, text in machine.files.items():
        _put(root / name, text)
    _put(root / "proc/cpuinfo", "")
    return root


def _mask(ids: list[int]) -> str:
    """A set as the kernel's hexadecimal mask, in words of 32 bits."""
    bits = sum(1 << id for id in ids)
    words = [
        f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(0, max(bits.bit_length(), 1), 32)
    ]
    return ",".join(reversed(words))


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


CGROUP2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
"""The line of `mountinfo` that most distributions have today."""

ZOO = regular(sockets=2, cores=28, threads=2)
"""The machine that the tests of Intel's scripts describe: 112 CPUs, 2 NUMA nodes."""

MACHINES: Mapping[str, Machine] = {
    "zoo": ZOO,
    "zoo_adjacent": regular(sockets=2, cores=28, threads=2, siblings="adjacent"),
    "zoo_without_smt": regular(sockets=2, cores=28),
    "one_socket": regular(cores=8, threads=2),
    "clustered": regular(sockets=2, cores=24, threads=2, nodes_per_socket=2),
    "vm_without_numa": regular(cores=4, numa=False),
    "arm64": regular(cores=64),
    "offline": regular(sockets=2, cores=4, threads=2, offline=(3, 8, 9)),
    "ids_with_gaps": Machine(
        cpus=(
            Cpu(id=0, socket=0, core=0, node=0),
            Cpu(id=2, socket=0, core=5, node=0),
            Cpu(id=16, socket=36, core=0, node=8),
            Cpu(id=18, socket=36, core=9, node=8),
        ),
        memory_gib={0: 64, 8: 64},
    ),
    "node_without_memory": regular(sockets=2, cores=4, memory_gib={0: 64, 1: 0}),
    "node_without_cpus": regular(sockets=2, cores=4, memory_gib={0: 64, 1: 64, 2: 256}),
    "part_of_a_socket": regular(
        sockets=2,
        cores=28,
        threads=2,
        mems_allowed="0",
        cgroup="0::/",
        mountinfo=CGROUP2,
        files={
            "sys/fs/cgroup/cgroup.controllers": "cpuset cpu memory",
            "sys/fs/cgroup/cpuset.cpus.effective": "4-7,60-63",
            "sys/fs/cgroup/cpuset.mems.effective": "0",
            "sys/fs/cgroup/cpu.max": "max 100000",
        },
    ),
    "quota": regular(
        sockets=2,
        cores=28,
        threads=2,
        cgroup="0::/kubepods/pod1/box",
        mountinfo=CGROUP2,
        files={
            "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "250000 100000",
            "sys/fs/cgroup/kubepods/pod1/cpu.max": "400000 100000",
        },
    ),
}
"""The machines of the tests by name."""
