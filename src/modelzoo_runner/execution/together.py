"""A plan of several instances as one side of a measurement in turns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelzoo_runner.execution import serve
from modelzoo_runner.execution.loop import Timings
from modelzoo_runner.execution.serve import Server
from modelzoo_runner.results import instances as several
from modelzoo_runner.results.instances import InstanceRecord
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.values.plan import Plan

STEPS = 3
"""How many times as long a turn of several instances is: they don't end their steps together, and
only the time in which all of them run counts."""


@dataclass(frozen=True)
class Took:
    """A turn of several instances: how long all of them together took for a batch, in seconds."""

    step_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Side:
    """The open children of a plan: one, or one for each of its instances."""

    plan: Plan
    servers: tuple[Server, ...]

    @property
    def observed(self) -> Observed:
        """What was found when the first of them was opened."""
        return self.servers[0].observed

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of all, each once."""
        return tuple(dict.fromkeys(said for each in self.servers for said in each.warnings))

    def measure(self, *, seconds: float) -> Timings | Took:
        """One turn. All instances are told at once, and only the time in which all run counts."""
        if len(self.servers) == 1:
            return self.servers[0].measure(seconds=seconds)
        while True:
            seconds *= STEPS
            for each in self.servers:
                each.ask(seconds=seconds)
            speed = sum(several.throughputs([_record(each) for each in self.servers]))
            if speed > 0:
                return Took((self.plan.batch_size / speed,))


def _record(server: Server) -> InstanceRecord:
    found = server.answer()
    return InstanceRecord(
        cpus=server.plan.placement.cpus,
        examples=found.examples,
        step_starts=found.step_starts,
        step_seconds=found.step_seconds,
        data_seconds=found.data_seconds,
    )


@contextlib.contextmanager
def opened(
    plans: Sequence[Plan], names: Sequence[str], order: Sequence[int]
) -> Iterator[list[Side]]:
    """A side for each plan, warmed up; `order` is that in which they are started.

    Raises:
        WorkerError: a child died.
        RunnerError: what a child raised, as the same class.
    """
    programs: dict[int, list[serve.Program]] = {
        number: [
            serve.Program(
                replace(plan, placement=placement, instances=()),
                name=f"the child process of {name}",
            )
            for placement in plan.instances or (plan.placement,)
        ]
        for number, (plan, name) in enumerate(zip(plans, names, strict=True))
    }
    flat = [each for number in order for each in programs[number]]
    with serve.opened(flat) as servers:
        left = iter(servers)
        found = {number: tuple(next(left) for _ in programs[number]) for number in order}
        yield [_side(plan, found[number]) for number, plan in enumerate(plans)]


def _side(plan: Plan, servers: tuple[Server, ...]) -> Side:
    # As it was opened, which knows the graph's tensors.
    of_all = replace(servers[0].plan, placement=plan.placement, instances=plan.instances)
    return Side(plan=of_all, servers=servers)
