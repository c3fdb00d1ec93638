"""The environment variables of a run: set them, restore them, and tell which are set too late.

Most of those that matter here are read once: by the dynamic loader and malloc when the process
starts, by TensorFlow and oneDNN when they are loaded or first used, by an OpenMP runtime at its
first parallel region.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

READ_AT_START = (
    "GLIBC_TUNABLES",
    "LD_",
    "MALLOC_",  # glibc's MALLOC_ARENA_MAX and the like, and jemalloc's MALLOC_CONF
    "PYTHON",
    "TCMALLOC_",
)
"""Prefixes of what is read when a process starts, so that a running one is always too late."""

READ_BY_OPENMP = ("GOMP_", "KMP_", "OMP_")
"""Prefixes of what an OpenMP runtime reads at its first parallel region. TensorFlow's own builds
use a thread pool of their own and never read them; Intel's builds bring `libiomp5`."""

OPENMP_RUNTIMES = ("libiomp5", "libomp.so", "libomp5")
"""The OpenMP runtimes that TensorFlow builds for CPUs are linked with. Another one (scikit-learn's
`libgomp`) doesn't run TensorFlow's operations."""

PASSED_ON = (
    # Who and where this is: locale, folders, time zone.
    *(
        "CONDA_",
        "HOME",
        "LANG",
        "LC_",
        "LOGNAME",
        "PATH",
        "TEMP",
        "TMP",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    ),
    "XDG_",
    # How Python itself works, but nothing that makes it load a module.
    *("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONHOME"),
    *("PYTHONIOENCODING", "PYTHONMALLOC", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX"),
    *("PYTHONUNBUFFERED", "PYTHONUSERBASE", "PYTHONUTF8"),
    # Where files come from, and who may fetch them.
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    *("SSL_CERT_", "CLOUDSDK_", "GCE_", "GCLOUD_", "GCS_", "GOOGLE_", "NO_GCE_CHECK", "GRPC_"),
    *("STORAGE_EMULATOR_HOST", "AWS_", "AZURE_", "FSSPEC_", "HF_", "MODELZOO_RUNNER_", "DOCKER_"),
    # What runtimes, thread pools and mallocs read.
    *("ABSL_", "BLIS_", "CUDA_VISIBLE_DEVICES", "DNNL_", "EIGEN_", "GLIBC_TUNABLES", "GOMP_"),
    *("ITEX_", "JE_", "KERAS_", "KMP_", "LD_", "MALLOC_", "MKL_", "NUMEXPR_", "OMP_", "ONEDNN_"),
    *("OPENBLAS_", "OPENVINO_", "ORT_", "OV_", "TCMALLOC_", "TF_", "XLA_"),
)
"""Prefixes of the variables that a child process gets of this one's; in small letters too."""


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a child process gets besides those of its plan."""
    return {name: value for name, value in environ.items() if name.upper().startswith(PASSED_ON)}


@contextlib.contextmanager
def variables(env: Mapping[str, str | None]) -> Iterator[None]:
    """Set `env` in this process (`None` unsets a variable), and restore these variables at the end.

    C libraries see the values too.
    """
    before = {name: os.environ.get(name) for name in env}
    try:
        _update(env)
        yield
    finally:
        _update(before)


def _update(env: Mapping[str, str | None]) -> None:
    for name, value in env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def read_once(
    env: Mapping[str, str], environ: Mapping[str, str], prefixes: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The variables of `env` that this process would set too late, sorted.

    Each has another value in `environ`, and a loaded library has read it already. `prefixes` are
    those of the variables that a runtime has read.
    """
    too_late = READ_AT_START + prefixes
    if openmp_runtime() is not None:
        too_late += READ_BY_OPENMP
    return tuple(
        sorted(
            name
            for name, value in env.items()
            if name.startswith(too_late) and environ.get(name) != value
        )
    )


def openmp_runtime() -> str | None:
    """The file of the OpenMP runtime that this process has loaded, if any.

    Where there is none, `OMP_NUM_THREADS` and `KMP_*` have no effect.
    """
    return next(
        (path for path in mapped_files() if Path(path).name.startswith(OPENMP_RUNTIMES)), None
    )


def mapped_files() -> tuple[str, ...]:
    """The files mapped into this process, its libraries among them, in the order of addresses."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    # man 5 proc: address permissions offset device inode path
    paths = (line.split(maxsplit=5)[5] for line in lines if line.count(" /"))
    return tuple(dict.fromkeys(path for path in paths if path.startswith("/")))
