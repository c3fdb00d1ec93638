"""A machine as text and HTML: a table of what there is, and a picture of where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.values import markup, words

if TYPE_CHECKING:
    from modelzoo_runner.machine.topology import MemoryNode, Topology

WIDTH = 100
"""Columns of the picture in text."""

CELL, GAP, LINE = 26, 6, 20
"""Pixels: the sides of a CPU's square, between two things, and of a line of text."""

NARROW, WIDE, MANY_CORES = 384, 800, 32
"""Pixels that the picture is wide, with up to so many cores and with more."""

Drawn = tuple[str, float]
Draw = Callable[[float, float, float], Drawn]
"""Draws at (x, y) with a width: the SVG elements, and how high they are."""


def text(topology: Topology) -> str:
    """A table of what there is, a picture of where it is, and the notes."""
    rows = list(_table(topology))
    widest = max(len(name) for name, _ in rows)
    lines = [f"{name:<{widest}}  {value}" for name, value in rows]
    return "\n".join([*lines, "", *_lines(topology), *topology.notes])


def html(topology: Topology) -> str:
    """The same as HTML."""
    usable, cores = len(topology.usable), len(topology.cores())
    return markup.card(
        markup.title("What this process may use of the machine"),
        markup.figures(*(words.counted(n, what) for n, what in ((usable, "CPU"), (cores, "core")))),
        markup.wide(_svg(topology)),
        markup.facts((name, [value]) for name, value in _table(topology)),
        markup.notes(topology.notes),
    )


def _table(topology: Topology) -> Iterator[tuple[str, str]]:
    all_cpus = [cpu.id for cpu in topology.cpus]
    cores = topology.cores(all_cpus)
    sizes = sorted({len(core) for core in cores})
    each = f"{' or '.join(map(str, sizes))} CPU{'' if sizes == [1] else 's'} each"
    yield "sockets", f"{len(topology.sockets)} ({format_cpu_list(topology.sockets)})"
    yield "physical cores", f"{len(cores)} of {each}"
    nodes = ", ".join(map(_node, topology.memory_nodes))
    yield "NUMA nodes", f"{len(topology.memory_nodes)}: {nodes}" if nodes else "none (one memory)"
    yield from _caches(topology)
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


def _node(node: MemoryNode) -> str:
    size = "memory unknown" if node.memory_bytes is None else "no memory"
    size = f"{node.memory_bytes / 2**30:.0f} GiB" if node.memory_bytes else size
    return f"{node.id} ({size}{'' if node.cpus else ', no CPUs'})"


def _caches(topology: Topology) -> Iterator[tuple[str, str]]:
    """A row for each level: how many there are of which size, and for how many cores each is."""
    for name in dict.fromkeys(each.name for each in topology.caches):
        found = [each for each in topology.caches if each.name == name]
        kinds = [(each.size, len(topology.cores(each.cpus))) for each in found]
        yield (
            f"{name} cache",
            ", ".join(
                f"{kinds.count((size, cores))} of {size}, each of {words.counted(cores, 'core')}"
                for size, cores in dict.fromkeys(kinds)
            ),
        )


def _places(topology: Topology) -> Iterator[tuple[int, int, list[int]]]:
    """Each socket and node (-1: none), with its CPUs."""
    found: dict[tuple[int, int], list[int]] = {}
    for cpu in topology.cpus:
        found.setdefault((cpu.socket, -1 if cpu.node is None else cpu.node), []).append(cpu.id)
    for (socket, node), cpus in sorted(found.items()):
        yield socket, node, cpus


def _lines(topology: Topology) -> Iterator[str]:
    usable = set(topology.usable)
    digits = len(str(max(cpu.id for cpu in topology.cpus)))
    for socket, node, here in _places(topology):
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


def _svg(topology: Topology) -> str:
    """Boxes in boxes: sockets, their NUMA nodes, the caches that cores share, cores, CPUs."""
    cores = topology.cores(cpu.id for cpu in topology.cpus)
    width = NARROW if len(cores) <= MANY_CORES else WIDE
    memory = {each.id: _node(each) for each in topology.memory_nodes}
    sockets: dict[int, list[Draw]] = {}
    for socket, node, cpus in _places(topology):
        inner = _shared(topology, cpus)
        if node in memory:
            inner = [partial(_box, f"NUMA node {memory[node]}", inner)]
        sockets.setdefault(socket, []).extend(inner)
    boxes = [partial(_box, f"socket {socket}", inner) for socket, inner in sockets.items()]
    drawn, height = _stack(boxes, 1, 1, width - 2)
    unusable = len(topology.usable) < len(topology.cpus)
    legend = "filled: this process may run there" if unusable else ""
    said = f'<text x="2" y="{height + 17}" fill="currentColor">{legend}</text>' if legend else ""
    total = height + 2 + (LINE if legend else 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" '
        f'viewBox="0 0 {width} {total}" font-size="12" role="img" '
        f'aria-label="sockets, caches, cores and CPUs">{drawn}{said}</svg>'
    )


def _shared(topology: Topology, cpus: Sequence[int]) -> list[Draw]:
    """The cores of these CPUs, in a box for each cache of the last level that several share."""
    found: list[Draw] = []
    left = set(cpus)
    for cache in sorted(topology.caches, key=lambda each: (-each.level, each.cpus)):
        own = left & set(cache.cpus)
        if len(topology.cores(own)) > 1:
            cores: list[Draw] = [partial(_cores, topology, topology.cores(own))]
            found.append(partial(_box, f"{cache.name} cache {cache.size}", cores))
            left -= own
    if left:
        found.append(partial(_cores, topology, topology.cores(left)))
    return found


def _stack(draws: Iterable[Draw], x: float, y: float, width: float) -> Drawn:
    """One below the other."""
    parts, top = [], y
    for draw in draws:
        part, height = draw(x, top, width)
        parts.append(part)
        top += height + GAP
    return "".join(parts), top - GAP - y


def _box(label: str, inner: Sequence[Draw], x: float, y: float, width: float) -> Drawn:
    """Things in a frame with a label."""
    drawn, height = _stack(inner, x + GAP, y + LINE, width - 2 * GAP)
    height += LINE + GAP
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="currentColor" '
        f'fill-opacity=".04" stroke="currentColor" stroke-opacity=".35"/>'
        f'<text x="{x + GAP}" y="{y + 15}" fill="currentColor">{escape(label)}</text>{drawn}'
    ), height


def _cores(
    topology: Topology, cores: Sequence[Sequence[int]], x: float, y: float, width: float
) -> Drawn:
    """The cores in rows, each a frame around the squares of its CPUs."""
    usable = set(topology.usable)
    parts, left, top = [], x, y
    for core in cores:
        wide = CELL * len(core) + 4
        if left > x and left + wide > x + width:
            left, top = x, top + CELL + 4 + GAP
        parts.append(
            f'<rect x="{left}" y="{top}" width="{wide}" height="{CELL + 4}" rx="4" fill="none" '
            f'stroke="currentColor" stroke-opacity=".6"/>'
        )
        parts += (
            _cpu(cpu, cpu in usable, left + 2 + CELL * place, top + 2)
            for place, cpu in enumerate(core)
        )
        left += wide + GAP
    return "".join(parts), top + CELL + 4 - y


def _cpu(cpu: int, usable: bool, x: float, y: float) -> str:
    look = 'fill="#1f6feb"' if usable else 'fill="none" stroke="currentColor" stroke-opacity=".2"'
    ink = 'fill="#fff"' if usable else 'fill="currentColor" fill-opacity=".6"'
    return (
        f'<rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" rx="3" {look}/>'
        f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle" {ink} '
        f'font-size="11">{cpu}</text>'
    )
