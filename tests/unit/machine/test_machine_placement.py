import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_trees import MACHINES, ZOO, regular, write

from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine.placement import choose
from modelzoo_runner.machine.topology import read
from modelzoo_runner.values import presets
from modelzoo_runner.values.preset import Threads


@pytest.fixture
def machine(tmp_path):
    """A function: the name of a recorded machine -> its topology."""

    def named(name, **process):
        return read(write(MACHINES[name], tmp_path / name), **process)

    return named


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return read(write(ZOO, tmp_path_factory.mktemp("zoo")))


# Intel's launch scripts, release 1.3.1 (= 1.4.1), on the machine that their own tests describe. For
# each preset: inter and intra threads with --socket-id 0, and without; OMP threads with socket 0,
# and without; the same of an accuracy run; OMP threads with --socket-id 0 --num-cores 4.
D = ((1, 28), (2, 56))
SCRIPTS = {
    ("resnet50", "fp32"): (*D, (28, 56), (28, 56), 4),
    ("resnet50", "int8"): (*D, (28, 56), (28, 56), 4),
    ("resnet101", "fp32"): (*D, (28, 56), (28, 56), 4),
    ("resnet101", "int8"): (*D, (28, 28), (28, 28), 4),
    ("inceptionv3", "fp32"): (*D, (28, 56), (28, 56), 4),
    ("inceptionv3", "int8"): (*D, (28, 56), (28, 56), 4),
    ("inceptionv4", "fp32"): ((2, 28), (2, 28), (28, 28), (28, 28), 4),
    ("inceptionv4", "int8"): ((2, 28), (2, 28), (28, 28), (28, 28), 4),
    ("inception_resnet_v2", "fp32"): ((2, 28), (2, 56), (28, 56), (28, 56), 4),
    ("inception_resnet_v2", "int8"): (*D, (28, 56), (28, 56), 4),
    ("faster_rcnn", "fp32"): (*D, (28, 56), (28, 56), 4),
    ("faster_rcnn", "int8"): ((2, 28), (2, 56), (28, 56), (28, 56), 4),
    ("rfcn", "fp32"): (*D, (28, 56), (28, 56), 4),
    ("rfcn", "int8"): (*D, (28, 56), (28, 56), 4),
    ("ssd-mobilenet", "fp32"): ((2, 28), (2, 56), (28, 56), (28, 56), 4),
    ("ssd-mobilenet", "int8"): ((2, 28), (2, 56), (28, 56), (56, 56), 4),
}


@pytest.mark.parametrize(("model", "precision"), SCRIPTS)
def test_the_scripts_rule_row_by_row(zoo, model, precision):
    on_socket, on_machine, omp, omp_accuracy, omp_four = SCRIPTS[model, precision]
    threads = presets.find(model).threads.get(precision, Threads())
    for wish, counts, turn in (({"socket_id": 0}, on_socket, 0), ({}, on_machine, 1)):
        placed = choose(zoo, threads, **wish)
        assert (placed.inter_threads, placed.intra_threads) == counts
        assert placed.env["OMP_NUM_THREADS"] == str(omp[turn])
        scored = choose(zoo, threads, goal="accuracy", **wish)
        assert scored.env["OMP_NUM_THREADS"] == str(omp_accuracy[turn])
        assert placed.warnings == scored.warnings == ()
    four = choose(zoo, threads, socket_id=0, num_cores=4)
    assert four.env["OMP_NUM_THREADS"] == str(omp_four)
    # The one difference: what a script set without regard to --num-cores can't exceed the CPUs,
    # because here --num-cores restricts them.
    assert (four.inter_threads, four.intra_threads) == (on_socket[0], 4)
    assert len(four.cpus) == 4


@pytest.mark.parametrize("unset", [None, -1])
def test_minus_one_is_unset(zoo, unset):
    wishes = dict.fromkeys(
        ("socket_id", "numa_node", "num_cores", "num_inter_threads", "num_intra_threads"), unset
    )
    assert choose(zoo, **wishes) == choose(zoo)


def test_a_socket_is_its_first_cpus_and_its_memory(zoo):
    placed = choose(zoo, socket_id=1)
    assert placed.cpus == tuple(range(28, 56))
    assert placed.numa_nodes == (1,)
    assert placed.why == {
        "cpus": "argument: socket_id=1: all 28 usable physical cores",
        "numa_nodes": "argument: socket_id=1: the nodes of its CPUs",
        "inter_threads": "argument: socket_id=1: 1",
        "intra_threads": "machine: one for each CPU chosen",
        "allocator": "machine: the system's own",
        "env.OMP_NUM_THREADS": "machine: as many as intra-op threads",
        "env.TF_ENABLE_ONEDNN_OPTS": "machine: the library's own default",
    }


def test_no_socket_is_the_whole_machine_one_thread_a_core(zoo):
    placed = choose(zoo)
    assert placed.cpus == tuple(range(56))
    assert placed.numa_nodes == ()
    assert placed.why["cpus"] == "machine: all 56 usable physical cores"
    assert placed.why["inter_threads"] == "machine: the number of sockets"
    assert placed.why["numa_nodes"] == (
        "machine: no socket was asked for, so memory comes from anywhere"
    )


def test_siblings_that_are_neighbours(machine):
    assert choose(machine("zoo_adjacent"), socket_id=0).cpus == tuple(range(0, 56, 2))


def test_a_socket_of_two_nodes_gets_both_memories(machine):
    clustered = machine("clustered")
    assert choose(clustered, socket_id=1).numa_nodes == (2, 3)
    assert choose(clustered, socket_id=1, num_cores=12).numa_nodes == (2,)
    assert choose(clustered, numa_node=3).numa_nodes == (3,)
    assert choose(clustered, numa_node=3).cpus == tuple(range(36, 48))


def test_a_node_without_memory_borrows_the_nearest(machine):
    placed = choose(machine("node_without_memory"), socket_id=1)
    assert placed.numa_nodes == ()
    assert placed.why["numa_nodes"] == "machine: there is one memory only"


def test_of_three_memories_the_nearest_is_borrowed(tmp_path):
    described = regular(sockets=3, cores=2, memory_gib={0: 64, 1: 64, 2: 0})
    assert choose(read(write(described, tmp_path)), socket_id=2).numa_nodes == (1,)


def test_memory_that_may_not_be_used_is_not_asked_for(machine):
    inside = machine("part_of_a_socket")
    placed = choose(inside, socket_id=0)
    assert placed.cpus == (4, 5, 6, 7)
    assert placed.numa_nodes == ()


def test_ids_with_gaps_are_the_kernels(machine):
    assert choose(machine("ids_with_gaps"), socket_id=36).cpus == (16, 18)
    assert choose(machine("ids_with_gaps"), socket_id=36).numa_nodes == (8,)


def test_a_machine_without_numa(machine):
    placed = choose(machine("vm_without_numa"), socket_id=0)
    assert placed.cpus == (0, 1, 2, 3)
    assert placed.numa_nodes == ()


def test_num_cores_restricts_the_cpus_compactly(zoo):
    assert choose(zoo, num_cores=30).cpus == tuple(range(30))
    placed = choose(zoo, socket_id=1, num_cores=2)
    assert placed.cpus == (28, 29)
    assert placed.intra_threads == 2
    assert placed.why["cpus"] == "argument: num_cores=2"


def test_more_cores_than_physical_ones_share(zoo):
    placed = choose(zoo, socket_id=0, num_cores=30)
    assert placed.cpus == (*range(28), 56, 57)
    assert placed.warnings == (
        "num_cores=30: socket_id=0 has 28 usable physical cores, so 2 of the CPUs chosen "
        "share a core with another",
    )


def test_cpus_to_choose_from(zoo):
    placed = choose(zoo, cpus="0-3,56-59")
    assert placed.cpus == (0, 1, 2, 3)
    assert placed.why["cpus"] == "argument: cpus='0-3,56-59': all 4 usable physical cores"
    assert placed.numa_nodes == (0,)
    assert choose(zoo, cpus=[57, 0]).cpus == (0, 57)


def test_logical_cpus_for_openmp_include_the_siblings(zoo):
    threads = Threads(omp_from="logical_cpus")
    placed = choose(zoo, threads, socket_id=0, num_cores=2)
    assert placed.cpus == (0, 1, 56, 57)
    assert placed.intra_threads == 2
    assert placed.env["OMP_NUM_THREADS"] == "4"
    assert placed.why["cpus"] == "argument: num_cores=2, with all CPUs of each core"


IMPOSSIBLE = [
    (
        {"socket_id": 9},
        BindingError,
        "socket_id=9: this machine's sockets are 0-1; usable by this process: CPUs 0-111 on "
        "socket 0-1",
    ),
    (
        {"numa_node": 2},
        BindingError,
        "numa_node=2: this machine's NUMA nodes are 0-1; usable by this process: CPUs 0-111 on "
        "socket 0-1",
    ),
    (
        {"socket_id": 0, "numa_node": 1},
        BindingError,
        "socket_id=0, numa_node=1: no usable CPU is left; usable by this process: CPUs 0-111 on "
        "socket 0-1",
    ),
    (
        {"socket_id": 0, "num_cores": 57},
        BindingError,
        "num_cores=57: socket_id=0 has 56 usable CPUs (0-27,56-83) on 28 physical cores; ask for "
        "28 or fewer",
    ),
    (
        {"num_cores": 10**6},
        BindingError,
        "num_cores=1000000: this process has 112 usable CPUs (0-111) on 56 physical cores; ask "
        "for 56 or fewer",
    ),
    (
        {"cpus": "110-113"},
        BindingError,
        "cpus='110-113': 112-113 can't be used; usable by this process: 0-111",
    ),
    ({"cpus": []}, BindingError, "cpus='': the list is empty; usable by this process: 0-111"),
    (
        {"cpus": "3-1"},
        RequestError,
        "cpus='3-1': the range '3-1' ends before it begins; write '1-3'",
    ),
    (
        {"socket_id": -2},
        RequestError,
        "socket_id=-2: give an id",
    ),
    (
        {"socket_id": "0"},
        RequestError,
        "socket_id='0': give an id",
    ),
    (
        {"socket_id": True},
        RequestError,
        "socket_id=True: give an id",
    ),
    (
        {"num_cores": 0},
        RequestError,
        "num_cores=0: should be a whole number of at least 1",
    ),
    (
        {"num_intra_threads": 0},
        RequestError,
        "num_intra_threads=0: should be a whole number of at least 1",
    ),
    (
        {"num_inter_threads": 10**6},
        RequestError,
        "num_inter_threads=1000000: should be at most 1024",
    ),
    (
        {"num_inter_threads": 1.5},
        RequestError,
        "num_inter_threads=1.5: should be a whole number",
    ),
    ({"num_cores": "4"}, RequestError, "num_cores='4': should be a whole number"),
]


@pytest.mark.parametrize(("wishes", "error", "message"), IMPOSSIBLE)
def test_impossible_wishes(zoo, wishes, error, message):
    with pytest.raises(error) as caught:
        choose(zoo, **wishes)
    assert str(caught.value).startswith(message)


def test_a_socket_of_which_nothing_is_left(machine):
    with pytest.raises(BindingError) as caught:
        choose(machine("part_of_a_socket"), socket_id=1)
    assert re.search("socket_id=1: .*usable .*CPUs 4-7,60-63 on socket 0", str(caught.value))


def test_oversubscription_is_a_warning_and_with_strict_an_error(zoo):
    wishes = {"num_cores": 1, "num_inter_threads": 2, "num_intra_threads": 3}
    placed = choose(zoo, **wishes)
    assert (placed.inter_threads, placed.intra_threads) == (2, 3)
    assert placed.env["OMP_NUM_THREADS"] == "3"
    assert placed.warnings == (
        "oversubscribed: num_inter_threads=2 on 1 CPU",
        "oversubscribed: num_intra_threads=3 on 1 CPU",
    )
    with pytest.raises(BindingError) as caught:
        choose(zoo, strict=True, **wishes)
    assert str(caught.value) == "; ".join(placed.warnings)


def test_the_default_keeps_within_the_quota(machine):
    placed = choose(machine("quota"))
    assert placed.cpus == (0, 1)
    assert placed.intra_threads == 2
    assert placed.why["cpus"] == (
        "machine: 2 of 56 usable physical cores, since the CPU quota is 2.5"
    )
    assert placed.warnings == ()


def test_more_threads_than_the_quota_feeds(machine):
    (warning,) = choose(machine("quota"), num_cores=4).warnings
    assert "2.5 CPUs" in warning and "4 busy threads: the run will be throttled" in warning


def test_less_than_one_cpu_of_time(machine):
    half = dataclasses.replace(machine("quota"), quota=0.5)
    placed = choose(half)
    assert placed.cpus == (0,)
    (warning,) = placed.warnings
    assert "0.5 CPUs" in warning and "1 busy thread: the run will be throttled" in warning


PRESET_ENV = {"KMP_BLOCKTIME": "1", "KMP_SETTINGS": "1"}


def test_variables_argument_before_process_before_preset(zoo):
    placed = choose(
        zoo,
        Threads(),
        PRESET_ENV,
        socket_id=0,
        environ={"KMP_BLOCKTIME": "30", "KMP_SETTINGS": "", "KMP_AFFINITY": "none"},
        env={"KMP_SETTINGS": "0", "TF_ENABLE_ONEDNN_OPTS": "1"},
    )
    assert placed.env == {
        "OMP_NUM_THREADS": "28",
        "KMP_BLOCKTIME": "30",
        "KMP_SETTINGS": "0",
        "TF_ENABLE_ONEDNN_OPTS": "1",
    }
    assert {name: why for name, why in placed.why.items() if name.startswith("env.")} == {
        "env.OMP_NUM_THREADS": "machine: as many as intra-op threads",
        "env.KMP_BLOCKTIME": "environment: set in the process (else 1; preset: env)",
        "env.KMP_SETTINGS": "argument: env['KMP_SETTINGS']",
        "env.TF_ENABLE_ONEDNN_OPTS": "argument: env['TF_ENABLE_ONEDNN_OPTS']",
    }


def test_onednn_is_on_unless_somebody_says_otherwise(zoo):
    assert choose(zoo).env["TF_ENABLE_ONEDNN_OPTS"] == "1"
    off = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    assert choose(zoo, environ=off).env["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert choose(zoo, Threads(), off).env["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert choose(zoo, env=off).env["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_the_users_own_openmp_threads_win_and_the_difference_is_told(zoo):
    placed = choose(zoo, socket_id=0, environ={"OMP_NUM_THREADS": "4"})
    assert placed.env["OMP_NUM_THREADS"] == "4"
    assert placed.why["env.OMP_NUM_THREADS"] == (
        "environment: set in the process (else 28; machine: as many as intra-op threads)"
    )
    assert placed.warnings == (
        "OMP_NUM_THREADS=4 is set in this process and there are 28 intra-op threads: a TensorFlow "
        "built with OpenMP takes the former, any other the latter",
    )
    overruled = choose(
        zoo, socket_id=0, environ={"OMP_NUM_THREADS": "4"}, env={"OMP_NUM_THREADS": "28"}
    )
    assert overruled.warnings == ()


def test_openmp_threads_beyond_the_cpus(zoo):
    placed = choose(zoo, num_cores=2, env={"OMP_NUM_THREADS": "8"})
    assert placed.warnings == ("oversubscribed: OMP_NUM_THREADS=8 on 2 CPUs",)


@pytest.mark.parametrize(
    ("asked", "wish", "found", "got", "why"),
    [
        (None, None, None, "system", "machine: the system's own"),
        (None, "tcmalloc", None, "tcmalloc", 'preset: allocator = "tcmalloc"'),
        (None, "tcmalloc", ["tcmalloc"], "tcmalloc", 'preset: allocator = "tcmalloc"'),
        ("jemalloc", "tcmalloc", [], "jemalloc", "argument: allocator='jemalloc'"),
        ("system", "tcmalloc", [], "system", "argument: allocator='system'"),
    ],
)
def test_who_decides_the_allocator(zoo, asked, wish, found, got, why):
    placed = choose(zoo, Threads(allocator=wish), allocator=asked, allocators=found)
    assert (placed.allocator, placed.why["allocator"]) == (got, why)
    assert placed.warnings == ()


def test_an_allocator_that_only_the_preset_wished_for(zoo):
    placed = choose(zoo, Threads(allocator="tcmalloc"), allocators=["jemalloc"])
    assert placed.allocator == "system"
    assert placed.why["allocator"] == (
        'machine: tcmalloc isn\'t installed (preset: allocator = "tcmalloc")'
    )
    assert placed.warnings == (
        "tcmalloc, which the preset asks for, isn't installed: the system's malloc is used",
    )


def test_without_binding_only_the_threads_are_chosen(zoo):
    placed = choose(zoo, socket_id=1, num_cores=4, binding="none")
    assert placed.cpus == placed.numa_nodes == ()
    assert placed.intra_threads == 4
    assert placed.why["cpus"] == placed.why["numa_nodes"] == "argument: binding='none'"


@given(
    machine=st.sampled_from(sorted(MACHINES)),
    wishes=st.fixed_dictionaries(
        {},
        optional={
            "socket_id": st.integers(-2, 3),
            "num_cores": st.integers(-2, 130),
            "num_inter_threads": st.integers(-2, 2000),
            "num_intra_threads": st.integers(-2, 2000),
            "goal": st.sampled_from(["throughput", "latency", "accuracy"]),
        },
    ),
    data=st.data(),
)
@settings(max_examples=150)
def test_any_wish_is_placed_within_the_usable_cpus_or_refused(
    tmp_path_factory, machine, wishes, data
):
    if machine not in recorded:
        recorded[machine] = read(write(MACHINES[machine], tmp_path_factory.mktemp("machine")))
    topology = recorded[machine]
    affinity = data.draw(st.sets(st.sampled_from(topology.usable), min_size=1))
    topology = topology.restricted(affinity)
    try:
        placed = choose(topology, **wishes)
    except (BindingError, RequestError) as error:
        assert any(f"{name}={value}" in str(error) for name, value in wishes.items())
        return
    assert placed.cpus
    assert set(placed.cpus) <= affinity
    assert placed.inter_threads >= 1
    assert placed.intra_threads >= 1
    if wishes.get("num_cores", -1) > 0:
        assert len(placed.cpus) == wishes["num_cores"]
    if len(placed.cpus) <= len(topology.cores()) and not placed.warnings:
        assert len(topology.cores(placed.cpus)) == len(placed.cpus)


recorded = {}
