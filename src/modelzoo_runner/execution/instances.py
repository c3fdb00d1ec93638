"""Several processes that run one plan at once, each on CPUs of its own.

They warm up, wait for each other, and begin to measure at the same moment. Only the time in which
all of them measure counts: an instance that is alone for a while has the caches and the memory to
itself. If one dies, the run ends. Whether memory is enough is asked before any is started: a
machine without memory left stops answering before it ends a process.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import BindingError, Interrupted, RunnerError, WorkerError
from modelzoo_runner.execution import launch, listen, protocol
from modelzoo_runner.execution.listen import Child
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

SEVERITY = ("valid", "noisy", "invalid")

LAST = ("result", "interrupted")

BARE = 200 * 2**20
"""Bytes that a process has of its own once TensorFlow ran a small graph in it (2.21: 222 MiB)."""

COPIES = 3
"""Of the weights, at least: the graph as it was read, TensorFlow's constants, and oneDNN's copy in
the order in which it multiplies."""

BATCHES = 4
"""Of synthetic input, ready in memory before the first step."""


def run(plan: Plan, context: Context) -> BenchmarkResult:
    """One result of all of the plan's instances.

    Raises:
        Interrupted: Ctrl-C; holds what all of them had measured together by then.
        BindingError: there isn't memory for all of them.
        WorkerError: an instance died, the run took longer than `plan.timeout` seconds, or there
            was no time in which all of them measured.
        RunnerError: what an instance raised, as the same class.
    """
    require_memory(plan, facts.memory_for_this_process())
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    with contextlib.ExitStack() as stack:
        children: list[Child] = []
        answers: dict[int, Message] = {}
        try:
            for placement in plan.instances:
                own = replace(plan, placement=placement, instances=(), timeout=None)
                children.append(stack.enter_context(launch.started(own, protocol.INSTANCE)))
            _gather(children, ("ready", *LAST), {}, deadline, QUIET)
            start = time.monotonic() + SECONDS_TO_START
            for child in children:
                child.tell(repr(start))
            _gather(children, LAST, answers, deadline, context)
        except KeyboardInterrupt:
            _stop(children, answers)
        except TimeoutError:
            raise WorkerError(f"{listen.too_long(plan)} {children[0].stderr_tail()}") from None
    result = _joined(plan, [listen.read(answers[number]) for number in sorted(answers)])
    if result.interrupted:
        raise Interrupted(result)
    return result


def require_memory(plan: Plan, available: int | None) -> None:
    """Nothing, if the plan's instances may fit in so many bytes (`None`: not known).

    The estimate is from below: what it refuses can't run; what it lets pass may still be too much.

    Raises:
        BindingError: they can't; says what they need at least, what there is, and what would fit.
    """
    each, count = least_bytes(plan), len(plan.instances)
    if available is None or count * each <= available:
        return
    fitting = available // each
    advice = f"ask for {fitting} or fewer" if fitting else "there isn't room for one"
    needed, of_each, there = (f"{size / 2**30:.1f} GiB" for size in (count * each, each, available))
    raise BindingError(
        f"instances: {count} of them need at least {needed} of memory ({of_each} each), and "
        f"{there} are available here: {advice}, or use a smaller batch_size"
    )


def least_bytes(plan: Plan) -> int:
    """What an instance of the plan takes at least, in bytes."""
    batches = 0
    if plan.data_location is None and plan.preprocess is not None:
        height, width = plan.preprocess.size
        batches = BATCHES * plan.batch_size * height * width * 3 * 4  # float32
    return BARE + COPIES * Path(plan.graph.path).stat().st_size + batches


def _gather(
    children: Sequence[Child],
    wanted: Collection[str],
    found: dict[int, Message],
    deadline: float | None,
    context: Context,
) -> None:
    """Put the next of the `wanted` messages of each child into `found`, if it has none there.

    What was found by then stays there when Ctrl-C comes. Progress is the first child's.
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
    """What one child has to say; an error of one, or its death, ends all."""
    child = children[number]
    messages = child.read()
    if messages is None:
        cpus = format_cpu_list(child.plan.placement.cpus)
        child.name = f"instance {number + 1} of {len(children)}, on CPUs {cpus},"
        raise child.death()
    for message in messages:
        if "error" in message:
            listen.read(message)
        yield message


def _stop(children: Sequence[Child], answers: dict[int, Message]) -> None:
    """Ask all to stop and hand over what they have; `KeyboardInterrupt` where one has nothing."""
    for child in children:
        if child.process.poll() is None:
            child.interrupt()
    try:
        _gather(children, LAST, answers, time.monotonic() + listen.SECONDS_TO_STOP, QUIET)
    except (TimeoutError, RunnerError):
        raise KeyboardInterrupt from None


def _joined(plan: Plan, results: Sequence[Any]) -> BenchmarkResult:
    """One result of what the instances did while all of them ran."""
    first: BenchmarkResult = results[0]
    records: tuple[InstanceRecord, ...] = tuple(each.instances[0] for each in results)
    window = several.overlap(records)
    counted = [] if window is None else _in_order(records, window)
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


def _in_order(
    records: Sequence[InstanceRecord], window: tuple[float, float]
) -> list[tuple[InstanceRecord, int]]:
    """The steps of all instances that lie in the window, as they began."""
    found = [(record, step) for record in records for step in record.within(window)]
    return sorted(found, key=lambda each: each[0].step_starts[each[1]])


def _interference(records: Sequence[InstanceRecord]) -> dict[str, Any]:
    """The worst verdict of all, with each one's causes; what was counted is in their records."""
    worst = max((each.interference["verdict"] for each in records), key=SEVERITY.index)
    causes = [
        f"CPUs {format_cpu_list(each.cpus)}: {cause}"
        for each in records
        for cause in each.interference["causes"]
    ]
    return {
        "verdict": worst,
        "causes": causes,
        "cpus": sum(each.interference["cpus"] for each in records),
        "cpu_seconds": sum(each.interference["cpu_seconds"] for each in records),
    }
