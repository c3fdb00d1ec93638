"""Which CPUs a run gets, how many threads, and which environment variables. Pure.

The default is the rule of Intel's launch scripts (`base_model_init.py`, release 1.4.1): on one
socket, 1 inter-op thread and as many intra-op threads as the socket has physical cores; on the
whole machine, one inter-op thread per socket and as many intra-op threads as there are physical
cores. A preset may depart from it (`preset.Threads`), an argument overrules both. There are two
deliberate differences: `num_cores` restricts the CPUs (there it only set the thread count), and
only the CPUs that this process may use are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from modelzoo_runner.errors import BindingError, RequestError
from modelzoo_runner.machine import selection
from modelzoo_runner.machine.selection import Pool
from modelzoo_runner.machine.topology import Topology
from modelzoo_runner.values import validate
from modelzoo_runner.values.options import Allocator, Binding, Goal
from modelzoo_runner.values.plan import Placement
from modelzoo_runner.values.preset import Threads
from modelzoo_runner.values.words import counted

Decision = tuple[int, str]
"""A number of threads, and what decided it."""

NOTHING: Mapping[str, str] = MappingProxyType({})

DEFAULT_ENV: Mapping[str, str] = MappingProxyType({"TF_ENABLE_ONEDNN_OPTS": "1"})
"""The models were published for Intel's builds, which always compute with oneDNN. Stock builds
leave it off on processors without AVX-512 VNNI, AVX-VNNI, BF16 or AMX. There int8 graphs fail, and
MobileNet v1 took 1.4 times as long (TensorFlow 2.21, an AVX2 processor, one thread)."""

DEFAULT_RULE = Threads()


def choose(
    topology: Topology,
    threads: Threads = DEFAULT_RULE,
    preset_env: Mapping[str, str] = NOTHING,
    *,
    goal: Goal = "throughput",
    socket_id: int | None = None,
    numa_node: int | None = None,
    cpus: str | Collection[int] | None = None,
    num_cores: int | None = None,
    num_inter_threads: int | None = None,
    num_intra_threads: int | None = None,
    allocator: Allocator | None = None,
    binding: Binding = "sched_setaffinity",
    strict: bool = False,
    env: Mapping[str, str] = NOTHING,
    environ: Mapping[str, str] = NOTHING,
    allocators: Collection[str] | None = None,
) -> Placement:
    """The CPUs, threads, memory and variables of a run; `why` says what decided each.

    Wherever `None` is the default, -1 means the same.

    Args:
        topology: the machine as this process sees it.
        threads: how the model departs from the default rule.
        preset_env: the preset's variables for this precision.
        goal: an accuracy run may take its OMP_NUM_THREADS from elsewhere.
        socket_id: one socket, by the kernel's id.
        numa_node: one NUMA node.
        cpus: the CPUs to choose from, as `"0-3,8"` or ids.
        num_cores: how many physical cores; beyond them a second CPU of a core counts as one.
        num_inter_threads: TensorFlow's inter-op threads.
        num_intra_threads: TensorFlow's intra-op threads.
        allocator: the malloc for a child process.
        binding: how the process is bound to the CPUs.
        strict: raise an error where there would be a warning.
        env: the call's own variables; they overrule all others.
        environ: the process's environment; it overrules the preset.
        allocators: those installed here, so that a preset that asks for another one gets a warning;
            `None`: not known.

    Raises:
        RequestError: an argument that is invalid on any machine.
        BindingError: an argument that this process can't honor on this machine.

    >>> from modelzoo_runner.machine.topology import read
    >>> choose(read(), num_cores=1).intra_threads
    1
    """
    asked = {
        "num_cores": _count("num_cores", num_cores, most=None),
        "num_inter_threads": _count("num_inter_threads", num_inter_threads),
        "num_intra_threads": _count("num_intra_threads", num_intra_threads),
    }
    pool = selection.pool(topology, socket_id=socket_id, numa_node=numa_node, cpus=cpus)
    chosen, why_cpus = selection.take(topology, pool, asked["num_cores"])
    inter, why_inter = _inter_threads(pool, threads, asked["num_inter_threads"])
    intra, why_intra = _intra_threads(pool, threads, asked["num_intra_threads"], len(chosen))
    source = (goal == "accuracy" and threads.omp_from_accuracy) or threads.omp_from
    if source == "logical_cpus":
        chosen = selection.with_siblings(pool, chosen)
        why_cpus += ", with all CPUs of each core"
    omp = _openmp_threads(pool, source, asked["num_cores"], intra, len(chosen))
    variables, why_variables = _variables(preset_env, omp, environ, env)
    nodes, why_nodes = selection.memory_nodes(topology, pool, chosen)
    malloc, why_malloc, warnings = _allocator(allocator, threads.allocator, allocators)
    warnings += tuple(
        _warnings(
            topology,
            pool,
            len(chosen),
            asked,
            (inter, intra),
            variables["OMP_NUM_THREADS"],
            environ.get("OMP_NUM_THREADS"),
        )
    )
    if strict and warnings:
        raise BindingError("; ".join(warnings))
    if binding == "none":
        chosen, nodes = (), ()
        why_cpus = why_nodes = "argument: binding='none'"
    return Placement(
        cpus=chosen,
        numa_nodes=nodes,
        inter_threads=inter,
        intra_threads=intra,
        env=variables,
        allocator=malloc,
        binding=binding,
        strict=strict,
        why={
            "cpus": why_cpus,
            "numa_nodes": why_nodes,
            "inter_threads": why_inter,
            "intra_threads": why_intra,
            "allocator": why_malloc,
            **why_variables,
        },
        warnings=warnings,
    )


def _inter_threads(pool: Pool, threads: Threads, asked: int | None) -> Decision:
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


def _intra_threads(pool: Pool, threads: Threads, asked: int | None, cores: int) -> Decision:
    """TensorFlow's intra-op threads, for a run on `cores` cores."""
    if asked is not None:
        return asked, f"argument: num_intra_threads={asked}"
    if threads.intra_threads_from == "cores_per_socket":
        why = 'preset: intra_threads_from = "cores_per_socket"'
        if pool.cores_per_socket > cores:
            why += f", which is {pool.cores_per_socket}, but only {cores} CPUs were chosen"
        return min(pool.cores_per_socket, cores), why
    return cores, "machine: one for each CPU chosen"


def _openmp_threads(
    pool: Pool, source: str, asked_cores: int | None, intra: int, cpus: int
) -> Decision:
    """OMP_NUM_THREADS, for a run on `cpus` CPUs; read by OpenMP builds of TensorFlow only."""
    if source == "intra_threads":
        return intra, "machine: as many as intra-op threads"
    count = asked_cores or pool.cores_per_socket
    if source == "logical_cpus":
        count = pool.cores_per_socket * pool.cpus_per_core
    return min(count, cpus), f'preset: omp_from = "{source}"'


def _variables(
    preset_env: Mapping[str, str],
    omp: Decision,
    environ: Mapping[str, str],
    env: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str]]:
    """The variables to set, and what decided each; an empty value in `environ` counts as unset."""
    values = {"OMP_NUM_THREADS": str(omp[0]), **DEFAULT_ENV, **preset_env}
    why = {"OMP_NUM_THREADS": omp[1]}
    why |= dict.fromkeys(DEFAULT_ENV, "machine: the library's own default")
    why |= dict.fromkeys(preset_env, "preset: env")
    for name in values:
        if environ.get(name):
            why[name] = f"environment: set in the process (else {values[name]}; {why[name]})"
            values[name] = environ[name]
    values |= env
    why |= {name: f"argument: env[{name!r}]" for name in env}
    return values, {f"env.{name}": reason for name, reason in why.items()}


def _allocator(
    asked: Allocator | None, preset: Allocator | None, found: Collection[str] | None
) -> tuple[Allocator, str, tuple[str, ...]]:
    """The malloc, what decided it, and a warning if the preset's isn't installed."""
    if asked is not None:
        return asked, f"argument: allocator={asked!r}", ()
    if preset is None:
        return "system", "machine: the system's own", ()
    wish = f'preset: allocator = "{preset}"'
    if found is not None and preset not in found:
        missing = (
            f"{preset}, which the preset asks for, isn't installed: the system's malloc is used"
        )
        return "system", f"machine: {preset} isn't installed ({wish})", (missing,)
    return preset, wish, ()


def _warnings(
    topology: Topology,
    pool: Pool,
    cpus: int,
    asked: Mapping[str, int | None],
    threads: tuple[int, int],
    omp: str,
    omp_in_process: str | None,
) -> Iterator[str]:
    """Warnings about what will slow the run down."""
    cores, num_cores = len(pool.cores), asked["num_cores"] or 0
    if num_cores > cores:
        yield (
            f"num_cores={num_cores}: {pool.where} has {cores} usable physical cores, "
            f"so {num_cores - cores} of the CPUs chosen share a core with another"
        )
    for name, count in zip(("num_inter_threads", "num_intra_threads"), threads, strict=True):
        if asked[name] is not None and count > cpus:
            yield f"oversubscribed: {name}={count} on {counted(cpus, 'CPU')}"
    busy = min(threads[1], cpus)
    if topology.quota is not None and topology.quota < busy:
        yield (
            f"the CPU quota of this process is {topology.quota:g} CPUs, for "
            f"{counted(busy, 'busy thread')}: the run will be throttled, and its slow steps say "
            "nothing about the model"
        )
    if omp_in_process == omp and omp != str(threads[1]):
        yield (
            f"OMP_NUM_THREADS={omp} is set in this process and there are {threads[1]} intra-op "
            "threads: a TensorFlow built with OpenMP takes the former, any other the latter"
        )
    elif omp.isdigit() and int(omp) > max(cpus, threads[1]):
        yield f"oversubscribed: OMP_NUM_THREADS={omp} on {cpus} CPUs"


def _count(name: str, value: int | None, *, most: int | None = validate.MOST_THREADS) -> int | None:
    """The count; `None` for `None` and -1."""
    if value is None or (type(value) is int and value == -1):
        return None
    count = validate.count(name, value, otherwise=", or None (or -1) for the default")
    if most is not None and count > most:
        raise RequestError(f"{name}={value!r}: should be at most {most}")
    return count
