"""Run a plan in a fresh child process: start it, and end it.

The child gets the plan as a line of JSON on its standard input and answers on a private pipe. It
inherits the environment, with the plan's variables set before any library can read them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelzoo_runner.errors import RequestError
from modelzoo_runner.execution import listen, protocol
from modelzoo_runner.execution.protocol import Message
from modelzoo_runner.machine import allocator, binding, cgroup
from modelzoo_runner.results import diagnosis
from modelzoo_runner.results.diagnosis import Diagnosis
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Progress


@dataclass
class Child:
    """A process that runs a plan: what it answers, and what it said on standard error.

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
        return [json.loads(line) for line in lines]

    def tell(self, line: str) -> None:
        """A line for its standard input; a child that has died hears nothing."""
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
        """Ask it to stop and hand over what it has."""
        self.process.send_signal(signal.SIGINT)

    def stderr_tail(self) -> str:
        """The end of what it said on standard error."""
        self.said.seek(0)
        return listen.stderr_tail(self.said.read())

    def exit_message(self) -> str:
        """How a child ended that didn't answer, and what to do about it."""
        returncode = self.process.wait()
        if returncode >= 0:
            how = f"ended with exit code {returncode}"
        else:
            how = f"was killed by {signal.Signals(-returncode).name}"
        if returncode == -signal.SIGKILL:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
            limit = cgroup.memory_limit()
            within = "" if limit is None else f" of {limit / 2**30:.1f} GiB allowed"
            how += (
                f", as the system does when memory runs out (largest child so far: {peak:.1f} GiB"
                f"{within}). {listen.smaller_batch(self.plan)}"
            )
        return f"{self.name} {how}. {self.stderr_tail()}"


def runs(
    plans: Iterator[Plan], *, progress: Progress | None = None
) -> Generator[Result, None, None]:
    """The results of plans that differ only in their `examples`, run in one child process.

    Each plan is asked for when the result before has been taken. The child is gone when the
    generator ends or is closed.

    Raises:
        Interrupted: Ctrl-C; holds what the child had measured by then.
        WorkerError: the child died, or took longer than `Plan.timeout` seconds.
        RunnerError: what the child raised, as the same class.
    """
    with started(next(plans), protocol.RUN) as child:
        yield listen.to(child, progress)
        for plan in plans:
            tell_plan(child, plan)
            yield listen.to(child, progress)


def quantize(plan: Plan, out: Path, *, progress: Progress | None = None) -> None:
    """Have a child process write the plan's graph in int8 to `out`: see `calibration.run`.

    Raises:
        WorkerError: the child died.
        RunnerError: what the child raised, as the same class.
    """
    with started(plan, protocol.QUANTIZE, str(out)) as child:
        child.name = "the child process that quantized the graph"
        listen.until_done(child, progress)


def diagnose(plan: Plan) -> Diagnosis:
    """Have a child process look at a few of the plan's images: see `doctor.here`.

    Raises:
        WorkerError: the child died.
        RunnerError: what the child raised, as the same class.
    """
    with started(plan, protocol.DIAGNOSE) as child:
        return diagnosis.from_dict(listen.last_message(child, None)["diagnosis"])


def tell_plan(child: Child, plan: Plan) -> None:
    """Have a child that has answered run another plan; only its `examples` may differ."""
    child.plan = plan
    child.tell(protocol.plan_line(plan))


_noted: ContextVar[list[Child] | None] = ContextVar("noted", default=None)


@contextlib.contextmanager
def noting(children: list[Child]) -> Iterator[None]:
    """Note in `children` those that this thread starts in the block, as long as they are there.

    So that another thread can end them.
    """
    token = _noted.set(children)
    try:
        yield
    finally:
        _noted.reset(token)


@contextlib.contextmanager
def started(plan: Plan, *words: str, python: str | Path | None = None) -> Iterator[Child]:
    """A child that has got the plan and begins with it; on leaving it is gone.

    Args:
        plan: what to run.
        words: the subcommand of `protocol`, and its arguments.
        python: another interpreter than this one, with its own modules.

    Raises:
        RequestError: there is no such interpreter.
    """
    with tempfile.TemporaryFile() as said:
        child = _start(plan, words, said, python)
        noted = _noted.get()
        if noted is not None:
            noted.append(child)
        try:
            tell_plan(child, plan)
            yield child
        finally:
            if noted is not None:
                noted.remove(child)
            if child.process.poll() is None:
                child.process.kill()
            child.process.wait()
            child.close_stdin()
            os.close(child.answers)


def _start(plan: Plan, words: tuple[str, ...], said: IO[bytes], python: str | Path | None) -> Child:
    prefix = binding.numactl_prefix(plan.placement) if plan.placement.binding == "numactl" else []
    environment = _environment(plan)
    if python is None:
        environment["PYTHONPATH"] = os.pathsep.join(each for each in sys.path if each)
    program = str(python or sys.executable)
    answers, answers_write = os.pipe()
    try:
        process = subprocess.Popen(
            [*prefix, program, "-m", protocol.MODULE, str(answers_write), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=(answers_write,),
            env=environment,
            # Ctrl-C in a terminal goes to the whole group; the child is told once, by us.
            start_new_session=True,
        )
    except OSError as error:
        os.close(answers)
        if python is None:
            raise
        raise RequestError(f"python={program!r}: can't be run: {error.strerror}") from None
    except BaseException:
        os.close(answers)
        raise
    finally:
        os.close(answers_write)
    return Child(plan=plan, process=process, answers=answers, said=said)


def _environment(plan: Plan) -> dict[str, str]:
    """The child's variables, the plan's among them."""
    preload = allocator.preload(plan.placement.allocator)
    return {**os.environ, **plan.placement.env, **preload}
