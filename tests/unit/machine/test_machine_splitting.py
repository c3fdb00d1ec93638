"""Cores shared out among instances, on recorded machines and made ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine import placement, splitting
from modelzoo_runner.machine.topology import Cpu, MemoryNode, Topology


def machine(sockets: int = 2, cores: int = 4, threads: int = 1, nodes: int = 1) -> Topology:
    """Cores in `nodes` NUMA nodes a socket; second threads are numbered after all the first."""
    total = sockets * cores
    cpus = tuple(
        Cpu(
            id=core + thread * total,
            core=core,
            socket=core // cores,
            node=core * nodes // cores,
        )
        for thread in range(threads)
        for core in range(total)
    )
    return Topology(
        cpus=cpus,
        memory_nodes=tuple(
            MemoryNode(
                id=node,
                cpus=tuple(cpu.id for cpu in cpus if cpu.node == node),
                memory_bytes=1 << 30,
            )
            for node in range(sockets * nodes)
        ),
        affinity=tuple(sorted(cpu.id for cpu in cpus)),
    )


@pytest.mark.parametrize(
    ("instances", "size", "parts"),
    [
        ("socket", None, ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("socket", 3, ((0, 1, 2), (4, 5, 6))),
        ("node", None, ((0, 1), (2, 3), (4, 5), (6, 7))),
        ("core", None, tuple((core,) for core in range(8))),
        (2, None, ((0, 1, 2, 3), (4, 5, 6, 7))),
        (2, 1, ((0,), (1,))),
        (4, None, ((0, 1), (2, 3), (4, 5), (6, 7))),
        (3, None, ((0, 1), (2, 3), (4, 5))),
        (1, None, (tuple(range(8)),)),
        (None, 3, ((0, 1, 2), (4, 5, 6))),
        (None, 5, ((0, 1, 2, 3, 4),)),
        (8, 1, tuple((core,) for core in range(8))),
    ],
)
def test_instances_stay_within_a_memory_node_or_a_socket_where_they_can(
    instances: splitting.Instances | None, size: int | None, parts: object
) -> None:
    here = machine(nodes=2)
    assert splitting.split(here, here.usable, instances, size) == parts


def test_the_threads_of_a_core_stay_together() -> None:
    here = machine(sockets=1, cores=4, threads=2)
    assert splitting.split(here, here.usable, 2) == ((0, 1, 4, 5), (2, 3, 6, 7))


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "sockets", "", []])
def test_instances_that_can_not_be(value: object) -> None:
    with pytest.raises(
        RequestError, match=rf"^instances={re.escape(repr(value))}: .*at least 1.*socket.*core"
    ):
        splitting.check(value, None)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "2"])
def test_cores_per_instance_that_can_not_be(value: object) -> None:
    with pytest.raises(
        RequestError, match=rf"^cores_per_instance={value!r}: .*at least 1, or None"
    ):
        splitting.check(2, value)


@pytest.mark.parametrize(
    ("instances", "size", "said"),
    [
        (9, None, "instances=9: .*8 physical cores (CPUs 0-7).*8 or fewer"),
        (5, 2, "instances=5, cores_per_instance=2: .*8 physical cores (CPUs 0-7).*4 or fewer"),
        (None, 9, "cores_per_instance=9: .*8 physical cores (CPUs 0-7).*8 or fewer cores each"),
        ("socket", 5, "cores_per_instance=5: .*instances='socket'.*4 usable physical cores"),
        ("core", 2, "cores_per_instance=2: .*instances='core'.*1 usable physical core"),
    ],
)
def test_more_than_there_is(
    instances: splitting.Instances | None, size: int | None, said: str
) -> None:
    here = machine()
    with pytest.raises(BindingError, match=re.sub(r"([()])", r"\\\1", f"^{said}$")):
        splitting.split(here, here.usable, instances, size)


@given(
    machine=st.builds(
        machine, st.integers(1, 4), st.integers(1, 12), st.integers(1, 2), st.sampled_from([1, 2])
    ),
    instances=st.one_of(st.none(), st.integers(1, 20), st.sampled_from(["socket", "node", "core"])),
    size=st.one_of(st.none(), st.integers(1, 12)),
)
def test_parts_are_disjoint_whole_cores_of_one_size(
    machine: Topology, instances: splitting.Instances | None, size: int | None
) -> None:
    try:
        parts = splitting.split(machine, machine.usable, instances, size)
    except BindingError:
        return
    cpus = [cpu for part in parts for cpu in part]
    assert len(cpus) == len(set(cpus)) and set(cpus) <= set(machine.usable)
    cores = [machine.cores(part) for part in parts]
    assert {core for part in cores for core in part} <= set(machine.cores())
    if isinstance(instances, int):
        assert len(parts) == instances and len({len(part) for part in cores}) == 1
    if size is not None:
        assert {len(part) for part in cores} == {size}


def test_together_has_the_cpus_of_all_and_says_what_stays_idle() -> None:
    here = machine()
    whole = placement.choose(here)
    each = [placement.choose(here, cpus=part) for part in splitting.split(here, here.usable, 3)]
    joined = splitting.together(here, whole, each)
    assert joined.cpus == (0, 1, 2, 3, 4, 5) and joined.numa_nodes == (0, 1)
    assert (joined.inter_threads, joined.intra_threads) == (1, 2)
    assert joined.warnings == ("2 of 8 physical cores stay idle beside 3 instances",)
    assert [one.numa_nodes for one in each] == [(0,), (0,), (1,)]
