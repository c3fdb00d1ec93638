"""How many threads a run gets: the scripts' rule, a preset's departures from it, the call's wishes.

Pure. The rule is told in `placement`; each decision comes with who made it.
"""

from __future__ import annotations

from modelzoo_runner.machine.selection import Pool
from modelzoo_runner.values.options import Goal
from modelzoo_runner.values.preset import Threads

Decision = tuple[int, str]
"""A number, and who decided it."""


def inter_threads(pool: Pool, threads: Threads, asked: int | None) -> Decision:
    """TensorFlow's inter-op threads."""
    if asked is not None:
        return asked, f"argument: num_inter_threads={asked}"
    if threads.inter_threads is not None:
        return threads.inter_threads, f"preset: inter_threads = {threads.inter_threads}"
    if threads.inter_threads_from == "threads_per_core":
        return pool.cpus_per_core, 'preset: inter_threads_from = "threads_per_core"'
    if pool.asked:
        return 1, f"argument: {pool.asked}: 1"
    return pool.sockets, "machine: the number of sockets"


def intra_threads(pool: Pool, threads: Threads, asked: int | None, cores: int) -> Decision:
    """TensorFlow's intra-op threads, for a run on so many `cores`."""
    if asked is not None:
        return asked, f"argument: num_intra_threads={asked}"
    if threads.intra_threads_from == "cores_per_socket":
        why = 'preset: intra_threads_from = "cores_per_socket"'
        if pool.cores_per_socket > cores:
            why += f", which is {pool.cores_per_socket}, but only {cores} CPUs were chosen"
        return min(pool.cores_per_socket, cores), why
    return cores, "machine: one for each CPU chosen"


def openmp_source(threads: Threads, goal: Goal) -> str:
    """What OMP_NUM_THREADS follows; an accuracy run may take it from elsewhere."""
    return (goal == "accuracy" and threads.omp_from_accuracy) or threads.omp_from


def openmp_threads(
    pool: Pool, source: str, *, asked_cores: int | None, intra: int, cpus: int
) -> Decision:
    """OMP_NUM_THREADS, for a run on so many `cpus`; read by OpenMP builds of TensorFlow only."""
    if source == "intra_threads":
        return intra, "machine: as many as intra-op threads"
    count = asked_cores or pool.cores_per_socket
    if source == "logical_cpus":
        count = pool.cores_per_socket * pool.cpus_per_core
    return min(count, cpus), f'preset: omp_from = "{source}"'
