"""Several instances of a plan at once, each a child process on CPUs of its own.

They warm up, wait for each other and start measuring at the same moment. Only the time in which all
of them measure counts: alone, an instance has the caches and the memory bandwidth to itself. If one
dies, the run ends. Memory is checked first: a machine that runs out of it stops responding before
it ends a process.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from modelzoo_runner.errors import BindingError, Interrupted, RunnerError, WorkerError
from modelzoo_runner.execution import launch, listen, memory, opening, protocol, stopping
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.execution.processes import worst
from modelzoo_runner.execution.protocol import Message
from modelzoo_runner.machine import facts
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.results import instances as several
from modelzoo_runner.results.instances import InstanceRecord
from modelzoo_runner.results.result import BenchmarkResult
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan

SECONDS_TO_START = 0.05
"""From the word to the first step: time for all instances to hear it."""

LAST = ("result", "interrupted")


def run(plan: Plan, context: Context) -> BenchmarkResult:
    """One result of all of the plan's instances.

    Raises:
        Interrupted: Ctrl-C; holds what they had measured together by then.
        BindingError: there isn't memory for all of them.
        WorkerError: an instance died, the run took longer than `plan.timeout` seconds, or there
            was no time in which all of them measured.
        RunnerError: what an instance raised, as the same class.
    """
    try:
        require_memory(plan, facts.memory_for_this_process())
    except BindingError:
        opening.release()  # what runs before have left in memory
        require_memory(plan, facts.memory_for_this_process())
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    with contextlib.ExitStack() as stack:
        children: list[Child] = []
        answers: dict[int, Message] = {}
        try:
            for placement in plan.instances:
                own = replace(plan, placement=placement, instances=(), timeout=None)
                children.append(stack.enter_context(launch.started(own, protocol.INSTANCE)))
            _gather(children, ("ready", *LAST), {}, _to_warm_up(deadline, children), context)
            start = time.monotonic() + SECONDS_TO_START
            for child in children:
                child.tell(repr(start))
            _gather(children, LAST, answers, deadline, context)
        except KeyboardInterrupt:
            _stop(children, answers)
        except TimeoutError:
            late = replace(children[0], plan=plan, name="an instance")
            raise late.late() from None
    result = _joined(
        plan,
        [
            listen.result_of(children[each], listen.checked(answers[each]))
            for each in sorted(answers)
        ],
    )
    if result.interrupted:
        raise Interrupted(result)
    return result


def _to_warm_up(deadline: float | None, children: Sequence[Child]) -> float | None:
    """When all have to be warm: a graph that isn't known might never be."""
    due = [each.due + listen.FIRST_STEP_SECONDS for each in children if each.due is not None]
    return min((each for each in (deadline, *due) if each is not None), default=None)


def require_memory(plan: Plan, available: int | None) -> None:
    """Raise if the plan's instances need more than `available` bytes (`None`: not known).

    The estimate is a lower bound: what it refuses can't run; what it accepts may still be too much.

    Raises:
        BindingError: says what they need at least, what is available, and how many would fit.
    """
    each, count = memory.of(plan).of(plan.batch_size), len(plan.instances)
    if available is None or count * each <= available:
        return
    fitting = available // each
    advice = f"ask for {fitting} or fewer" if fitting else "there isn't room for one"
    needed, of_each, there = (f"{size / 2**30:.1f} GiB" for size in (count * each, each, available))
    raise BindingError(
        f"instances: {count} of them need at least {needed} of memory ({of_each} each), and "
        f"{there} are available here: {advice}, or use a smaller batch_size"
    )


def _gather(
    children: Sequence[Child],
    wanted: Collection[str],
    found: dict[int, Message],
    deadline: float | None,
    context: Context,
) -> None:
    """Put each child's next message with a `wanted` key into `found`, unless it has one there.

    `found` keeps what has come when Ctrl-C does. Progress is the first child's.
    """
    with selectors.DefaultSelector() as waiting:
        for number, child in enumerate(children):
            if number not in found:
                waiting.register(child.answers, selectors.EVENT_READ, number)
        while len(found) < len(children):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = waiting.select(left)
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                number = key.data
                for message in _messages(children, number):
                    if "progress" in message and number == 0:
                        context.tell(*message["progress"])
                    if any(name in message for name in wanted):
                        found[number] = message
                        waiting.unregister(key.fd)


def _messages(children: Sequence[Child], number: int) -> Iterator[Message]:
    """The new messages of one child; its error or its death is raised."""
    child = children[number]
    messages = child.read()
    if messages is None:
        cpus = format_cpu_list(child.plan.placement.cpus)
        child.name = f"instance {number + 1} of {len(children)}, on CPUs {cpus},"
        raise child.death()
    for message in messages:
        yield listen.checked(message) if "error" in message else message


def _stop(children: Sequence[Child], answers: dict[int, Message]) -> None:
    """Ask all to stop and send what they have; `KeyboardInterrupt` if one has nothing."""
    with stopping.deaf():
        for child in children:
            if child.process.poll() is None:
                child.interrupt()
        try:
            _gather(children, LAST, answers, time.monotonic() + listen.SECONDS_TO_STOP, QUIET)
        except (TimeoutError, RunnerError):
            raise KeyboardInterrupt from None


def _joined(plan: Plan, results: Sequence[Any]) -> BenchmarkResult:
    """One result of the steps done while all instances ran."""
    first: BenchmarkResult = results[0]
    records: tuple[InstanceRecord, ...] = tuple(each.instances[0] for each in results)
    window = several.overlap(records)
    counted = [
        (record, step) for record in records for step in (record.within(window) if window else ())
    ]
    counted.sort(key=lambda each: each[0].step_starts[each[1]])
    interrupted = any(each.interrupted for each in results)
    if not counted:
        if interrupted:
            raise KeyboardInterrupt
        raise WorkerError(
            f"there was no step of all {len(records)} instances at the same time: ask for more "
            f"steps (steps={plan.steps}), or for a time to measure (min_seconds=)"
        )
    examples = sum(record.examples / len(record.step_seconds) for record, _ in counted)
    said = (*plan.placement.warnings, *(said for each in results for said in each.warnings))
    return replace(
        first,
        plan=replace(
            first.plan,
            placement=plan.placement,
            instances=plan.instances,
            timeout=plan.timeout,
        ),
        observed=replace(
            first.observed,
            interference=_interference(records),
            started=min(each.observed.started for each in results),
        ),
        warmup_seconds=tuple(taken for each in results for taken in each.warmup_seconds),
        step_seconds=tuple(record.step_seconds[step] for record, step in counted),
        data_seconds=tuple(record.data_seconds[step] for record, step in counted),
        examples=round(examples),
        warnings=tuple(dict.fromkeys(said)),
        interrupted=interrupted,
        instances=records,
    )


def _interference(records: Sequence[InstanceRecord]) -> dict[str, Any]:
    """The worst verdict of all; what was counted is in their records."""
    found = [each.interference for each in records]
    return {
        **worst((f"CPUs {format_cpu_list(each.cpus)}", each.interference) for each in records),
        "cpus": sum(each["cpus"] for each in found),
        "cpu_seconds": sum(each["cpu_seconds"] for each in found),
    }
