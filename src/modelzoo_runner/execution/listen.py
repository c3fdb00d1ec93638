"""A child process that runs a plan, and what it answers until it has a result or is gone.

How it is started is not known here (`launch`; `container`, behind the docker command).
"""

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
    """A process that runs a plan: what it answers, and what it printed on standard error.

    `name` is what it is called when it dies.
    """

    plan: Plan
    process: subprocess.Popen[bytes]
    answers: int
    said: IO[bytes]
    rest: bytes = b""
    name: str = "the child process that ran the plan"

    def read(self) -> list[Message] | None:
        """The messages that have come, waiting for some; `None` when there will be no more."""
        chunk = os.read(self.answers, 1 << 16)
        if not chunk:
            return None
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return [json.loads(self.here(line.decode())) for line in lines]

    def here(self, text: str) -> str:
        """A text of the child with the paths that its files have for this process."""
        return text

    def there(self, plan: Plan) -> Plan:
        """The plan as the child is to have it."""
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
        returncode = self.process.wait()
        if returncode >= 0:
            how = f"ended with exit code {returncode}"
        else:
            how = f"was killed by {signal.Signals(-returncode).name}"
        if returncode == -signal.SIGKILL:
            how += (
                f", as the system does when memory runs out ({self.memory()}). "
                f"{smaller_batch(self.plan)}"
            )
        return WorkerError(f"{self.name} {how}. {self.stderr_tail()}")

    def memory(self) -> str:
        """How much memory it took, and may take, as far as that is known."""
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        limit = cgroup.memory_limit()
        within = "" if limit is None else f" of {limit / 2**30:.1f} GiB allowed"
        return f"largest child so far: {peak:.1f} GiB{within}"


def to(child: Child, context: Context = QUIET) -> Result:
    """The child's result; progress is passed on.

    Raises:
        Interrupted: Ctrl-C; holds what the child had measured by then.
        WorkerError: the child died, or took longer than the plan's `timeout` seconds.
        RunnerError: what the child raised, as the same class.
    """
    result = read(_last_message(child, context))
    if result.interrupted:
        raise Interrupted(result)
    return result


def read(answer: Message) -> Result:
    """The result in a child's last message, or the error in it raised."""
    _raise_error(answer)
    return results.from_dict(answer["result"])


def last_message(child: Child, context: Context = QUIET) -> Message:
    """The child's answer to what it was asked, or the error in it raised.

    Raises:
        WorkerError, RunnerError: as `to` does.
    """
    answer = _last_message(child, context)
    _raise_error(answer)
    return answer


def _raise_error(answer: Message) -> None:
    if "error" in answer:
        raise errors.from_dict(answer["error"])
    if "interrupted" in answer:
        raise KeyboardInterrupt


def _last_message(child: Child, context: Context) -> Message:
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
    return answer


def too_long(plan: Plan) -> str:
    """What to say of a run that its timeout ended."""
    return (
        f"timeout={plan.timeout}: the run had not ended by then. Ask for fewer steps, or for more "
        "time."
    )


def stderr_tail(said: bytes) -> str:
    """The end of what a child said on standard error, as a sentence of an error."""
    lines = said.decode("utf-8", errors="replace").splitlines()[-STDERR_LINES:]
    return "Its last words:\n" + "\n".join(lines) if lines else "It said nothing."


def smaller_batch(plan: Plan) -> str:
    """What to do where memory ran out."""
    return f"batch_size={plan.batch_size}: try {max(1, plan.batch_size // 2)}"


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
