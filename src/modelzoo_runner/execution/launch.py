"""Run a plan in a fresh child process: start it, listen to it, end it.

The child gets the plan as a line of JSON on its standard input and answers on a private pipe. It
inherits the environment, with the plan's variables set before any library can read them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from modelzoo_runner import codec, errors
from modelzoo_runner.errors import Interrupted, WorkerError
from modelzoo_runner.execution.progress import Progress
from modelzoo_runner.machine import allocator, binding
from modelzoo_runner.plan import Plan
from modelzoo_runner.results import result as results
from modelzoo_runner.results.result import Result

SECONDS_TO_STOP = 20.0
"""How long a child that was asked to stop may take to hand over what it has."""

LAST_WORDS = 20
"""How many lines of a dead child's standard error its error shows."""


@dataclass
class Child:
    """A process that runs a plan: what it answers, and what it said on standard error."""

    plan: Plan
    process: subprocess.Popen[bytes]
    answers: int
    said: IO[bytes]
    rest: bytes = b""

    def read(self) -> list[dict[str, Any]] | None:
        """The messages that have come, waiting for some; `None` when there will be no more."""
        chunk = os.read(self.answers, 1 << 16)
        if not chunk:
            return None
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def tell(self, line: str) -> None:
        """A line for its standard input; a child that has died hears nothing."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()

    def hush(self) -> None:
        """No more lines for it."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def last_words(self) -> str:
        """The end of what it said on standard error."""
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", errors="replace").splitlines()[-LAST_WORDS:]
        return "Its last words:\n" + "\n".join(lines) if lines else "It said nothing."

    def obituary(self, what: str = "the child process that ran the plan") -> str:
        """How a child ended that didn't answer, and what to do about it."""
        returncode = self.process.wait()
        if returncode >= 0:
            how = f"ended with exit code {returncode}"
        else:
            how = f"was killed by {signal.Signals(-returncode).name}"
        if returncode == -signal.SIGKILL:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
            how += (
                f", as the system does when memory runs out (largest child so far: {peak:.1f} GiB)"
            )
            if self.plan.batch_size > 1:
                size = self.plan.batch_size
                how += f". batch_size={size}: try {size // 2}"
        return f"{what} {how}. {self.last_words()}"


def run(plan: Plan, *, progress: Progress | None = None) -> Result:
    """The result of the plan, run in a child process.

    Raises:
        Interrupted: Ctrl-C; holds what the child had measured by then.
        WorkerError: the child died, or took longer than `plan.timeout` seconds.
        RunnerError: what the child raised, as the same class.
    """
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    with started(plan) as child:
        try:
            answer = _listen(child, deadline, progress)
        except KeyboardInterrupt:
            answer = _stop(child)
        except TimeoutError:
            _stop(child)
            raise WorkerError(f"{too_long(plan)} {child.last_words()}") from None
        if answer is None:
            raise WorkerError(child.obituary())
    result = read(answer)
    if result.interrupted:
        raise Interrupted(result)
    return result


def quantize(plan: Plan, out: Path, *, progress: Progress | None = None) -> None:
    """Have a child process write the plan's graph in int8 to `out`: see `calibration.run`.

    Raises:
        WorkerError: the child died.
        RunnerError: what the child raised, as the same class.
    """
    with started(plan, "quantize", str(out)) as child:
        answer = _listen(child, None, progress)
        if answer is None:
            raise WorkerError(child.obituary("the child process that quantised the graph"))
    check(answer)


def read(answer: dict[str, Any]) -> Result:
    """The result in a child's last message, or the error in it raised."""
    check(answer)
    return results.from_dict(answer["result"])


def check(answer: dict[str, Any]) -> None:
    """Raise the error in a child's last message, if there is one."""
    if "error" in answer:
        raise errors.from_dict(answer["error"])
    if "interrupted" in answer:
        raise KeyboardInterrupt


def too_long(plan: Plan) -> str:
    """What to say of a run that its timeout ended."""
    return (
        f"timeout={plan.timeout}: the run had not ended by then. Ask for fewer steps, or for more "
        "time."
    )


@contextlib.contextmanager
def started(plan: Plan, *words: str) -> Iterator[Child]:
    """A child that has got the plan and begins with it; on leaving it is gone.

    Args:
        plan: what to run.
        words: more arguments for `worker`.
    """
    with tempfile.TemporaryFile() as said:
        child = _start(plan, words, said)
        try:
            child.tell(json.dumps(codec.to_dict(plan)))
            yield child
        finally:
            if child.process.poll() is None:
                child.process.kill()
            child.process.wait()
            child.hush()
            os.close(child.answers)


def _start(plan: Plan, words: tuple[str, ...], said: IO[bytes]) -> Child:
    prefix = binding.numactl_prefix(plan.placement) if plan.placement.binding == "numactl" else []
    environment = _environment(plan)
    answers, answers_write = os.pipe()
    try:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", f"{__package__}.worker", str(answers_write), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=(answers_write,),
            env=environment,
            # Ctrl-C in a terminal goes to the whole group; the child is told once, by us.
            start_new_session=True,
        )
    except BaseException:
        os.close(answers)
        raise
    finally:
        os.close(answers_write)
    return Child(plan=plan, process=process, answers=answers, said=said)


def _environment(plan: Plan) -> dict[str, str]:
    """The child's variables: its modules are found where this process finds them."""
    path = os.pathsep.join(each for each in sys.path if each)
    preload = allocator.preload(plan.placement.allocator)
    return {**os.environ, **plan.placement.env, **preload, "PYTHONPATH": path}


def _listen(
    child: Child, deadline: float | None, progress: Progress | None
) -> dict[str, Any] | None:
    """The child's last message, or `None` if it ended without one; progress is passed on."""
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
            if progress is not None:
                progress(*message["progress"])


def _stop(child: Child) -> dict[str, Any]:
    """Ask the child to stop and hand over what it has; end it if it doesn't."""
    child.process.send_signal(signal.SIGINT)
    try:
        answer = _listen(child, time.monotonic() + SECONDS_TO_STOP, None)
    except TimeoutError:
        answer = None
    return answer if answer is not None else {"interrupted": True}
