"""Bind this process to CPUs and NUMA nodes, verify it, and restore what was before.

A thread inherits its CPUs from the one that starts it, so what is set before TensorFlow starts its
threads reaches them all. Threads that exist already are moved one by one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import BindingError, MissingDependency
from modelzoo_runner.machine import memory
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.values.plan import Placement
from modelzoo_runner.values.words import counted

logger = logging.getLogger("modelzoo_runner")

_in_use = threading.Lock()
"""Held while this process is bound: two runs at once would restore each other's state."""


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How many threads were moved, and warnings on what couldn't be set."""

    placement: Placement
    moved: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A thread of this process as the kernel sees it now.

    `memory` is its memory policy in the kernel's words (`default`, `bind:0`), `None` if not told.
    """

    id: int
    name: str
    cpus: tuple[int, ...]
    memory: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """The threads found after a run, and warnings where they differ from the placement."""

    threads: tuple[Thread, ...]
    warnings: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Thread name -> count, CPUs and memory policies, as JSON values."""
        found: dict[str, Any] = {}
        for name in dict.fromkeys(thread.name for thread in self.threads):
            alike = [thread for thread in self.threads if thread.name == name]
            found[name] = {
                "count": len(alike),
                "cpus": sorted({format_cpu_list(thread.cpus) for thread in alike}),
                "memory": sorted({thread.memory or "unknown" for thread in alike}),
            }
        return found


@contextlib.contextmanager
def bound(placement: Placement) -> Iterator[Binding]:
    """Bind this process to the placement's CPUs and NUMA nodes; on leaving, restore every thread.

    Threads started meanwhile get the CPUs that the calling thread had. The memory policy is set for
    the calling thread and those it starts. With `binding="numactl"` the process was started bound,
    and nothing is set.

    Raises:
        BindingError: none of the CPUs may be used; a NUMA node doesn't exist; another run in this
            process is bound; with `placement.strict` also what would be a warning.
    """
    if placement.binding != "sched_setaffinity":
        yield Binding(placement=placement)
        return
    if not _in_use.acquire(blocking=False):
        raise BindingError(
            "another run in this process is under way, and two at once would move and disturb each "
            "other: run them one after the other"
        )
    before: dict[int, set[int]] = {}
    try:
        warnings = _bind(placement, before) if placement.cpus else ()
        with memory.bound_memory(placement.numa_nodes, strict=placement.strict) as refused:
            yield Binding(placement=placement, moved=len(before), warnings=warnings + refused)
    finally:
        try:
            _restore(before)
        finally:
            _in_use.release()


@contextlib.contextmanager
def pinned_in_turn(first: int, since: Mapping[int, int] | None = None) -> Iterator[None]:
    """Pin each thread of this process to one of its CPUs, in turn from the `first` on, and those
    that have worked the most before the others; on leaving, each may use all of its CPUs again.

    What counts is the work since the given `cpu_times`, by default since the threads were started.

    On a busy machine the scheduler leaves threads where they ran last, so one process can keep the
    less busy CPUs for seconds; and it takes some 0.1 s to part two that were woken on one CPU.
    """
    worked = {number: taken - (since or {}).get(number, 0) for number, taken in cpu_times().items()}
    numbers = sorted(worked, key=lambda number: -worked[number])
    before = {number: os.sched_getaffinity(number) for number in numbers}
    for place, (number, allowed) in enumerate(before.items(), first):
        cpus = sorted(allowed)
        with contextlib.suppress(OSError):  # a thread that ended in between
            os.sched_setaffinity(number, {cpus[place % len(cpus)]})
    try:
        yield
    finally:
        _restore(before)


def read_back(placement: Placement) -> ReadBack:
    """Each thread of this process with its CPUs and memory policy, compared with the placement."""
    found = tuple(threads())
    asked = set(placement.cpus)
    elsewhere = [each for each in found if asked and not set(each.cpus) <= asked]
    warnings = [
        f"asked for CPUs {format_cpu_list(asked)}, but {_named(group)} may run on {cpus}"
        for cpus, group in _grouped((format_cpu_list(each.cpus), each) for each in elsewhere)
    ]
    if placement.numa_nodes:
        policy = f"bind:{format_cpu_list(placement.numa_nodes)}"
        others = [each for each in found if each.memory not in (policy, None)]
        warnings += [
            f"asked for memory policy {policy}, but {_named(group)} has {found}"
            for found, group in _grouped((each.memory or "", each) for each in others)
        ]
    return ReadBack(threads=found, warnings=tuple(warnings))


def too_late(placement: Placement) -> str | None:
    """Why the memory policy would miss TensorFlow's threads in this process, or `None`.

    They keep the policy that was in force when they were started; no other thread can change it.
    """
    nodes = format_cpu_list(placement.numa_nodes)
    wanted = f"bind:{nodes}" if nodes else memory.policy_of_thread(threading.get_native_id())
    have = {each.memory for each in threads() if each.name.startswith("tf_")} - {wanted, None}
    if placement.binding == "none" or not have:
        return None
    return (
        "TensorFlow's threads were started here with the memory policy "
        f"{', '.join(sorted(map(str, have)))}, which can't become {wanted}"
    )


def numactl_prefix(placement: Placement) -> list[str]:
    """The `numactl` command to put before a child's command; empty if there is nothing to bind.

    Raises:
        MissingDependency: there is no such program here.
    """
    program = shutil.which("numactl")
    if program is None:
        raise MissingDependency(
            "binding='numactl': there is no program numactl on PATH. Install the system's package "
            "numactl (Debian, Ubuntu: apt-get install numactl), or leave binding= away: the "
            "default needs no program"
        )
    words = [program]
    if placement.cpus:
        words.append(f"--physcpubind={format_cpu_list(placement.cpus)}")
    if placement.numa_nodes:
        words.append(f"--membind={format_cpu_list(placement.numa_nodes)}")
    return words if len(words) > 1 else []


def _bind(placement: Placement, before: dict[int, set[int]]) -> tuple[str, ...]:
    """Move every thread, recording its CPUs in `before`; returns warnings."""
    asked = set(placement.cpus)
    try:
        _move(asked, before)
    except OSError as error:
        raise BindingError(
            f"CPUs {format_cpu_list(asked)}: {error.strerror}; this process may use "
            f"{format_cpu_list(os.sched_getaffinity(0))}"
        ) from None
    got = os.sched_getaffinity(0)
    if got == asked:
        return ()
    partly = (
        f"CPUs {format_cpu_list(asked)} were asked for; this process may use only "
        f"{format_cpu_list(got)} of them"
    )
    if placement.strict:
        raise BindingError(partly)
    return (partly,)


def _move(cpus: Collection[int], before: dict[int, set[int]]) -> None:
    while new := [thread for thread in _thread_ids() if thread not in before]:
        for thread in new:
            try:
                before[thread] = os.sched_getaffinity(thread)
                os.sched_setaffinity(thread, cpus)
            except ProcessLookupError:
                before[thread] = set()  # it has ended meanwhile


def _restore(before: dict[int, set[int]]) -> None:
    if not before:
        return
    own = before.get(threading.get_native_id(), set())
    for thread in _thread_ids():
        try:
            os.sched_setaffinity(thread, before.get(thread) or own)
        except ProcessLookupError:
            continue
        except OSError as error:
            logger.warning("thread %d can't go back to its CPUs: %s", thread, error.strerror)


def _thread_ids() -> list[int]:
    return sorted(int(path.name) for path in Path("/proc/self/task").iterdir())


def cpu_times() -> dict[int, int]:
    """The CPU time of each thread of this process in nanoseconds, by its number."""
    return {number: _nanoseconds(number) for number in _thread_ids()}


def _nanoseconds(thread: int) -> int:
    """The CPU time of a thread; 0 where the system doesn't count it."""
    try:
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return 0


def thread_names() -> dict[int, str]:
    """The names of this process's threads, by id."""
    found = {}
    for thread in _thread_ids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            comm = Path(f"/proc/self/task/{thread}/comm")
            found[thread] = comm.read_text(encoding="utf-8", errors="replace").strip()
    return found


def threads() -> Iterator[Thread]:
    """The threads of this process."""
    for thread, name in thread_names().items():
        try:
            cpus = tuple(sorted(os.sched_getaffinity(thread)))
        except ProcessLookupError:
            continue  # it has ended meanwhile
        yield Thread(id=thread, name=name, cpus=cpus, memory=memory.policy_of_thread(thread))


def _grouped(pairs: Iterable[tuple[str, Thread]]) -> list[tuple[str, list[Thread]]]:
    found: dict[str, list[Thread]] = {}
    for key, thread in pairs:
        found.setdefault(key, []).append(thread)
    return list(found.items())


def _named(threads: list[Thread]) -> str:
    names = ", ".join(sorted({thread.name for thread in threads}))
    return f"{counted(len(threads), 'thread')} ({names})"
