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
from dataclasses import dataclass
from typing import IO

from modelzoo_runner import errors
from modelzoo_runner.errors import Interrupted, RunnerError, WorkerError
from modelzoo_runner.execution.protocol import Message
from modelzoo_runner.machine import cgroup
from modelzoo_runner.results import result as results
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan

SECONDS_TO_STOP = 20.0
"""How long a child that was asked to stop may take to hand over what it has."""

STDERR_LINES = 20
"""How many lines of a dead child's standard error its error shows."""


@dataclass
class Child:
    """A process that runs a plan; `answers` is the pipe of its messages, `said` its standard error.

    `name` is what an error calls it.
    """

    plan: Plan
    process: subprocess.Popen[bytes]
    answers: int
    said: IO[bytes]
    rest: bytes = b""
    name: str = "the child process that ran the plan"

    def read(self) -> list[Message] | None:
        """The next messages, once there are any; `None` when there will be no more."""
        chunk = os.read(self.answers, 1 << 16)
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
            how += f". batch_size={self.plan.batch_size}: try {max(1, self.plan.batch_size // 2)}"
        return WorkerError(f"{self.name} {how}. {self.stderr_tail()}")

    def killed_by(self, code: int) -> signal.Signals | None:
        """The signal that ended it, by its exit code."""
        return signal.Signals(-code) if code < 0 else None

    def peak(self) -> str:
        """How much memory it took, in words; empty if not known."""
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        return f"largest child so far: {peak:.1f} GiB"


def to(child: Child, context: Context = QUIET) -> Result:
    """The child's result; progress is passed on.

    Raises:
        Interrupted: Ctrl-C; holds what the child had measured by then.
        WorkerError, RunnerError: as `last_message`.
    """
    result = results.from_dict(last_message(child, context)["result"])
    if result.interrupted:
        raise Interrupted(result)
    return result


def last_message(child: Child, context: Context = QUIET) -> Message:
    """The child's answer to what it was asked.

    Raises:
        WorkerError: the child died, or took longer than the plan's `timeout` seconds.
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
        raise WorkerError(f"{too_long(plan)} {child.stderr_tail()}") from None
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
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([child.answers], [], [], left)[0]:
            raise TimeoutError
        messages = child.read()
        if messages is None:
            return None
        for message in messages:
            if "progress" not in message:
                return message
            context.tell(*message["progress"])


def _stop(child: Child) -> Message:
    """Ask the child to stop and hand over what it has; it is ended if it doesn't."""
    child.interrupt()
    try:
        answer = _answer(child, time.monotonic() + SECONDS_TO_STOP, QUIET)
    except TimeoutError:
        answer = None
    return answer if answer is not None else {"interrupted": True}
