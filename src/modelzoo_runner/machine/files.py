"""Read files of the kernel, any of which may be missing."""

from __future__ import annotations

import re
from pathlib import Path

from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine.cpulist import parse_cpu_list


def text(path: Path) -> str:
    """The content of a file without surrounding white space; empty if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def ids(path: Path) -> tuple[int, ...]:
    """The list of CPUs or NUMA nodes (`0-3,8`) in a file; empty if there is none."""
    try:
        return parse_cpu_list(text(path))
    except RequestError:
        return ()


def memory_bytes(path: Path, field: str) -> int | None:
    """A field of a `meminfo` file, in bytes; `None` if it isn't there."""
    match = re.search(rf"\b{field}:\s*(\d+) kB", text(path))
    return int(match[1]) * 1024 if match else None
