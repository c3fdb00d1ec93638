"""Listen to a worker that runs a plan elsewhere, until it has answered or is gone.

How a worker is started, and how it is reached, is not known here: a child process (`launch`) and a
container (`container`) are listened to alike.
"""

from __future__ import annotations

import select
import time
from typing import Protocol

from modelzoo_runner import errors
from modelzoo_runner.errors import Interrupted, RunnerError, WorkerError
from modelzoo_runner.execution.protocol import Message
from modelzoo_runner.results import result as results
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Progress

SECONDS_TO_STOP = 20.0
"""How long a worker that was asked to stop may take to hand over what it has."""

STDERR_LINES = 20
"""How many lines of a dead worker's standard error its error shows."""


class Worker(Protocol):
    """What runs a plan elsewhere and tells of it."""

    @property
    def plan(self) -> Plan:
        """What it runs."""

    @property
    def answers(self) -> int:
        """The file descriptor to wait at."""

    def read(self) -> list[Message] | None:
        """The messages that have come, waiting for some; `None` when there will be no more."""

    def interrupt(self) -> None:
        """Ask it to stop and hand over what it has."""

    def stderr_tail(self) -> str:
        """The end of what it said on standard error."""

    def death(self) -> RunnerError:
        """How it ended without an answer, and what to do about it."""


def to(worker: Worker, progress: Progress | None) -> Result:
    """The worker's result; progress is passed on.

    Raises:
        Interrupted: Ctrl-C; holds what the worker had measured by then.
        WorkerError: the worker died, or took longer than the plan's `timeout` seconds.
        RunnerError: what the worker raised, as the same class.
    """
    result = read(_last_message(worker, progress))
    if result.interrupted:
        raise Interrupted(result)
    return result


def until_done(worker: Worker, progress: Progress | None) -> None:
    """Wait for a worker that answers no result, only that it has done what it was told.

    Raises:
        WorkerError, RunnerError: as `to` does.
    """
    last_message(worker, progress)


def read(answer: Message) -> Result:
    """The result in a worker's last message, or the error in it raised."""
    _raise_error(answer)
    return results.from_dict(answer["result"])


def last_message(worker: Worker, progress: Progress | None) -> Message:
    """The worker's answer to what it was asked, or the error in it raised.

    Raises:
        WorkerError, RunnerError: as `to` does.
    """
    answer = _last_message(worker, progress)
    _raise_error(answer)
    return answer


def _raise_error(answer: Message) -> None:
    if "error" in answer:
        raise errors.from_dict(answer["error"])
    if "interrupted" in answer:
        raise KeyboardInterrupt


def _last_message(worker: Worker, progress: Progress | None) -> Message:
    plan = worker.plan
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    try:
        answer = _answer(worker, deadline, progress)
    except KeyboardInterrupt:
        answer = _stop(worker)
    except TimeoutError:
        _stop(worker)
        raise WorkerError(f"{too_long(plan)} {worker.stderr_tail()}") from None
    if answer is None:
        raise worker.death()
    return answer


def too_long(plan: Plan) -> str:
    """What to say of a run that its timeout ended."""
    return (
        f"timeout={plan.timeout}: the run had not ended by then. Ask for fewer steps, or for more "
        "time."
    )


def stderr_tail(said: bytes) -> str:
    """The end of what a worker said on standard error, as a sentence of an error."""
    lines = said.decode("utf-8", errors="replace").splitlines()[-STDERR_LINES:]
    return "Its last words:\n" + "\n".join(lines) if lines else "It said nothing."


def smaller_batch(plan: Plan) -> str:
    """What to do where memory ran out."""
    return f"batch_size={plan.batch_size}: try {max(1, plan.batch_size // 2)}"


def _answer(worker: Worker, deadline: float | None, progress: Progress | None) -> Message | None:
    """The worker's last message, or `None` if it ended without one."""
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([worker.answers], [], [], left)[0]:
            raise TimeoutError
        messages = worker.read()
        if messages is None:
            return None
        for message in messages:
            if "progress" not in message:
                return message
            if progress is not None:
                progress(*message["progress"])


def _stop(worker: Worker) -> Message:
    """Ask the worker to stop and hand over what it has; it is ended if it doesn't."""
    worker.interrupt()
    try:
        answer = _answer(worker, time.monotonic() + SECONDS_TO_STOP, None)
    except TimeoutError:
        answer = None
    return answer if answer is not None else {"interrupted": True}
