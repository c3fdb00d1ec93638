"""A topology as text: a table of what there is and a picture of where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelzoo_runner.machine.cpulist import format_cpu_list

if TYPE_CHECKING:
    from modelzoo_runner.machine.topology import MemoryNode, Topology

WIDTH = 100
"""Columns of the picture."""


def draw(topology: Topology) -> str:
    """The table, the picture and what could not be read, without a final newline."""
    rows = list(_table(topology))
    widest = max(len(name) for name, _ in rows)
    lines = [f"{name:<{widest}}  {value}" for name, value in rows]
    return "\n".join([*lines, "", *_picture(topology), *topology.notes])


def _table(topology: Topology) -> Iterator[tuple[str, str]]:
    all_cpus = [cpu.id for cpu in topology.cpus]
    cores = topology.cores(all_cpus)
    yield "sockets", _ids(topology.sockets)
    yield "physical cores", _counted(len(cores), (len(core) for core in cores), "CPU")
    yield "NUMA nodes", ", ".join(map(_node, topology.memory_nodes)) or "none (one memory)"
    yield "CPUs online", f"{len(all_cpus)} ({format_cpu_list(all_cpus)})"
    if topology.offline:
        yield "CPUs offline", f"{len(topology.offline)} ({format_cpu_list(topology.offline)})"
    yield "affinity", format_cpu_list(topology.affinity)
    yield "control group", format_cpu_list(topology.cpuset or ()) or "any CPU"
    yield "CPU time", "no quota" if topology.quota is None else f"{topology.quota:g} CPUs at most"
    usable = topology.usable
    yield (
        "usable here",
        f"{len(usable)} CPUs ({format_cpu_list(usable)}) on {len(topology.cores())} physical cores",
    )


def _ids(ids: tuple[int, ...]) -> str:
    return f"{len(ids)} ({format_cpu_list(ids)})"


def _counted(count: int, sizes: Iterator[int], of: str) -> str:
    found = sorted(set(sizes))
    each = " or ".join(map(str, found))
    return f"{count} of {each} {of}{'' if found == [1] else 's'} each"


def _node(node: MemoryNode) -> str:
    return f"{node.id} ({_memory(node)}{'' if node.cpus else ', no CPUs'})"


def _memory(node: MemoryNode) -> str:
    if node.memory_bytes is None:
        return "memory unknown"
    return f"{node.memory_bytes / 2**30:.0f} GiB" if node.memory_bytes else "no memory"


def _picture(topology: Topology) -> Iterator[str]:
    usable = set(topology.usable)
    digits = len(str(max(cpu.id for cpu in topology.cpus)))
    places = sorted({(cpu.socket, -1 if cpu.node is None else cpu.node) for cpu in topology.cpus})
    for socket, node in places:
        here = [
            cpu.id
            for cpu in topology.cpus
            if cpu.socket == socket and (-1 if cpu.node is None else cpu.node) == node
        ]
        yield f"socket {socket}" + (f", NUMA node {node}" if node >= 0 else "")
        cells = [
            "[" + " ".join(f"{each if each in usable else '.':>{digits}}" for each in core) + "]"
            for core in topology.cores(here)
        ]
        in_a_row = max(1, (WIDTH - 2) // (max(map(len, cells)) + 1))
        for start in range(0, len(cells), in_a_row):
            yield "  " + " ".join(cells[start : start + in_a_row])
    yield "[ ] is a physical core, a number in it a CPU" + (
        ", a dot one that this process may not use" if len(usable) < len(topology.cpus) else ""
    )
