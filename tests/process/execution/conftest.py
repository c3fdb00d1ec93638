"""No run leaves a process behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def _all() -> set[int]:
    found = Path("/proc/self/task").glob("*/children")
    return {int(each) for path in found for each in path.read_text().split()}


@pytest.fixture(autouse=True)
def children() -> Iterator[Callable[[], list[int]]]:
    """The processes that this one has started in the test and that are still there.

    Zombies count. There are none when the test ends. Those that fork others are kept on purpose.
    """
    from modelzoo_runner.execution import forks

    before = _all()

    def found() -> list[int]:
        kept = {each.process.pid for each in (*forks._servers.values(), *forks._retired)}
        return sorted(_all() - before - kept)

    yield found
    assert found() == []
