"""What a run ran on: the machine, this process, TensorFlow. Read, never assumed.

Whatever can't be read is `None` or left out. Nothing here loads TensorFlow or numpy.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from modelzoo_runner.machine import allocator, cgroup, environment, onednn, processor, topology
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.machine.topology import Topology

RECORDED = (
    "DNNL_",
    "GLIBC_TUNABLES",
    "GOMP_",
    "ITEX_",
    "KMP_",
    "LD_PRELOAD",
    "MALLOC_",
    "MKL_",
    "OMP_",
    "ONEDNN_",
    "TCMALLOC_",
    "TF_CPP_",
    "TF_CPU_",
    "TF_DISABLE_",
    "TF_ENABLE_",
    "TF_MKL_",
    "TF_NUM_",
    "TF_ONEDNN_",
    "TF_SET_",
    "TF_USE_",
    "TF_XLA_",
    "XLA_",
)
"""Prefixes of the variables that move a measurement. Not all of `TF_`, which Terraform uses too,
for secrets among others (`TF_VAR_...`); nor search paths, which hold names of users."""

DISTRIBUTIONS = (
    "tensorflow-cpu",
    "tensorflow",
    "intel-tensorflow",
    "tensorflow-cpu-aws",
    "tf-nightly-cpu",
    "tf-nightly",
)
"""The names under which a TensorFlow is installed, the more telling first."""


def collect(root: Path = Path("/")) -> dict[str, Any]:
    """The facts, as JSON can carry them: the machine's, and below `process` and `software` theirs.

    Which computer it was is told by `id` only, a keyed hash from which neither its name nor its
    system's id can be had.

    >>> collect()["process"]["allocator"]
    'system'
    """
    here = topology.read(root)
    return _machine(here, root) | {"process": _process(here, root), "software": _software(root)}


def memory_for_this_process(root: Path = Path("/")) -> int | None:
    """How many bytes this process could still take: what is available here, within its limit."""
    told = (_memory(root, "MemAvailable"), cgroup.memory_limit(root))
    return min((each for each in told if each is not None), default=None)


def versions() -> dict[str, str | None]:
    """The versions of what computes, by package; `None` where it isn't installed."""
    tensorflow = _tensorflow()
    return {
        "tensorflow": None if tensorflow is None else tensorflow["version"],
        "numpy": _installed("numpy"),
    }


def _machine(here: Topology, root: Path) -> dict[str, Any]:
    every = [cpu.id for cpu in here.cpus]
    return {
        "id": _id(root),
        "processor": processor.describe(root),
        "frequency": processor.frequency(every, root),
        "sockets": len(here.sockets),
        "physical_cores": len(here.cores(every)),
        "cpus": len(every),
        "offline": format_cpu_list(here.offline),
        "memory_nodes": [
            {"id": node.id, "cpus": format_cpu_list(node.cpus), "bytes": node.memory_bytes}
            for node in here.memory_nodes
        ],
        "memory_bytes": _memory(root, "MemTotal"),
        "memory_available_bytes": _memory(root, "MemAvailable"),
        "load_average": [float(each) for each in _text(root, "proc/loadavg").split()[:3]],
        "huge_pages": _chosen(_text(root, "sys/kernel/mm/transparent_hugepage/enabled")),
        "address_randomization": _text(root, "proc/sys/kernel/randomize_va_space") or None,
    }


def _process(here: Topology, root: Path) -> dict[str, Any]:
    return {
        "affinity": format_cpu_list(here.affinity),
        "control_group_cpus": None if here.cpuset is None else format_cpu_list(here.cpuset),
        "quota_cpus": here.quota,
        "memory_limit_bytes": cgroup.memory_limit(root),
        # Not getrusage()'s, which a child inherits from the process that started it.
        "peak_memory_bytes": _memory(root, "VmHWM", "proc/self/status"),
        "allocator": allocator.loaded(environment.mapped_files()),
        "openmp": None if (path := environment.openmp_runtime()) is None else Path(path).name,
        "threads": _thread_counts(),
        "env": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(RECORDED)
        },
    }


def _software(root: Path) -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": _installed("numpy"),
        "tensorflow": _tensorflow(),
        "onednn": _onednn(root),
    }


def tensorflow_version() -> str | None:
    """The version of the installed TensorFlow, without loading it; `None` where there is none."""
    return next(filter(None, map(_installed, DISTRIBUTIONS)), None)


def _tensorflow() -> dict[str, Any] | None:
    """Version and package; more of it where it is loaded already. `None`: not installed."""
    package = next(filter(_installed, DISTRIBUTIONS), None)
    if package is None:
        return None
    facts: dict[str, Any] = {"package": package, "version": _installed(package)}
    loaded = sys.modules.get("tensorflow")
    if loaded is not None:
        facts["version"] = loaded.version.VERSION
        facts["git_version"] = loaded.version.GIT_VERSION
    return facts


def _onednn(root: Path) -> dict[str, Any] | None:
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return None
    return {
        "enabled": onednn.enabled(),
        "version": onednn.version(Path(spec.origin).parent),
        "instruction_set": onednn.instruction_set(processor.flags(root), os.environ),
    }


@functools.cache
def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _thread_counts() -> dict[str, int]:
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        try:
            found[(task / "comm").read_text(encoding="utf-8", errors="replace").strip()] += 1
        except FileNotFoundError:
            continue  # the thread has ended meanwhile
    return dict(sorted(found.items()))


def _id(root: Path) -> str:
    """Tells two computers apart without saying which they are.

    As machine-id(5) demands, the id itself never leaves: it is hashed with a key of this library.
    """
    secret = _text(root, "etc/machine-id") or platform.node()
    return hmac.new(b"modelzoo_runner", secret.encode(), hashlib.sha256).hexdigest()[:16]


def _memory(root: Path, field: str, file: str = "proc/meminfo") -> int | None:
    match = re.search(rf"^{field}:\s*(\d+) kB$", _text(root, file), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _chosen(text: str) -> str | None:
    """The word in brackets, as in `always [madvise] never`."""
    match = re.search(r"\[(\w+)\]", text)
    return match[1] if match else None


def _text(root: Path, name: str) -> str:
    try:
        return (root / name).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
