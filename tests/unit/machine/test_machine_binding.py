import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelzoo_runner.errors import BindingError, MissingDependency
from modelzoo_runner.machine import binding
from modelzoo_runner.machine.binding import (
    Binding,
    ReadBack,
    Thread,
    bound,
    numactl_prefix,
    read_back,
)
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.values.plan import Placement

USABLE = sorted(os.sched_getaffinity(0))


def placement(*cpus, **more):
    return Placement(cpus=cpus, inter_threads=1, intra_threads=1, **more)


def affinities():
    found = {}
    for path in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            found[int(path.name)] = os.sched_getaffinity(int(path.name))
    return found


def assert_as_before(before):
    """A thread that has been joined may still be listed for a moment, so the lists may differ."""
    for thread, cpus in affinities().items():
        assert cpus == before.get(thread, set(USABLE))


@pytest.fixture
def idle_thread():
    """A thread that exists before anything is bound."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread
    end.set()
    thread.join()


@pytest.fixture
def one_of_several():
    if len(USABLE) < 2:
        pytest.skip("this process may use one CPU only, so binding it to one changes nothing")
    return USABLE[-1]


def test_every_thread_is_moved_and_goes_back(one_of_several, idle_thread):
    before = affinities()
    with bound(placement(one_of_several)) as binding:
        assert binding.moved >= 2
        assert binding.warnings == ()
        assert set(map(tuple, affinities().values())) == {(one_of_several,)}
        assert read_back(binding.placement).warnings == ()
    assert_as_before(before)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_restored_after_a_failed_and_an_interrupted_run(one_of_several, idle_thread, error):
    before = affinities()
    with pytest.raises(error), bound(placement(one_of_several)):
        raise error
    assert_as_before(before)


def test_a_thread_started_meanwhile_gets_the_callers_cpus(one_of_several):
    before = os.sched_getaffinity(0)
    end = threading.Event()
    with bound(placement(one_of_several)):
        thread = threading.Thread(target=end.wait)
        thread.start()
        assert os.sched_getaffinity(thread.native_id) == {one_of_several}
    assert os.sched_getaffinity(thread.native_id) == before
    end.set()
    thread.join()


def test_a_thread_with_cpus_of_its_own_gets_those_back(one_of_several, idle_thread):
    os.sched_setaffinity(idle_thread.native_id, {USABLE[0]})
    with bound(placement(one_of_several)):
        assert os.sched_getaffinity(idle_thread.native_id) == {one_of_several}
    assert os.sched_getaffinity(idle_thread.native_id) == {USABLE[0]}


def test_a_thread_may_end_meanwhile(one_of_several):
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    with bound(placement(one_of_several)):
        end.set()
        thread.join()
    assert os.sched_getaffinity(0) == set(USABLE)


def test_from_a_thread_the_whole_process_is_moved_and_goes_back(one_of_several):
    before = affinities()
    within = {}

    def run():
        with bound(placement(one_of_several)):
            within.update(affinities())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert threading.main_thread().native_id in within and thread.native_id in within
    assert set(map(tuple, within.values())) == {(one_of_several,)}
    assert_as_before(before)


def test_two_runs_at_once_are_refused(one_of_several):
    with bound(placement(one_of_several)):
        with pytest.raises(BindingError) as caught, bound(placement(USABLE[0])):
            pass
        assert os.sched_getaffinity(0) == {one_of_several}
    assert "another run in this process" in str(caught.value)
    with bound(placement(one_of_several)):
        pass  # and free again afterwards
    assert os.sched_getaffinity(0) == set(USABLE)


def test_nothing_is_touched_without_cpus_or_with_another_binding(one_of_several):
    for idle in (
        placement(),
        placement(binding="none"),
        placement(one_of_several, binding="numactl"),
    ):
        with bound(idle) as binding:
            assert binding == Binding(placement=idle)
            assert os.sched_getaffinity(0) == set(USABLE)


def test_cpus_of_which_none_can_be_used():
    with pytest.raises(BindingError) as caught, bound(placement(4095)):
        pass
    assert f"4095: Invalid argument; this process may use {format_cpu_list(USABLE)}" in str(
        caught.value
    )
    assert os.sched_getaffinity(0) == set(USABLE)


def test_cpus_of_which_some_can_be_used():
    asked = placement(USABLE[0], 4095)
    with bound(asked) as binding:
        (warning,) = binding.warnings
    assert f"{USABLE[0]},4095" in warning and f"only {USABLE[0]} of them" in warning
    with (
        pytest.raises(BindingError) as caught,
        bound(dataclasses.replace(asked, strict=True)),
    ):
        pass
    assert str(caught.value) == warning
    assert os.sched_getaffinity(0) == set(USABLE)


def test_a_thread_elsewhere_is_a_mismatch(one_of_several, idle_thread):
    with bound(placement(one_of_several)):
        os.sched_setaffinity(idle_thread.native_id, {USABLE[0]})
        found = read_back(placement(one_of_several))
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(f"asked for CPUs {one_of_several}, but 1 thread (")
    assert found.warnings[0].endswith(f") may run on {USABLE[0]}")


def test_a_memory_policy_that_was_not_taken_is_a_mismatch():
    asked = placement(*USABLE, numa_nodes=(0, 1))
    (warning,) = read_back(asked).warnings
    assert warning.startswith("asked for memory policy bind:0-1, but ")
    assert warning.endswith(" has default")


def test_threads_of_one_name_are_summed_up():
    threads = (
        Thread(id=1, name="python", cpus=(0, 1), memory="default"),
        Thread(id=2, name="tf_Compute", cpus=(0,), memory="bind:0"),
        Thread(id=3, name="tf_Compute", cpus=(1,)),
    )
    assert ReadBack(threads=threads).summary() == {
        "python": {"count": 1, "cpus": ["0-1"], "memory": ["default"]},
        "tf_Compute": {"count": 2, "cpus": ["0", "1"], "memory": ["bind:0", "unknown"]},
    }


def test_numactl_does_the_same(one_of_several):
    if shutil.which("numactl") is None:
        pytest.skip("numactl isn't installed (Debian: numactl)")
    asked = placement(one_of_several, binding="numactl")
    program = "import os; print(sorted(os.sched_getaffinity(0)))"
    out = subprocess.run(
        [*numactl_prefix(asked), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out == f"[{one_of_several}]\n"


def test_numactls_words(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    assert numactl_prefix(placement(0, 1, 2, 8, numa_nodes=(0, 1))) == [
        "/usr/bin/numactl",
        "--physcpubind=0-2,8",
        "--membind=0-1",
    ]
    assert numactl_prefix(placement()) == []


def test_no_numactl(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"binding='numactl': .*apt-get install numactl"):
        numactl_prefix(placement(0))


def test_the_threads_that_work_are_dealt_to_different_cpus() -> None:
    """However many idle threads were started between them."""
    usable = os.sched_getaffinity(0)
    ended = threading.Event()

    def work() -> None:
        while time.thread_time() < 0.1:
            pass
        ended.wait()

    busy = [threading.Thread(target=work) for _ in range(2)]
    idle = [threading.Thread(target=ended.wait) for _ in range(2 * len(usable) - 1)]
    started = [busy[0], *idle, busy[1]]
    for each in started:
        each.start()
    try:
        numbers = [each.native_id or 0 for each in busy]
        while min(map(binding._nanoseconds, numbers)) < 100_000_000:
            time.sleep(0.01)
        with binding.pinned_in_turn(0):
            one, other = (os.sched_getaffinity(number) for number in numbers)
        assert one != other or len(usable) == 1
        assert all(binding._nanoseconds(each.native_id or 0) < 100_000_000 for each in idle)
    finally:
        ended.set()
        for each in started:
            each.join()


def test_threads_are_dealt_to_the_cpus_in_turn_and_may_use_all_of_them_afterwards() -> None:
    usable = os.sched_getaffinity(0)
    ended = threading.Event()
    threads = [threading.Thread(target=ended.wait) for _ in range(4)]
    for each in threads:
        each.start()
    try:
        numbers = [each.native_id or 0 for each in threads]
        with binding.pinned_in_turn(1):
            dealt = [os.sched_getaffinity(number) for number in numbers]
        assert all(len(cpus) == 1 and cpus <= usable for cpus in dealt)
        assert set.union(*dealt) == usable or len(usable) > len(numbers)
        assert [os.sched_getaffinity(number) for number in numbers] == [usable] * 4
    finally:
        ended.set()
        for each in threads:
            each.join()
