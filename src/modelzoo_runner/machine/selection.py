"""Which CPUs and NUMA nodes the arguments of a call select. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine.cpulist import format_cpu_list, parse_cpu_list
from modelzoo_runner.machine.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The usable CPUs a run may choose from.

    `asked` are the arguments that select them (`socket_id=0`), empty if there are none; `cores` are
    the physical cores, each as its usable CPUs, in the order they are taken.
    """

    cpus: tuple[int, ...]
    cores: tuple[tuple[int, ...], ...]
    asked: str
    sockets: int
    cores_per_socket: int
    cpus_per_core: int

    @property
    def where(self) -> str:
        """The pool as an error message names it."""
        return self.asked or "this process"


def pool(
    topology: Topology,
    *,
    socket_id: int | None = None,
    numa_node: int | None = None,
    cpus: str | Collection[int] | None = None,
) -> Pool:
    """The usable CPUs that all of the arguments select; `None` and -1 select all.

    Raises:
        RequestError: an argument that isn't an id or a list of ids.
        BindingError: a socket or node that doesn't exist, or no CPU is left.
    """
    socket_id, numa_node = identifier("socket_id", socket_id), identifier("numa_node", numa_node)
    asked: list[str] = []
    found = set(topology.usable)
    if cpus is not None:
        wanted = parse_cpu_list(cpus) if isinstance(cpus, str) else tuple(cpus)
        found &= set(topology.restricted(wanted).usable)
        asked.append(f"cpus={format_cpu_list(wanted)!r}")
    if socket_id is not None:
        _exists("socket_id", socket_id, topology.sockets, topology)
        found &= set(topology.on_socket(socket_id))
        asked.append(f"{socket_id=}")
    if numa_node is not None:
        _exists("numa_node", numa_node, [node.id for node in topology.memory_nodes], topology)
        found &= set(topology.on_node(numa_node))
        asked.append(f"{numa_node=}")
    words = ", ".join(asked)
    if not found:
        raise BindingError(f"{words}: no usable CPU is left; {_usable(topology)}")
    cores = topology.cores(found)
    on_socket = [topology.cpu(core[0]).socket for core in cores]
    return Pool(
        cpus=tuple(sorted(found)),
        cores=cores,
        asked=words,
        sockets=len(set(on_socket)),
        cores_per_socket=max(on_socket.count(each) for each in set(on_socket)),
        cpus_per_core=max(map(len, cores)),
    )


def take(topology: Topology, pool: Pool, num_cores: int | None) -> tuple[tuple[int, ...], str]:
    """The CPUs of a run, one per physical core first, and what decided that.

    Without `num_cores` it is every core of the pool, or as many as the CPU quota allows: one more
    thread would only be throttled.

    Raises:
        BindingError: more cores than the pool has CPUs.
    """
    physical = len(pool.cores)
    in_order = [
        core[turn] for turn in range(pool.cpus_per_core) for core in pool.cores if turn < len(core)
    ]
    if num_cores is not None:
        if num_cores > len(in_order):
            raise BindingError(
                f"num_cores={num_cores}: {pool.where} has {len(in_order)} usable CPUs "
                f"({format_cpu_list(pool.cpus)}) on {physical} physical cores; ask for "
                f"{physical} or fewer"
            )
        return tuple(sorted(in_order[:num_cores])), f"argument: num_cores={num_cores}"
    who = f"argument: {pool.asked}: " if pool.asked else "machine: "
    if topology.quota is not None and topology.quota < physical:
        fed = max(1, int(topology.quota))
        return tuple(sorted(in_order[:fed])), (
            f"{who}{fed} of {physical} usable physical cores, "
            f"since the CPU quota is {topology.quota:g}"
        )
    return tuple(sorted(in_order[:physical])), f"{who}all {physical} usable physical cores"


def with_siblings(pool: Pool, cpus: Collection[int]) -> tuple[int, ...]:
    """`cpus` and the pool's other CPUs of the same physical cores."""
    return tuple(sorted(each for core in pool.cores if set(core) & set(cpus) for each in core))


def memory_nodes(
    topology: Topology, pool: Pool, cpus: Iterable[int]
) -> tuple[tuple[int, ...], str]:
    """The NUMA nodes of `cpus`, and what decided that; none where a policy would have no effect.

    A node without memory is replaced by the nearest ones with memory.
    """
    if not pool.asked:
        return (), "machine: no socket was asked for, so memory comes from anywhere"
    with_memory = {
        node.id
        for node in topology.memory_nodes
        if node.memory_bytes != 0
        and (topology.memory_nodes_allowed is None or node.id in topology.memory_nodes_allowed)
    }
    if len(with_memory) < 2:
        return (), "machine: there is one memory only"
    by_id = {node.id: node for node in topology.memory_nodes}
    found: set[int] = set()
    for home in {node for each in cpus if (node := topology.cpu(each).node) is not None}:
        far = {id: distance for id, distance in by_id[home].distances if id in with_memory}
        nearest = {id for id, distance in far.items() if distance == min(far.values())}
        found |= {home} if home in with_memory else nearest
    why = f"argument: {pool.asked}: the nodes of its CPUs"
    return tuple(sorted(found)), why if found else f"{why} have no memory that may be used"


def identifier(name: str, value: int | None) -> int | None:
    """The id; `None` for `None` and for -1, as in the original scripts.

    Raises:
        RequestError: not a whole number, or below -1.
    """
    if value is None or (type(value) is int and value >= 0):
        return value
    if type(value) is int and value == -1:
        return None
    raise RequestError(f"{name}={value!r}: give an id (0, 1, ...), or None (or -1) for all")


def _exists(name: str, id: int, there: Collection[int], topology: Topology) -> None:
    if id not in there:
        what = {"socket_id": "sockets", "numa_node": "NUMA nodes"}[name]
        raise BindingError(
            f"{name}={id}: this machine's {what} are {format_cpu_list(there) or 'not known'}; "
            f"{_usable(topology)}"
        )


def _usable(topology: Topology) -> str:
    return (
        f"usable by this process: CPUs {format_cpu_list(topology.usable)} "
        f"on socket {format_cpu_list(topology.usable_sockets)}"
    )
