"""The child of the last run, which has its graph open, for the next run that needs it so."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.execution import forks, launch, opening, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.values.plan import Plan


@dataclass(frozen=True)
class _Kept:
    """A child without work, what decides whether a plan can use it, and what ends it."""

    child: Child
    how: tuple[Any, ...]
    stack: contextlib.ExitStack


_kept: list[_Kept] = []
"""At most one, as each takes memory; it ends by itself after `protocol.IDLE_SECONDS`."""


@contextlib.contextmanager
def child(plan: Plan) -> Iterator[Child]:
    """A child that was sent the plan: that of the last run, if it needs the same, or a new one.

    It is kept for the next run if the block ends well. Raises as `launch.started`.
    """
    how = (*opening.how(plan), *sorted(launch.variables_of(plan).items()), *forks.inherited())
    found = _taken(how)
    with contextlib.ExitStack() as stack:
        if found is None:
            release()
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
    """What was kept, if it is still there and as it is needed."""
    with contextlib.suppress(IndexError):  # another thread may have taken it
        if _kept[-1].how == how and _kept[-1].child.process.poll() is None:
            return _kept.pop()
    return None


def release() -> None:
    """End the child that is kept."""
    with contextlib.suppress(IndexError):
        _kept.pop().stack.close()
