"""Children that are open and warm, and measure when they are asked to: see `protocol.SERVE`.

Between two requests a child sleeps, so that several can be measured in turn, a slice each.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

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

    def measure(self, *, seconds: float | None = None, steps: int | None = None) -> Timings:
        """What the child measures now: so many steps, or steps for so many seconds at least.

        Raises:
            ValueError: neither or both are given.
            KeyboardInterrupt: Ctrl-C; the child has ended.
            WorkerError: the child died.
            RunnerError: what the child raised, as the same class.
        """
        if (seconds is None) == (steps is None):
            raise ValueError("measure(): give either seconds= or steps=")
        asked = {"seconds": seconds} if steps is None else {"steps": steps}
        self.child.tell(json.dumps(asked))
        answer = listen.last_message(self.child, None)
        timings = codec.from_dict(answer["measured"], Timings)
        if timings.interrupted:
            raise KeyboardInterrupt
        return timings


@contextlib.contextmanager
def opened(
    plan: Plan, *, name: str | None = None, python: str | Path | None = None
) -> Iterator[Server]:
    """A child that has opened the plan and done its warm-up steps; on leaving it is gone.

    Args:
        plan: a benchmark, of one instance, without a container.
        name: what the child is called in an error that it died.
        python: another interpreter, which has to have this library installed, to measure another
            version of this library or of the runtime.

    Raises:
        RequestError: there is no such interpreter.
        WorkerError: the child died, or speaks another protocol.
        RunnerError: what the child raised, as the same class.
    """
    with launch.started(plan, protocol.SERVE, python=python) as child:
        child.name = name or child.name
        ready = listen.last_message(child, None)
        try:
            if ready.get("protocol") != protocol.VERSION:
                raise codec.CodecError((f"it speaks protocol {ready.get('protocol')}",))
            found = codec.from_dict(ready["plan"], Plan)
            observed = codec.from_dict(ready["observed"], Observed)
        except codec.CodecError as error:
            raise WorkerError(
                f"python={str(python)!r}: its modelzoo_runner {ready.get('version')} can't be "
                f"measured by this one, {__version__}: {error}. Install a version nearer to this "
                "one there"
            ) from None
        yield Server(
            plan=found,
            observed=replace(observed, host="child", host_reason="measured in turns with others"),
            warnings=tuple(ready["warnings"]),
            child=child,
        )
