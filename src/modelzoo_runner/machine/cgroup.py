"""The limits that control groups set on this process: CPUs, NUMA nodes, CPU time, memory.

Works for version 1, version 2 and both together: each controller is looked up in the hierarchy that
it is mounted in, from the process's own group up, because a limit of any parent applies too. A file
that can't be read counts as no limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelzoo_runner.machine import files


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What control groups allow; `None`: no limit.

    `quota` is in CPUs: 2.5 is two and a half seconds of CPU time in each second.
    """

    cpus: tuple[int, ...] | None = None
    memory_nodes: tuple[int, ...] | None = None
    quota: float | None = None


def limits(root: Path = Path("/")) -> Limits:
    """The limits of this process, read below `root`."""
    quotas = [quota for folder in _folders(root, "cpu") if (quota := _quota(folder)) is not None]
    return Limits(
        cpus=_first_list(root, ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")),
        memory_nodes=_first_list(
            root, ("cpuset.mems.effective", "cpuset.effective_mems", "cpuset.mems")
        ),
        quota=min(quotas, default=None),
    )


def memory_limit(root: Path = Path("/")) -> int | None:
    """The memory limit of this process in bytes; `None` if there is none."""
    names = ("memory.max", "memory.limit_in_bytes")  # version 2 and 1
    said = [files.text(folder / name) for folder in _folders(root, "memory") for name in names]
    # Version 2 says "max" for none, version 1 a number beyond any memory.
    return min(
        (int(each) for each in said if each.isdigit() and int(each) < _NO_LIMIT), default=None
    )


def memory_left(root: Path = Path("/")) -> int | None:
    """How many bytes its groups let this process allocate; `None` if there is no limit.

    What a group's processes have allocated counts, and not the files that it has in memory, which
    make room.
    """
    left = []
    for folder in _folders(root, "memory"):
        said = [files.text(folder / name) for name in ("memory.max", "memory.limit_in_bytes")]
        limit = min((int(each) for each in said if each.isdigit()), default=_NO_LIMIT)
        if limit < _NO_LIMIT:
            found = _ALLOCATED.search(files.text(folder / "memory.stat"))
            left.append(max(0, limit - (int(found[1]) if found else 0)))
    return min(left, default=None)


_NO_LIMIT = 2**60

_ALLOCATED = re.compile(r"^(?:anon|total_rss) (\d+)$", re.MULTILINE)
"""In version 2 and in version 1."""


def throttling(root: Path = Path("/")) -> tuple[int, float] | None:
    """How many periods this process's groups were throttled in, and for how many seconds.

    Both only grow, so a measurement is the difference of two readings. It is that of the group
    throttled most: throttling a parent holds up its children too. `None` if it can't be read.
    """
    found: list[tuple[int, float]] = []
    for folder in _folders(root, "cpu"):
        pairs = (line.split() for line in files.text(folder / "cpu.stat").splitlines())
        numbers = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
        if "nr_throttled" in numbers:
            nanoseconds = numbers.get("throttled_time", numbers.get("throttled_usec", 0) * 1000)
            found.append((numbers["nr_throttled"], nanoseconds / 1e9))
    return max(found, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups for one controller, innermost first."""
    for line in files.text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controller in controllers.split(","):
            mounts = _mounts(root, "cgroup", controller)
            break
    else:
        # Not among version 1's hierarchies, so it can only be in version 2's, whose line is `0::`.
        lines = files.text(root / "proc/self/cgroup").splitlines()
        group = next((line[3:] for line in lines if line.startswith("0::")), "/")
        mounts = _mounts(root, "cgroup2", controller)
    for top, mounted_group in mounts:
        inside = _below(mounted_group, group)
        yield from (top / each for each in (inside, *inside.parents))


def _below(mounted_group: str, group: str) -> PurePosixPath:
    """Where `group` is inside a mount that shows the tree from `mounted_group` down.

    A container often sees its own group as the top of the mount, under a path that doesn't exist
    there; then the top is its group.
    """
    path = PurePosixPath(group)
    if ".." in path.parts or not path.is_relative_to(mounted_group):
        return PurePosixPath(".")
    return path.relative_to(mounted_group)


def _mounts(root: Path, kind: str, controller: str) -> list[tuple[Path, str]]:
    """Where a hierarchy is mounted, and which of its groups is at the top there."""
    found = []
    for line in files.text(root / "proc/self/mountinfo").splitlines():
        # man 5 proc: id parent device root mount-point options... - type source super-options
        place, _, what = line.partition(" - ")
        fields, system = place.split(), what.split()
        if len(fields) < 5 or len(system) < 3 or system[0] != kind:
            continue
        if kind == "cgroup" and controller not in system[2].split(","):
            continue
        found.append((root / _unescape(fields[4]).lstrip("/"), _unescape(fields[3])))
    if found:
        return found
    usual = root / "sys/fs/cgroup"
    places = [usual / controller] if kind == "cgroup" else [usual, usual / "unified"]
    return [(place, "/") for place in places if place.is_dir()]


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _quota(folder: Path) -> float | None:
    both = files.text(folder / "cpu.max").split()  # version 2: "max 100000" or "250000 100000"
    if len(both) != 2:
        both = [files.text(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period")]
    if not all(each.isdigit() for each in both) or int(both[1]) == 0:
        return None  # "max" in version 2, -1 in version 1
    return int(both[0]) / int(both[1])


def _first_list(root: Path, names: tuple[str, ...]) -> tuple[int, ...] | None:
    for folder in _folders(root, "cpuset"):
        for name in names:
            if found := files.ids(folder / name):
                return found
    return None
