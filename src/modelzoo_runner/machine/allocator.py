"""Other malloc libraries: find them on this system, preload them into a child process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelzoo_runner.errors import MissingDependency, RequestError


@dataclass(frozen=True, kw_only=True)
class Malloc:
    """The names of a malloc's libraries, preferred first, and its Debian package.

    `env` is set with it: below tcmalloc's report threshold, which the original launcher raised too,
    each tensor above 1 GB prints a line to standard error.
    """

    libraries: tuple[str, ...]
    package: str
    env: Mapping[str, str]


MALLOCS: Mapping[str, Malloc] = {
    "tcmalloc": Malloc(
        libraries=("libtcmalloc_minimal.so", "libtcmalloc.so"),
        package="libtcmalloc-minimal4",
        env={"TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD": "2147483648"},
    ),
    "jemalloc": Malloc(libraries=("libjemalloc.so",), package="libjemalloc2", env={}),
}
"""The mallocs that can be chosen instead of the system's."""

FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
)
"""Folders of libraries that may be missing from the dynamic loader's cache."""


def find(name: str) -> Path:
    """The library of a malloc on this system.

    Looked for beside Python (where conda puts it), in the dynamic loader's cache and in `FOLDERS`.

    Raises:
        RequestError: no malloc of that name is known.
        MissingDependency: it isn't on this system; names the package that brings it.
    """
    malloc = _known(name)
    found = choose(malloc, _candidates())
    if found is None:
        raise MissingDependency(
            f"allocator={name!r}: none of {', '.join(malloc.libraries)} is on this system. Install "
            f"its package (Debian, Ubuntu: apt-get install {malloc.package}), or use "
            'allocator="system"'
        )
    return found


def available() -> tuple[str, ...]:
    """The names of the mallocs that `find` finds here."""
    candidates = tuple(_candidates())
    return tuple(name for name, malloc in MALLOCS.items() if choose(malloc, candidates))


def choose(malloc: Malloc, files: Iterable[Path]) -> Path | None:
    """The first of `files` that is the malloc's best library; versions (`.so.4`) are fine."""
    files = tuple(files)
    for library in malloc.libraries:
        for path in files:
            if re.fullmatch(re.escape(library) + r"(\.\d+)*", path.name):
                return path
    return None


def preload(name: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that make a child process use a malloc; none for `"system"`.

    Args:
        name: `"system"`, `"tcmalloc"` or `"jemalloc"`.
        environ: the child's other variables. Default: this process's. What they preload follows the
            malloc, and their settings of it win.

    Raises:
        RequestError: no malloc of that name is known.
        MissingDependency: it isn't on this system.
    """
    if name == "system":
        return {}
    environ = os.environ if environ is None else environ
    path = str(find(name))
    others = [each for each in re.split("[ :]", environ.get("LD_PRELOAD", "")) if each]
    own = {key: value for key, value in _known(name).env.items() if key not in environ}
    return {"LD_PRELOAD": ":".join([path, *(each for each in others if each != path)]), **own}


def loaded(files: Iterable[str]) -> str:
    """The malloc of a process that has mapped `files`: a name, or `"system"`."""
    paths = tuple(map(Path, files))
    return next((name for name, malloc in MALLOCS.items() if choose(malloc, paths)), "system")


def _known(name: str) -> Malloc:
    if name not in MALLOCS:
        raise RequestError(f"allocator={name!r}: should be one of system, {', '.join(MALLOCS)}")
    return MALLOCS[name]


def _candidates() -> Iterator[Path]:
    yield from _listed(Path(sys.prefix) / "lib")
    yield from _cached()
    for folder in FOLDERS:
        yield from _listed(Path(folder))


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.glob("lib*malloc*.so*")) if folder.is_dir() else []


def _cached() -> Iterator[Path]:
    """The 64-bit libraries in the dynamic loader's cache."""
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        try:
            out = subprocess.run([program, "-p"], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        # "\tlibjemalloc.so.2 (libc6,x86-64) => /lib/x86_64-linux-gnu/libjemalloc.so.2"
        for match in re.finditer(r"\((?:[^)]*)(?:x86-64|AArch64)[^)]*\) => (\S+)", out.stdout):
            yield Path(match[1])
        return
