"""The child of the last run, which has its graph open, for the next run that needs it so."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from modelzoo_runner.execution import forks, launch, opening, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.values.plan import Plan


@dataclass(frozen=True)
class _Kept:
    """A child without work since then, what decides whether a plan can use it, and what ends it."""

    child: Child
    how: tuple[Any, ...]
    stack: contextlib.ExitStack
    since: float = field(default_factory=time.monotonic)


_kept: list[_Kept] = []
"""At most one, as each takes memory; it ends by itself after `protocol.IDLE_SECONDS`."""


@contextlib.contextmanager
def child_for(plan: Plan) -> Iterator[Child]:
    """A child that was sent the plan: that of the last run, if it needs the same, or a new one.

    It is kept for the next run if the block ends well. Raises as `launch.started`.
    """
    how = (*opening.how(plan), *sorted(launch.variables_of(plan).items()), *forks.inherited())
    found = _taken(how)
    with contextlib.ExitStack() as stack:
        if found is None:
            child = stack.enter_context(launch.started(plan, protocol.SESSION))
        else:
            stack.push(found.stack)
            child = found.child
            child.begin(plan)
            launch.tell_plan(child, plan)
        yield child
        release()  # what another thread's run has kept meanwhile
        _kept.append(_Kept(child, how, stack.pop_all()))
        atexit.unregister(release)
        atexit.register(release)


def _taken(how: tuple[Any, ...]) -> _Kept | None:
    """What was kept, if it is as needed and won't end by itself just now; else that is ended."""
    try:
        last = _kept.pop()
    except IndexError:
        return None
    is_fresh = time.monotonic() - last.since < protocol.IDLE_SECONDS / 2
    if last.how == how and is_fresh and last.child.process.poll() is None:
        return last
    last.stack.close()
    return None


def release() -> None:
    """End the child that is kept."""
    with contextlib.suppress(IndexError):  # there is none, or another thread has it
        _kept.pop().stack.close()
