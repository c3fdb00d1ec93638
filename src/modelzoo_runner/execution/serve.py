"""Children that are open and warm, and measure when they are asked to: see `protocol.SERVE`.

Between two requests a child sleeps, so that several can be measured in turn, a slice each.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import WorkerError
from modelzoo_runner.execution import launch, listen, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.execution.loop import Timings
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan


@dataclass(frozen=True)
class Server:
    """A child with one opened and warmed graph: its plan, and what was found when it was opened."""

    plan: Plan
    observed: Observed
    warnings: tuple[str, ...]
    child: Child

    def measure(
        self, *, seconds: float | None = None, steps: int | None = None, **load: Any
    ) -> Timings:
        """What the child measures now: so many steps, or steps for so many seconds at least; with
        `rate` and `seed` of Poisson arrivals.

        Raises:
            ValueError: neither or both are given.
            KeyboardInterrupt: Ctrl-C; the child has ended.
            WorkerError: the child died.
            RunnerError: what the child raised, as the same class.
        """
        self.ask(seconds=seconds, steps=steps, **load)
        return self.answer()

    def ask(self, *, seconds: float | None = None, steps: int | None = None, **load: Any) -> None:
        """Have it measure, beside others; `answer` says what. Raises as `measure` does."""
        if (seconds is None) == (steps is None):
            raise ValueError("measure(): give either seconds= or steps=")
        asked = {"seconds": seconds} if steps is None else {"steps": steps}
        self.child.tell(json.dumps({**asked, **load}))

    def answer(self) -> Timings:
        """What it measured when it was asked; raises as `measure` does."""
        answer = listen.last_message(self.child)
        timings = codec.from_dict(answer["measured"], Timings)
        if timings.interrupted:
            raise KeyboardInterrupt
        return timings


@dataclass(frozen=True)
class Program:
    """What a child is to open: a benchmark of one instance, without a container.

    `name` is what the child is called in an error that it died, and `python` another interpreter,
    which has to have this library installed, to measure another version of it or of the runtime.
    """

    plan: Plan
    name: str | None = None
    python: str | Path | None = None


@contextlib.contextmanager
def opened(
    programs: Sequence[Program], order: Sequence[int] | None = None
) -> Iterator[list[Server]]:
    """A child for each program, warmed up; on leaving they are gone.

    They start side by side, in the order of the given numbers: what is opened last is measured as
    a percent or two faster than its like, if it is opened while the others are asleep.

    Raises:
        RequestError: there is no such interpreter.
        WorkerError: a child died, or speaks another protocol.
        RunnerError: what a child raised, as the same class.
    """
    children: dict[int, Child] = {}
    with contextlib.ExitStack() as stack:
        for number in range(len(programs)) if order is None else order:
            each = programs[number]
            child = launch.started(each.plan, protocol.SERVE, python=each.python)
            children[number] = stack.enter_context(child)
            children[number].name = each.name or children[number].name
        yield [_ready(each, children[number]) for number, each in enumerate(programs)]


def _ready(program: Program, child: Child) -> Server:
    """The child as a server, as soon as it is warm."""
    ready = listen.last_message(child)
    try:
        if ready.get("protocol") != protocol.VERSION:
            raise codec.CodecError((f"it speaks protocol {ready.get('protocol')}",))
        plan = codec.from_dict(ready["plan"], Plan)
        observed = codec.from_dict(ready["observed"], Observed)
    except codec.CodecError as error:
        raise WorkerError(
            f"python={str(program.python)!r}: its modelzoo_runner {ready.get('version')} can't be "
            f"measured by this one, {__version__}: {error}. Install a version nearer to this "
            "one there"
        ) from None
    return Server(
        plan=plan,
        observed=replace(observed, host="child", host_reason="measured in turns with others"),
        warnings=tuple(ready["warnings"]),
        child=child,
    )
