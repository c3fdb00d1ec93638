"""Facts about the machine, this process and TensorFlow, for a result.

What can't be read is `None` or left out. Nothing here loads TensorFlow or numpy.
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
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from modelzoo_runner.machine import (
    allocator,
    binding,
    cgroup,
    environment,
    files,
    onednn,
    processor,
    runtime_log,
    topology,
)
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
"""Prefixes of the variables that affect a measurement. Not all of `TF_`, which Terraform uses too,
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
    """The facts as JSON values: of the machine, and below `process` and `software` of these.

    `id` is a keyed hash that tells machines apart; it reveals neither the name nor the machine id.

    >>> collect()["process"]["allocator"]
    'system'
    """
    here = topology.read(root)
    return _machine(here, root) | {"process": _process(here, root), "software": _software(root)}


def memory_for_this_process(root: Path = Path("/")) -> int | None:
    """How many bytes this process can still allocate: what is available, within its limits."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = files.memory_bytes(root / "proc/self/status", "VmSize") or 0
    told = (
        files.memory_bytes(root / "proc/meminfo", "MemAvailable"),
        cgroup.memory_left(root),
        None if limit == resource.RLIM_INFINITY else max(0, limit - used),
    )
    return min((each for each in told if each is not None), default=None)


def versions() -> dict[str, str | None]:
    """The versions of TensorFlow and numpy; `None`: not installed."""
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
        "memory_bytes": files.memory_bytes(root / "proc/meminfo", "MemTotal"),
        "memory_available_bytes": files.memory_bytes(root / "proc/meminfo", "MemAvailable"),
        "load_average": [float(each) for each in files.text(root / "proc/loadavg").split()[:3]],
        "huge_pages": _chosen(files.text(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        "address_randomization": files.text(root / "proc/sys/kernel/randomize_va_space") or None,
    }


def _process(here: Topology, root: Path) -> dict[str, Any]:
    return {
        "affinity": format_cpu_list(here.affinity),
        "control_group_cpus": None if here.cpuset is None else format_cpu_list(here.cpuset),
        "quota_cpus": here.quota,
        "memory_limit_bytes": cgroup.memory_limit(root),
        # Not getrusage()'s, which a child inherits from the process that started it.
        "peak_memory_bytes": files.memory_bytes(root / "proc/self/status", "VmHWM"),
        "allocator": allocator.loaded(environment.mapped_files()),
        "openmp": None if (path := environment.openmp_runtime()) is None else Path(path).name,
        "threads": dict(sorted(Counter(binding.thread_names().values()).items())),
        "env": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(RECORDED) and name != runtime_log.LEVEL
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
    """Package and version, and the commit if it is loaded. `None`: not installed."""
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


def _id(root: Path) -> str:
    """A keyed hash of the machine id, which machine-id(5) asks not to reveal."""
    secret = files.text(root / "etc/machine-id") or platform.node()
    return hmac.new(b"modelzoo_runner", secret.encode(), hashlib.sha256).hexdigest()[:16]


def _chosen(text: str) -> str | None:
    """The word in brackets, as in `always [madvise] never`."""
    match = re.search(r"\[(\w+)\]", text)
    return match[1] if match else None
