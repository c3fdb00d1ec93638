"""Bind memory to NUMA nodes: the kernel's memory policy of the calling thread.

A thread's policy is inherited by the threads it starts and can't be changed by others, so it has to
be set before TensorFlow starts its threads. Many containers forbid setting one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
from collections.abc import Collection, Iterator
from pathlib import Path

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine.cpulist import format_cpu_list

SYSCALLS = {"x86_64": (238, 239), "aarch64": (237, 236), "riscv64": (237, 236)}
"""The numbers of set_mempolicy and get_mempolicy, from the kernel's tables of system calls. libc
has no function for them, and libnuma, which has, isn't everywhere."""

MPOL_DEFAULT, MPOL_BIND = 0, 2
"""From linux/mempolicy.h: the node of the CPU that touches a page first; some nodes, no other."""

NODES = 1024
"""The most nodes a Linux kernel is built for (CONFIG_NODES_SHIFT is at most 10)."""

Policy = tuple[int, tuple[int, ...]]
"""A mode and its nodes."""


@contextlib.contextmanager
def bound_memory(nodes: Collection[int], *, strict: bool = False) -> Iterator[tuple[str, ...]]:
    """Allocate from `nodes` only; on leaving, restore the thread's policy.

    Yields warnings. Without nodes the policy stays as it is.

    Raises:
        BindingError: a node that doesn't exist; with `strict`, also what would be a warning.
    """
    if not nodes:
        yield ()
        return
    there = _nodes_there()
    if not set(nodes) <= set(there):
        raise BindingError(
            f"NUMA nodes {format_cpu_list(nodes)}: this machine has "
            f"{format_cpu_list(there) or 'none that the kernel tells of'}"
        )
    try:
        before = get_policy()
        set_policy((MPOL_BIND, tuple(nodes)))
    except OSError as error:
        refused = (
            f"memory can't be bound to node {format_cpu_list(nodes)}: {_reason(error)}. It comes "
            "from the node of the CPU that touches it first, which the binding to CPUs makes the "
            "same in most cases"
        )
        if strict:
            raise BindingError(refused) from None
        yield (refused,)
        return
    try:
        yield ()
    finally:
        set_policy(before)


def get_policy() -> Policy:
    """The memory policy of the calling thread.

    Raises:
        OSError: the kernel, or what guards a container, refuses.
    """
    mode = ctypes.c_int()
    mask = (ctypes.c_ulong * (NODES // _BITS))()
    _call(1, ctypes.byref(mode), mask, ctypes.c_ulong(NODES + 1), None, ctypes.c_ulong(0))
    nodes = (node for node in range(NODES) if mask[node // _BITS] >> node % _BITS & 1)
    return mode.value, tuple(nodes)


def set_policy(policy: Policy) -> None:
    """Give the calling thread a memory policy.

    Raises:
        OSError: the kernel, or what guards a container, refuses.
    """
    mode, nodes = policy
    mask = (ctypes.c_ulong * (NODES // _BITS))()
    for node in nodes:
        mask[node // _BITS] |= 1 << node % _BITS
    _call(0, ctypes.c_int(mode), mask if nodes else None, ctypes.c_ulong(NODES + 1 if nodes else 0))


def policy_of_thread(thread: int) -> str | None:
    """The policy of a thread of this process in the kernel's words, as `default` or `bind:0-1`.

    `None` where the kernel doesn't tell.
    """
    # The first mapping will do, and only the mappings that fit in what is read are computed, which
    # takes 0.01 ms for so few bytes and 10 ms for a buffer of the usual size.
    for size in (64, 1 << 16):
        try:
            with Path(f"/proc/self/task/{thread}/numa_maps").open("rb", buffering=0) as file:
                found = file.read(size).split(b" ", 2)
        except OSError:
            return None
        if len(found) == 3:
            return found[1].decode().strip()
    return None


_BITS = 8 * ctypes.sizeof(ctypes.c_ulong)


def _call(which: int, *arguments: object) -> None:
    numbers = SYSCALLS.get(platform.machine())
    if numbers is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(numbers[which]), *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _nodes_there() -> tuple[int, ...]:
    from modelzoo_runner.machine.topology import read

    return tuple(node.id for node in read().memory_nodes)


def _reason(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return "not permitted here, as in most containers"
    if error.errno == errno.ENOSYS:
        return "this kernel or processor has no call for it"
    return f"{error.strerror}"
