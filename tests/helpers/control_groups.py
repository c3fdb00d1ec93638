"""Control groups of the tests' own, where they can be made: that mostly takes root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def made(controller: str, *limits: str) -> Iterator[Path]:
    """A new group for one controller, of version 1 or 2; `limits` are the names of its file."""
    group = _make(controller, limits)
    if group is None:
        pytest.skip(f"no control group for {controller} can be made here: that mostly takes root")
    try:
        yield group
    finally:
        group.rmdir()


def skip_if_refused(said: str) -> None:
    """Skip where a process, which says so on standard error, can't be put into a group."""
    if "OSError" in said or "PermissionError" in said:
        pytest.skip(f"no process can be put into a group here: {said.splitlines()[-1]}")


def _make(controller: str, limits: tuple[str, ...]) -> Path | None:
    for folder in (Path("/sys/fs/cgroup", controller), Path("/sys/fs/cgroup")):
        group = folder / f"modelzoo_runner_test_{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if any((group / name).exists() for name in limits):
            return group
        group.rmdir()
    return None
