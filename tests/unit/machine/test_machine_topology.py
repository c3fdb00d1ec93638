import os
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_trees import CGROUP2, MACHINES, ZOO, Cpu, Machine, regular, write

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.machine.topology import read


@pytest.fixture(params=MACHINES)
def machine(request, tmp_path):
    return MACHINES[request.param], write(MACHINES[request.param], tmp_path)


def test_every_cpu_is_where_the_description_put_it(machine):
    described, root = machine
    found = read(root)
    online = [cpu for cpu in described.cpus if cpu.id not in described.offline]
    assert [cpu.id for cpu in found.cpus] == [cpu.id for cpu in online]
    for cpu in online:
        siblings = [
            each.id for each in online if (each.socket, each.core) == (cpu.socket, cpu.core)
        ]
        here = found.cpu(cpu.id)
        assert (here.socket, here.node, here.core) == (cpu.socket, cpu.node, min(siblings))
    assert found.offline == described.offline
    assert [node.id for node in found.memory_nodes] == list(described.memory_gib)
    assert [node.memory_bytes for node in found.memory_nodes] == [
        gib * 2**30 for gib in described.memory_gib.values()
    ]


def test_hwloc_reads_the_same_from_the_same_tree(machine):
    described, root = machine
    if shutil.which("hwloc-ls") is None:
        pytest.skip("hwloc-ls isn't installed (Debian: hwloc-nox), so nothing to compare with")
    found = read(root)
    cpus, nodes, allowed = ask_hwloc(root)
    for cpu in found.cpus:
        package, core = cpus[cpu.id]
        assert (cpu.socket, cpu.core) == (package, min(core))
    if described.memory_gib:  # hwloc makes a node up where there is none
        assert {id: memory for id, (memory, _) in nodes.items()} == {
            node.id: node.memory_bytes for node in found.memory_nodes
        }
        for node in found.memory_nodes:
            if node.cpus:  # hwloc gives a node without CPUs those of its nearest
                assert nodes[node.id][1] == set(node.cpus)
    assert allowed == set(found.usable)


def ask_hwloc(root):
    """From hwloc: {CPU: (package, CPUs of its core)}, {node: (bytes, CPUs)}, CPUs allowed."""
    settings = {"HWLOC_FSROOT": str(root), "HWLOC_COMPONENTS": "linux,stop"}
    xml = subprocess.run(
        ["hwloc-ls", "--no-io", "--no-caches", "--whole-system", "--of", "xml"],
        env=os.environ | settings | {"HWLOC_THISSYSTEM": "0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    tree = ElementTree.fromstring(xml)
    cpus, nodes = {}, {}
    for package in tree.iter("object"):
        if package.get("type") == "Package":
            for core in package.iter("object"):
                if core.get("type") == "Core":
                    members = [
                        int(unit.get("os_index"))
                        for unit in core.iter("object")
                        if unit.get("type") == "PU"
                    ]
                    cpus |= {each: (int(package.get("os_index")), members) for each in members}
        if package.get("type") == "NUMANode":
            memory = int(package.get("local_memory", "0"))
            nodes[int(package.get("os_index"))] = (memory, unmask(package.get("cpuset")))
    return cpus, nodes, unmask(next(tree.iter("object")).get("allowed_cpuset"))


def unmask(text):
    bits = 0
    for word in text.split(","):
        bits = bits << 32 | int(word or "0", 16)
    return {cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1}


def test_the_zoos_machine(tmp_path):
    found = read(write(ZOO, tmp_path))
    assert found.sockets == (0, 1)
    assert len(found.cores()) == 56
    assert found.cores()[0] == (0, 56)
    assert len(found.on_socket(1)) == 56
    assert found.on_node(1) == found.on_socket(1)
    assert found.memory_nodes[0].distances == ((0, 10), (1, 20))


def test_affinity_and_control_group_both_bind(tmp_path):
    found = read(write(MACHINES["part_of_a_socket"], tmp_path), affinity=range(5, 60))
    assert found.usable == (5, 6, 7)
    assert found.cores() == ((5,), (6,), (7,))
    assert found.usable_sockets == (0,)
    assert found.memory_nodes_allowed == (0,)


def test_the_smallest_quota_of_all_parents_binds(tmp_path):
    assert read(write(MACHINES["quota"], tmp_path)).quota == 2.5


def test_no_cpu_left_says_what_excludes_what(tmp_path):
    root = write(MACHINES["part_of_a_socket"], tmp_path)
    excluded = "online '0-111', affinity '0-1', control group '4-7,60-63'"
    with pytest.raises(BindingError, match=excluded):
        read(root, affinity=[0, 1])


def test_a_smaller_part_of_the_same_machine(tmp_path):
    found = read(write(ZOO, tmp_path))
    part = found.restricted([0, 1, 56])
    assert part.usable == (0, 1, 56)
    assert part.cpus == found.cpus
    assert part.restricted([56]).usable == (56,)


@pytest.mark.parametrize(
    ("cpus", "message"),
    [
        ([0, 112], "^cpus='0,112': 112 .*usable by this process: 0-111$"),
        ([], "^cpus='': .*empty; usable by this process: 0-111$"),
    ],
)
def test_a_part_that_is_not_there(tmp_path, cpus, message):
    found = read(write(ZOO, tmp_path))
    with pytest.raises(BindingError, match=message):
        found.restricted(cpus)


def test_without_lists_the_folders_are_counted(tmp_path):
    root = write(regular(cores=4, numa=False), tmp_path)
    for name in ("online", "present", "possible", "offline"):
        (root / "sys/devices/system/cpu" / name).unlink()
    (root / "sys/devices/system/cpu/cpu2/online").write_text("0\n")
    (root / "sys/devices/system/cpu/cpu0/online").unlink()
    assert [cpu.id for cpu in read(root).cpus] == [0, 1, 3]


def test_a_sandbox_without_sys_is_one_socket_and_says_so(tmp_path):
    found = read(tmp_path, affinity=[0, 1, 5])
    assert found.usable == (0, 1, 5)
    assert found.cores() == ((0,), (1,), (5,))
    assert found.sockets == (0,)
    (note,) = found.notes
    assert note.endswith("can't be read: each usable CPU is taken for a core of one socket")
    assert note in str(found)


def test_firmware_that_does_not_know_its_sockets(tmp_path):
    machine = Machine(cpus=tuple(Cpu(id=id, socket=0, core=id) for id in range(2)))
    root = write(machine, tmp_path)
    for id in range(2):
        path = root / f"sys/devices/system/cpu/cpu{id}/topology/physical_package_id"
        path.write_text("-1\n")
    assert read(root).sockets == (0,)


def test_an_older_kernel_has_only_the_older_names(tmp_path):
    root = write(regular(cores=2, threads=2), tmp_path)
    for path in root.glob("sys/devices/system/cpu/cpu*/topology/core_cpus*"):
        path.unlink()
    assert read(root).cores() == ((0, 2), (1, 3))


def test_the_real_machine_is_the_one_this_process_may_use():
    found = read()
    assert set(found.usable) == os.sched_getaffinity(0)
    if shutil.which("lscpu"):
        out = subprocess.run(
            ["lscpu", "--parse=CPU,SOCKET"], capture_output=True, text=True, check=True
        ).stdout
        theirs = [line.split(",") for line in out.splitlines() if not line.startswith("#")]
        assert {int(cpu) for cpu, _ in theirs} == {cpu.id for cpu in found.cpus}
        assert len({socket for _, socket in theirs}) == len(found.sockets)


def test_a_process_bound_to_one_cpu_sees_one():
    cpu = min(os.sched_getaffinity(0))
    out = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os; os.sched_setaffinity(0, [{cpu}]);"
            "from modelzoo_runner.machine.topology import read; print(read().usable)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out == f"({cpu},)\n"


def test_table_and_picture(tmp_path):
    machine = regular(
        sockets=2,
        cores=2,
        threads=2,
        offline=(7,),
        memory_gib={0: 64, 1: 0, 2: 8},
        cgroup="0::/box",
        mountinfo=CGROUP2,
        files={
            "sys/fs/cgroup/box/cpuset.cpus.effective": "0-3",
            "sys/fs/cgroup/box/cpu.max": "150000 100000",
        },
    )
    assert str(read(write(machine, tmp_path))) == (
        "sockets         2 (0-1)\n"
        "physical cores  4 of 1 or 2 CPUs each\n"
        "NUMA nodes      3: 0 (64 GiB), 1 (no memory), 2 (8 GiB, no CPUs)\n"
        "CPUs online     7 (0-6)\n"
        "CPUs offline    1 (7)\n"
        "affinity        0-6\n"
        "control group   0-3\n"
        "CPU time        1.5 CPUs at most\n"
        "usable here     4 CPUs (0-3) on 4 physical cores\n"
        "\n"
        "socket 0, NUMA node 0\n"
        "  [0 .] [1 .]\n"
        "socket 1, NUMA node 1\n"
        "  [2 .] [3]\n"
        "[ ] is a physical core, a number in it a CPU, a dot one that this process may not use"
    )


@given(
    sockets=st.integers(1, 4),
    cores=st.integers(1, 8),
    threads=st.integers(1, 4),
    siblings=st.sampled_from(["split", "adjacent"]),
    data=st.data(),
)
@settings(max_examples=30)
def test_cores_are_a_partition_of_the_usable_cpus(
    tmp_path_factory, sockets, cores, threads, siblings, data
):
    machine = regular(sockets=sockets, cores=cores, threads=threads, siblings=siblings)
    every = [cpu.id for cpu in machine.cpus]
    affinity = data.draw(st.sets(st.sampled_from(every), min_size=1))
    found = read(write(machine, tmp_path_factory.mktemp("machine")), affinity=affinity)
    assert sorted(cpu for core in found.cores() for cpu in core) == sorted(affinity)
    for core in found.cores():
        assert len({found.cpu(cpu).core for cpu in core}) == 1
        assert len(core) <= threads
    assert format_cpu_list(affinity) in str(found)
