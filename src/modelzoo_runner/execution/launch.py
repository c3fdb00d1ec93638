"""Run a plan in a fresh child process: start it, listen to it, end it.

The child gets the plan as JSON on its standard input and answers on a private pipe. It inherits the
environment, with the plan's variables set before any library can read them.
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


def run(plan: Plan, *, progress: Progress | None = None) -> Result:
    """The result of the plan, run in a child process.

    Raises:
        Interrupted: Ctrl-C; holds what the child had measured by then.
        WorkerError: the child died, or took longer than `plan.timeout` seconds.
        RunnerError: what the child raised, as the same class.
    """
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    with tempfile.TemporaryFile() as said, _child(plan, said) as (process, answers):
        try:
            answer = _listen(answers, deadline, progress)
        except KeyboardInterrupt:
            answer = _stop(process, answers)
        except TimeoutError:
            _stop(process, answers)
            raise WorkerError(
                f"timeout={plan.timeout}: the run had not ended by then. Ask for fewer steps, or "
                f"for more time. {_last_words(said)}"
            ) from None
        if answer is None:
            process.wait()
            raise WorkerError(_obituary(process.returncode, plan, said))
    return _read(answer)


def _read(answer: dict[str, Any]) -> Result:
    if "error" in answer:
        raise errors.from_dict(answer["error"])
    if "interrupted" in answer:
        raise KeyboardInterrupt
    result = results.from_dict(answer["result"])
    if result.interrupted:
        raise Interrupted(result)
    return result


@contextlib.contextmanager
def _child(plan: Plan, said: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    answers, answers_write = os.pipe()
    prefix = binding.numactl_prefix(plan.placement) if plan.placement.binding == "numactl" else []
    command = [*prefix, sys.executable, "-m", f"{__package__}.worker", str(answers_write)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=(answers_write,),
            env=_environment(plan),
            # Ctrl-C in a terminal goes to the whole group; the child is told once, by us.
            start_new_session=True,
        )
    finally:
        os.close(answers_write)
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps(codec.to_dict(plan)).encode())
        yield process, answers
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(answers)


def _environment(plan: Plan) -> dict[str, str]:
    """The child's variables: its modules are found where this process finds them."""
    path = os.pathsep.join(each for each in sys.path if each)
    preload = allocator.preload(plan.placement.allocator)
    return {**os.environ, **plan.placement.env, **preload, "PYTHONPATH": path}


def _listen(
    answers: int, deadline: float | None, progress: Progress | None
) -> dict[str, Any] | None:
    """The child's last message, or `None` if it ended without one; progress is passed on."""
    for message in _messages(answers, deadline):
        if "progress" not in message:
            return message
        if progress is not None:
            progress(*message["progress"])
    return None


def _messages(answers: int, deadline: float | None) -> Iterator[dict[str, Any]]:
    rest = b""
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([answers], [], [], left)[0]:
            raise TimeoutError
        chunk = os.read(answers, 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _stop(process: subprocess.Popen[bytes], answers: int) -> dict[str, Any]:
    """Ask the child to stop and hand over what it has; end it if it doesn't."""
    process.send_signal(signal.SIGINT)
    try:
        answer = _listen(answers, time.monotonic() + SECONDS_TO_STOP, None)
    except TimeoutError:
        answer = None
    return answer if answer is not None else {"interrupted": True}


def _obituary(returncode: int, plan: Plan, said: IO[bytes]) -> str:
    if returncode >= 0:
        how = f"ended with exit code {returncode}"
    else:
        how = f"was killed by {signal.Signals(-returncode).name}"
    if returncode == -signal.SIGKILL:
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        smaller = max(1, plan.batch_size // 2)
        how += (
            f", as the system does when memory runs out (largest child so far: {peak:.1f} GiB). "
            f"batch_size={plan.batch_size}: try {smaller}"
        )
    return f"the child process that ran the plan {how}. {_last_words(said)}"


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode("utf-8", errors="replace").splitlines()[-LAST_WORDS:]
    return "Its last words:\n" + "\n".join(lines) if lines else "It said nothing."
