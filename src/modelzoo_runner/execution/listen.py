"""A child process that runs a plan, and its messages. `launch` and `container` start it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from modelzoo_runner import errors
from modelzoo_runner.errors import GraphError, Interrupted, RunnerError, WorkerError
from modelzoo_runner.execution import memory, stopping
from modelzoo_runner.execution.forks import Forked
from modelzoo_runner.execution.protocol import Message
from modelzoo_runner.machine import cgroup
from modelzoo_runner.results import result as results
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan

SECONDS_TO_STOP = 20.0
"""How long a child that was asked to stop may take to hand over what it has measured."""

SECONDS_TO_END = 1.0
"""The same, of a child that has measured nothing yet."""

OPENING_SECONDS = 120.0
"""How long a graph that isn't known may take until it is open, with a second more for each megabyte
of its file: some hundred times what the largest published graphs take."""

FIRST_STEP_SECONDS = 300.0
"""How long the warm-up steps and the first measured step of such a graph may take."""

SECONDS_OF_WORK = 3600.0
"""How long a graph may take to be frozen or converted, or until an image has gone through it."""

MORE_SECONDS, MORE_TIMES = 60.0, 4
"""What a child gets besides, and how often, that had less than a quarter of a CPU: then it is the
machine that keeps it waiting."""

STDERR_LINES = 20
"""How many lines of a dead child's standard error its error shows."""


@dataclass
class Child:
    """A process that runs a plan; `answers` is the pipe of its messages, `said` its standard error.

    `name` is what an error calls it, `due` the time (monotonic) by which the next sign of progress
    has to come, if the graph isn't known, `works` whether it does something else than run it, and
    `measured` whether it has measured a step; `start_seconds` is how long it took to say something,
    and `is_new` whether it was started for this run.
    """

    plan: Plan
    process: subprocess.Popen[bytes] | Forked
    answers: int
    said: IO[bytes]
    rest: bytes = b""
    name: str = "the child process that ran the plan"
    due: float | None = None
    works: bool = False
    measured: bool = False
    extended: int = 0
    began: float = field(default_factory=time.perf_counter)
    start_seconds: float | None = None
    is_new: bool = True

    def begin(self, plan: Plan) -> None:
        """Be ready for another run, of which nothing is known yet."""
        self.plan, self.is_new = plan, False
        self.due, self.works, self.measured, self.extended = None, False, False, 0

    def read(self) -> list[Message] | None:
        """The next messages, once there are any; `None` when there will be no more."""
        chunk = os.read(self.answers, 1 << 16)
        if self.start_seconds is None:
            self.start_seconds = time.perf_counter() - self.began
        if not chunk:
            return None
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return [json.loads(self.here(line.decode())) for line in lines]

    def here(self, text: str) -> str:
        """A text of the child with the paths that its files have in this process."""
        return text

    def there(self, plan: Plan) -> Plan:
        """The plan with the paths that its files have in the child."""
        return plan

    def tell(self, line: str) -> None:
        """Write a line to its standard input; a child that has died reads nothing."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()

    def allow_work(self) -> None:
        """Let it take `SECONDS_OF_WORK` until it tells of the first image."""
        self.works, self.due = True, time.monotonic() + SECONDS_OF_WORK

    def note(self, what: str, done: int) -> None:
        """Take notice of its progress."""
        if what in ("warm-up", "steps", "examples") and done:
            self.measured, self.due = self.measured or what != "warm-up", None
        elif what == "data" and self.due is not None and not self.works:  # the graph is open
            self.due = time.monotonic() + FIRST_STEP_SECONDS

    def is_starved(self) -> bool:
        """Whether it is late because others had the CPUs; it then has some time more."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        # man 5 proc: of the fields after the name, 12 and 13 are the CPU time, 20 is the start.
        tick = os.sysconf("SC_CLK_TCK")
        lived = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / tick
        used = (int(fields[11]) + int(fields[12])) / tick
        if self.due is None or self.extended == MORE_TIMES or used > lived / 4:
            return False
        self.due, self.extended = self.due + MORE_SECONDS, self.extended + 1
        return True

    def late(self) -> RunnerError:
        """The error of not having answered in time."""
        if self.plan.timeout is not None:
            return WorkerError(f"{too_long(self.plan)} {self.stderr_tail()}")
        if self.works:
            return GraphError(
                f"{self.plan.graph.path}: {self.name} was ended: it took longer than "
                f"{SECONDS_OF_WORK:g} s, so it may never end"
            )
        return GraphError(
            f"{self.plan.graph.path}: {self.name} was ended: it took longer than any known graph "
            f"does ({OPENING_SECONDS:g} s to open, {FIRST_STEP_SECONDS:g} s more to the first "
            "step), so it may never end. If it may take so long, say how long the run may take "
            "(timeout=)"
        )

    def close_stdin(self) -> None:
        """No more lines for it."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def interrupt(self) -> None:
        """Ask it to stop and send the result so far."""
        self.process.send_signal(signal.SIGINT)

    def stderr_tail(self) -> str:
        """The end of what it printed on standard error."""
        self.said.seek(0)
        return self.here(stderr_tail(self.said.read()))

    def death(self) -> RunnerError:
        """How it ended without an answer, and what to do about it."""
        code = self.process.wait()
        by = self.killed_by(code)
        how = f"ended with exit code {code}" if by is None else f"was killed by {by.name}"
        if by is signal.SIGKILL:
            limit = cgroup.memory_limit()
            sizes = [self.peak(), "" if limit is None else f"{limit / 2**30:.1f} GiB allowed"]
            known = " of ".join(filter(None, sizes))
            how += f", as the system does when memory runs out{f' ({known})' if known else ''}"
        said = self.stderr_tail()
        if by is signal.SIGKILL or "bad_alloc" in said:
            how += f". {memory.advice(self.plan)}"
        return WorkerError(f"{self.name} {how}. {said}")

    def killed_by(self, code: int) -> signal.Signals | None:
        """The signal that ended it, by its exit code."""
        return signal.Signals(-code) if code < 0 else None

    def peak(self) -> str:
        """How much memory it took, in words; empty if not known."""
        if isinstance(self.process, Forked) and self.process.peak_kib is not None:
            return f"{self.process.peak_kib / 1024**2:.1f} GiB"
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        return f"largest child so far: {peak:.1f} GiB"


def to(child: Child, context: Context = QUIET) -> Result:
    """The child's result; progress is passed on.

    Raises:
        Interrupted: Ctrl-C; holds what the child had measured by then.
        WorkerError, RunnerError: as `last_message`.
    """
    result = result_of(child, last_message(child, context))
    if result.interrupted:
        raise Interrupted(result)
    return result


def result_of(child: Child, message: Message) -> Result:
    """The result in a message; how long the child took to start is a part of its first setup."""
    result = results.from_dict(message["result"])
    observed = result.observed
    if not observed.setup_seconds or child.start_seconds is None or not child.is_new:
        return result
    setup = {"start": child.start_seconds, **observed.setup_seconds}
    if isinstance(child.process, Forked):  # what it waited for is in its start, too
        setup["start"] -= child.process.loading
        setup["import"] = child.process.loading + setup.get("import", 0.0)
    return replace(result, observed=replace(observed, setup_seconds=setup))


def last_message(child: Child, context: Context = QUIET) -> Message:
    """The child's answer to what it was asked.

    Raises:
        WorkerError: the child died, or took longer than the plan's `timeout` seconds.
        GraphError: without a `timeout`, a graph that isn't known took too long to open.
        RunnerError: what the child raised, as the same class.
    """
    plan = child.plan
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    try:
        answer = _answer(child, deadline, context)
    except KeyboardInterrupt:
        answer = _stop(child)
    except TimeoutError:
        _stop(child)
        raise child.late() from None
    if answer is None:
        raise child.death()
    return checked(answer)


def checked(message: Message) -> Message:
    """The message; an error or Ctrl-C in it is raised."""
    if "error" in message:
        raise errors.from_dict(message["error"])
    if "interrupted" in message:
        raise KeyboardInterrupt
    return message


def too_long(plan: Plan) -> str:
    """The error message of a run that its timeout ended."""
    return (
        f"timeout={plan.timeout}: the run had not ended by then. Ask for fewer steps, or for more "
        "time."
    )


def stderr_tail(said: bytes) -> str:
    """The end of what a child said on standard error, as a sentence of an error."""
    lines = said.decode("utf-8", errors="replace").splitlines()[-STDERR_LINES:]
    return "Its standard error ended with:\n" + "\n".join(lines) if lines else "It printed nothing."


def _answer(child: Child, deadline: float | None, context: Context) -> Message | None:
    """The child's last message, or `None` if it ended without one."""
    while True:
        until = min((each for each in (deadline, child.due) if each is not None), default=None)
        left = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([child.answers], [], [], left)[0]:
            if (deadline is None or time.monotonic() < deadline) and child.is_starved():
                continue
            raise TimeoutError
        messages = child.read()
        if messages is None:
            return None
        for message in messages:
            if "progress" not in message:
                child.due = None
                return message
            what, done, total = message["progress"]
            child.note(what, done)
            context.tell(what, done, total)


def _stop(child: Child) -> Message:
    """Ask the child to stop and hand over what it has; it is ended if it doesn't."""
    child.due = None
    with stopping.deaf():
        child.interrupt()
        try:
            seconds = SECONDS_TO_STOP if child.measured else SECONDS_TO_END
            answer = _answer(child, time.monotonic() + seconds, QUIET)
        except TimeoutError:
            answer = None
    return answer or {"interrupted": True}
