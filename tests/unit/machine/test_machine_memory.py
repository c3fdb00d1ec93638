import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import seccomp_filter

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine import memory
from modelzoo_runner.machine.memory import bound_memory, get_policy, policy_of_thread
from modelzoo_runner.machine.topology import read

HERE = Path(seccomp_filter.__file__).parent


@pytest.fixture
def node():
    """A node that memory can be bound to here."""
    nodes = [each.id for each in read().memory_nodes if each.memory_bytes]
    if not nodes:
        pytest.skip("this kernel tells of no NUMA nodes")
    try:
        memory.set_policy(get_policy())
    except OSError as error:
        pytest.skip(f"memory policies are refused here: {error}")
    return nodes[0]


def test_memory_is_bound_and_the_policy_is_restored(node):
    before = get_policy()
    with bound_memory([node]) as warnings:
        assert warnings == ()
        assert get_policy() == (memory.MPOL_BIND, (node,))
        assert policy_of_thread(threading.get_native_id()) == f"bind:{node}"
        started = {}
        child = threading.Thread(target=lambda: started.update(policy=get_policy()))
        child.start()
        child.join()
        assert started["policy"] == (memory.MPOL_BIND, (node,))
    assert get_policy() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_restored_after_a_failed_and_an_interrupted_run(node, error):
    before = get_policy()
    with pytest.raises(error), bound_memory([node]):
        raise error
    assert get_policy() == before


def test_another_policy_than_the_default_is_restored_too(node):
    with bound_memory([node]):
        within = get_policy()
        with bound_memory([node]):
            pass
        assert get_policy() == within


def test_no_nodes_is_no_policy():
    before = get_policy()
    with bound_memory([]) as warnings:
        assert warnings == ()
        assert get_policy() == before


def test_a_node_that_is_not_there():
    there = ",".join(str(each.id) for each in read().memory_nodes)
    if there not in ("0", "0,1"):
        pytest.skip(f"written for a machine with one or two NUMA nodes, and here are {there!r}")
    with pytest.raises(BindingError) as caught, bound_memory([0, 63]):
        pass
    assert str(caught.value).startswith("NUMA nodes 0,63: ")
    assert str(caught.value).endswith(" 0" if there == "0" else " 0-1")


REFUSED = """
import sys
sys.path.insert(0, {here!r})
from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine import memory
from seccomp_filter import forbid

forbid(memory.SYSCALLS[{machine!r}][0], {errno})
with memory.bound_memory([0]) as warnings:
    print(*warnings, sep="\\n")
try:
    with memory.bound_memory([0], strict=True):
        print("never")
except BindingError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("errno", "reason"),
    [
        (1, "not permitted here, as in most containers"),
        (38, "this kernel or processor has no call for it"),
        (22, "Invalid argument"),
    ],
)
def test_where_it_is_refused_the_fallback_is_stated(node, errno, reason):
    machine = platform.machine()
    program = REFUSED.format(here=str(HERE), machine=machine, errno=errno)
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if "prctl" in child.stderr:
        pytest.skip("system calls can't be filtered here")
    warning, error = child.stdout.splitlines()
    assert warning == error and f"can't be bound to node 0: {reason}. " in warning


def test_a_processor_whose_calls_are_not_known(monkeypatch):
    monkeypatch.setattr(memory, "SYSCALLS", {})
    with bound_memory([0]) as warnings:
        (warning,) = warnings
    assert "this kernel or processor has no call for it" in warning


def test_a_thread_that_is_not_there():
    assert policy_of_thread(1) is None
