"""Start a child process for a plan, and end it.

The child gets the plan as a line of JSON on standard input and answers on a pipe of its own. Of the
environment it gets what `environment.PASSED_ON` lists, and the plan's variables, set before any
library reads them. Nothing is loaded from the current folder.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, TypeVar

from modelzoo_runner.errors import RequestError
from modelzoo_runner.execution import forks, listen, memory, protocol, trust
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.machine import allocator, binding, environment, runtime_log
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan


def runs(
    plans: Iterator[Plan], context: Context, *, keep: bool = False
) -> Generator[Result, None, None]:
    """The results of plans that differ only in their `examples`, run in one child process.

    Each plan is taken when the result before has been. The child is ended with the generator; with
    `keep`, that of a plan of all examples is left for the next such run (see `kept`).

    Raises:
        Interrupted, WorkerError, RunnerError: as `listen.to`.
    """
    from modelzoo_runner.execution import kept

    plan = next(plans)
    if keep and plan.examples is None and not _anew.get() and _noted.get() is None:
        with kept.child_for(plan) as child:
            result = listen.to(child, context)
        yield result
        return
    with started(plan, protocol.RUN) as child:
        yield listen.to(child, context)
        for plan in plans:
            tell_plan(child, plan)
            yield listen.to(child, context)


def write(plan: Plan, subcommand: str, out: Path, context: Context = QUIET) -> None:
    """Have a child process write a graph to `out`: `protocol.QUANTIZE` or `protocol.FREEZE`.

    Raises:
        WorkerError, RunnerError: as `listen.last_message`.
    """
    with started(plan, subcommand, str(out)) as child:
        child.name = f"the child process that had to {subcommand} the graph"
        child.allow_work()
        listen.last_message(child, context)


def tell_plan(child: Child, plan: Plan) -> None:
    """Send a child that has answered another plan; only its `examples` may differ."""
    child.plan = plan
    child.tell(protocol.plan_line(child.there(plan)))


_noted: ContextVar[list[Child] | None] = ContextVar("noted", default=None)


@contextlib.contextmanager
def noting(children: list[Child]) -> Iterator[None]:
    """Keep in `children` those that this thread starts in the block: another can end them."""
    token = _noted.set(children)
    try:
        yield
    finally:
        _noted.reset(token)


_anew: ContextVar[bool] = ContextVar("anew", default=False)


@contextlib.contextmanager
def anew() -> Iterator[None]:
    """Start each child of this block as a process of its own, not as a fork (see `forks`)."""
    token = _anew.set(True)
    try:
        yield
    finally:
        _anew.reset(token)


@contextlib.contextmanager
def started(plan: Plan, *words: str, python: str | Path | None = None) -> Iterator[Child]:
    """A child that was sent the plan; it is ended on leaving.

    Args:
        plan: what to run.
        words: the subcommand of `protocol`, and its arguments.
        python: another interpreter, which has modules of its own.

    Raises:
        RequestError: there is no such interpreter.
    """
    prefix = binding.numactl_prefix(plan.placement) if plan.placement.binding == "numactl" else []
    variables = variables_of(plan)
    if python is None:
        # A child finds its modules where this process finds them; another interpreter has its own.
        variables["PYTHONPATH"] = os.pathsep.join(_module_path())
    program = str(python or sys.executable)
    answers, answers_write = os.pipe()
    command = [*prefix, program, "-P", "-m", protocol.MODULE, str(answers_write), *words]
    is_known = trust.known(plan)
    can_be_fork = plan.runtime == "tensorflow" and python is None and not prefix
    process: subprocess.Popen[bytes] | forks.Forked
    with tempfile.TemporaryFile() as said:
        try:
            if can_be_fork and forks.possible() and not _anew.get():
                # A graph that isn't known might be the end of the process that forks.
                can_be_held = is_known and words[0] in protocol.OPENS_GRAPH
                line = protocol.plan_line(plan) if can_be_held else None
                process = forks.worker(words, answers_write, said, variables, line)
            else:
                process = popen(command, said, pass_fds=(answers_write,), env=variables)
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
        child = Child(plan=plan, process=process, answers=answers, said=said)
        if plan.timeout is None and not is_known:
            megabytes = memory.file_bytes(plan) / 1e6
            child.due = time.monotonic() + listen.OPENING_SECONDS + megabytes
        with attended(child):
            yield child


def variables_of(plan: Plan) -> dict[str, str]:
    """The environment of a child that runs the plan, without where it finds its modules."""
    passed_on = environment.passed_on(os.environ)
    # A child is as quiet by itself, and this process may be so only until TensorFlow is loaded.
    if passed_on.get(runtime_log.LEVEL) == runtime_log.QUIET:
        del passed_on[runtime_log.LEVEL]
    return {
        **passed_on,
        **plan.placement.env,
        **allocator.preload(plan.placement.allocator),
    }


def _module_path() -> list[str]:
    """The folders that this process finds modules in, without the current one.

    Python puts it first where it runs a prompt, a notebook or `-m`: a file beside a model that was
    downloaded would be loaded in place of a module of that name. It stays if PYTHONPATH names it,
    or if this library is in it.
    """
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    wanted = {Path(__file__).parents[2], *(Path(each).absolute() for each in named)}
    try:
        left_out = {Path.cwd()} - wanted
    except OSError:  # it has been removed
        left_out = set()
    return [each for each in sys.path if each and Path(each) not in left_out]


def popen(command: Sequence[str], said: IO[bytes], **options: Any) -> subprocess.Popen[bytes]:
    """Start the command with a pipe to its standard input, and standard error going to `said`."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=said,
        # Ctrl-C in a terminal goes to the whole group; the child is told once, by us.
        start_new_session=True,
        **{"stdout": subprocess.DEVNULL, **options},
    )


C = TypeVar("C", bound=Child)


@contextlib.contextmanager
def attended(child: C) -> Iterator[C]:
    """The child, sent its plan; it is ended on leaving."""
    noted = _noted.get()
    if noted is not None:
        noted.append(child)
    try:
        tell_plan(child, child.plan)
        yield child
    finally:
        if noted is not None:
            noted.remove(child)
        if child.process.poll() is None:
            child.process.kill()
        child.process.wait()
        child.close_stdin()
        os.close(child.answers)
